"""A registry that answers as its test says, over plain HTTP on this machine, and remembers what it was asked."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from tests.images.made import MadeImage
from tests.ports import HOST

from donjon.images.manifests import MANIFESTS


@dataclass
class Answer:
    """What comes back: pieces may come for ever."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: Callable[[], Iterator[bytes]] = lambda: iter(())


@dataclass
class Question:
    """What was asked."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


def answer(body: bytes, media_type: str = "application/octet-stream", **headers: str) -> Answer:
    """One that is whole."""
    said = {"Content-Type": media_type, "Content-Length": str(len(body))}
    return Answer(headers=said | {name.replace("_", "-"): value for name, value in headers.items()}, pieces=lambda: iter((body,)))


def redirect(where: str, status: int = 307) -> Answer:
    return Answer(status, {"Location": where, "Content-Length": "0"})


Judge = Callable[[Question], Answer | None]


@dataclass
class FakeRegistry:
    """One that runs; `judge` may answer in place of what it has."""

    port: int
    blobs: dict[str, bytes] = field(default_factory=dict)
    judge: Judge = lambda _: None
    questions: list[Question] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"localhost:{self.port}"

    def add(self, image: MadeImage) -> str:
        """The name of an image that is now here."""
        self.blobs |= image.blobs
        self.blobs["1"] = image.manifest
        return f"{self.host}/app:1"

    def answer(self, question: Question) -> Answer:
        self.questions.append(question)
        if (own := self.judge(question)) is not None:
            return own
        *_, kind, name = question.path.split("/")
        if name not in self.blobs:
            return Answer(404, {"Content-Length": "0"})
        return answer(self.blobs[name], MANIFESTS[0] if kind == "manifests" else "application/octet-stream")


@contextmanager
def fake_registry() -> Iterator[FakeRegistry]:
    """A new one."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            said = registry.answer(Question(self.command, self.path, dict(self.headers), body))
            self.close_connection = True
            with suppress(OSError):
                self.send_response(said.status)
                for name, value in said.headers.items():
                    self.send_header(name, value)
                self.send_header("Connection", "close")
                self.end_headers()
                for piece in said.pieces():
                    self.wfile.write(piece)
                    self.wfile.flush()

        do_POST = do_GET  # noqa: N815 - the same.

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((HOST, 0), Handler)
    server.daemon_threads = True
    registry = FakeRegistry(server.server_address[1])
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
