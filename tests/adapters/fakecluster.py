"""A cluster's API server as far as one who only reads knows it: things, and lists of them in pages, for whoever has the token."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from urllib.parse import parse_qs, urlsplit

from donjon.formats.json import Json, JsonObject, at

TOKEN = "a-token-of-the-fake"  # noqa: S105 - it opens nothing.


@dataclass
class FakeCluster:
    """The things by the path of their list, /api/v1/namespaces/shop/pods; those of all namespaces are found as well."""

    things: dict[str, list[JsonObject]] = field(default_factory=dict)
    forbidden: set[str] = field(default_factory=set)  # paths
    answers: dict[str, bytes] = field(default_factory=dict)  # whole answers, by path
    asked: list[tuple[str, str]] = field(default_factory=list)  # methods and paths
    patches: list[tuple[str, str, JsonObject]] = field(default_factory=list)  # paths, kinds and bodies
    admit: Callable[[JsonObject], tuple[int, JsonObject | str]] = lambda pod: (
        201,
        pod,
    )  # a pod tried: as it comes out, or why not
    version: str = "v1.36.2"
    drips: float = 0.0  # seconds before each byte of an answer
    slow: str = ""  # what the paths of answers that drip begin with
    page: int = 2
    port: int = 0

    def kubeconfig(self, folder: Path, user: JsonObject | None = None) -> Path:
        """A kubeconfig of the namespace shop, in JSON, which is YAML."""
        path = folder / "kubeconfig"
        whole: JsonObject = {
            "current-context": "fake",
            "clusters": [{"name": "fake", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "me", "namespace": "shop"}}],
            "users": [{"name": "me", "user": user or {"token": TOKEN}}],
        }
        path.write_text(json.dumps(whole))
        return path

    def respond(self, target: str) -> tuple[int, bytes]:
        """The status and body of an answer."""
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/version":
            return 200, json.dumps({"gitVersion": self.version}).encode()
        if parts.path in self.answers:
            return 200, self.answers[parts.path]
        if parts.path in self.forbidden:
            return 403, _status(403, f"{parts.path} is forbidden")
        folder, _, name = parts.path.rpartition("/")
        if folder in self.things:
            found = [thing for thing in self.things[folder] if at(thing, "metadata", "name") == name]
            return (200, json.dumps(found[0]).encode()) if found else (404, _status(404, f"{name} not found"))
        listed = self._listed(parts.path)
        key, _, value = query.get("fieldSelector", "").partition("=")
        listed = [thing for thing in listed if not key or at(thing, *key.split(".")) == value]
        wanted = [pair.partition("=")[::2] for pair in query.get("labelSelector", "").split(",") if pair]
        listed = [thing for thing in listed if all(at(thing, "metadata", "labels", name) == value for name, value in wanted)]
        start = int(query.get("continue", "0"))
        more: JsonObject = {"continue": str(start + self.page)} if start + self.page < len(listed) else {}
        # As the API server does: what all of a list share stands in no item.
        page = listed[start : start + self.page]
        items: list[Json] = [{name: each for name, each in thing.items() if name not in {"kind", "apiVersion"}} for thing in page]
        exists = listed or parts.path.rpartition("/")[2] in PLURALS
        return (200, json.dumps({"metadata": more, "items": items}).encode()) if exists else (404, _status(404, "no such thing"))

    def _listed(self, path: str) -> list[JsonObject]:
        group, _, plural = path.rpartition("/")
        return [
            thing
            for known, things in self.things.items()
            if known == path or (known.startswith(f"{group}/namespaces/") and known.endswith(f"/{plural}"))
            for thing in things
        ]


PLURALS = (
    {"pods", "events", "nodes", "jobs", "deployments", "replicasets", "statefulsets", "daemonsets", "cronjobs"}
    | {f"{kind}admissionpolic{end}" for kind in ("validating", "mutating") for end in ("ies", "ybindings")}
    | {"mutatingwebhookconfigurations"}
)


@contextmanager
def cluster() -> Iterator[FakeCluster]:
    """A cluster that answers until the block ends."""
    fake = FakeCluster()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            fake.asked.append((self.command, self.path))
            known = self.headers.get("authorization") == f"Bearer {TOKEN}"
            code, body = fake.respond(self.path) if known else (401, _status(401, "Unauthorized"))
            self.send_response(code)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            is_slow = fake.drips and self.path.startswith(fake.slow)
            if not is_slow:
                self.wfile.write(body)
            with suppress(OSError):  # Nobody waits for the rest.
                for byte in body if is_slow else b"":
                    Event().wait(fake.drips)
                    self.wfile.write(bytes((byte,)))

        def do_POST(self) -> None:
            fake.asked.append((self.command, self.path))
            code, answer = fake.admit(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            body = _status(code, answer) if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_PATCH(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            fake.patches.append((self.path.partition("?")[0], self.headers["content-type"], json.loads(body)))
            answer = json.dumps({"metadata": {"name": "x"}}).encode()
            refused = self.path.partition("?")[0] in fake.forbidden
            self.send_response(403 if refused else 200)
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(_status(403, "patching is forbidden") if refused else answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.port = server.server_address[1]
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _status(code: int, message: str) -> bytes:
    return json.dumps({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}).encode()
