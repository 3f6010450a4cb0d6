"""A PCCS that has the collateral of one make-believe world, and answers as Intel's does."""

import json
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import TypeAlias
from urllib.parse import parse_qs, quote, urlsplit

from donjon.collateral.bundle import Collateral, files
from donjon.collateral.plan import PCK_CHAIN_HEADER
from donjon.simulation.intel.certificates import SimulatedRole
from donjon.simulation.intel.machines import Svns, pckcerts
from donjon.simulation.intel.world import World

Key: TypeAlias = str | tuple[str, str]  # a path, or a path and a FMSPC
Reply: TypeAlias = tuple[int, dict[str, str], bytes]  # status, headers, body

V4 = "certification/v4"


@dataclass
class Pccs:
    """What it answers, by path; what was asked; and where it listens."""

    answers: dict[Key, Reply]
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    address: str = ""
    away: bool = False  # hangs up on everybody
    losing: int = 0  # so many are hung up on, and then no more
    answering: Event = field(default_factory=Event)
    dripping: str = ""  # whoever asks about a platform whose FMSPC begins so gets a byte now and then, without end

    def __post_init__(self) -> None:
        self.answering.set()

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Who asks waits until the end of the block."""
        self.answering.clear()
        try:
            yield
        finally:
            self.answering.set()


def answers(made: World) -> dict[Key, Reply]:
    leaf, issuers = _pck(made)
    pck: dict[Key, Reply] = {f"/sgx/{V4}/pckcert": (200, _chain("SGX-PCK-Certificate-Issuer-Chain", issuers), leaf)}
    return {**collateral(made.collateral, made.setting.tcb_info.tee), **pck}


def collateral(of: Collateral, of_tee: str) -> dict[Key, Reply]:
    parts, tee = files(of), of_tee.lower()
    return {
        f"/sgx/{V4}/pckcrl": (200, _chain("SGX-PCK-CRL-Issuer-Chain", of.pck_crl_issuer_chain), of.pck_crl),
        f"/{tee}/{V4}/tcb": (200, _chain("TCB-Info-Issuer-Chain", of.tcb_info_issuer_chain), parts["tcb_info.json"]),
        f"/{tee}/{V4}/qe/identity": (
            200,
            _chain("SGX-Enclave-Identity-Issuer-Chain", of.qe_identity_issuer_chain),
            parts["qe_identity.json"],
        ),
        f"/sgx/{V4}/rootcacrl": (200, {}, of.root_ca_crl.hex().encode()),
    }


def certified(made: World, tcbs: Iterable[Svns], unavailable: Iterable[Svns] = ()) -> Reply:
    """What Intel's service has of the world's machine."""
    return 200, _chain(PCK_CHAIN_HEADER, _pck(made)[1]), pckcerts(made.setting, tcbs, unavailable)


def _chain(header: str, chain: bytes) -> dict[str, str]:
    return {header: quote(chain.decode())}


def _pck(made: World) -> tuple[bytes, bytes]:
    leaf, *issuers = made.setting.quote.chain
    return made.certificates[leaf], b"".join(made.certificates[SimulatedRole(role)] for role in issuers)


def _drip(to: BaseHTTPRequestHandler, stopped: Event) -> None:
    to.send_response(200)
    to.send_header("Content-Length", "1000000")
    to.end_headers()
    with suppress(OSError):
        while not stopped.wait(0.5):
            to.wfile.write(b" ")


@contextmanager
def serving(pccs: Pccs, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[Pccs]:
    stopped = Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if pccs.away or pccs.losing:
                pccs.losing -= bool(pccs.losing)
                return
            url = urlsplit(self.path)
            self.tell(url.path, {name: values[0] for name, values in parse_qs(url.query).items()})

        def do_POST(self) -> None:
            self.tell(self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def tell(self, path: str, query: dict[str, str]) -> None:
            pccs.asked.append((path, query))
            pccs.answering.wait()
            if pccs.dripping and query.get("fmspc", "").startswith(pccs.dripping):
                _drip(self, stopped)
                return
            usual = pccs.answers.get(path, (404, {}, b"no"))
            status, headers, body = pccs.answers.get((path, query.get("fmspc", "")), usual)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Tests have nobody to tell."""

    with ThreadingHTTPServer((host, 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        pccs.address = f"{'https' if tls else 'http'}://{host}:{server.server_port}"
        try:
            yield pccs
        finally:
            stopped.set()
            server.shutdown()
            thread.join()
