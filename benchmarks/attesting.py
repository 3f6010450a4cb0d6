"""What the benchmark of attestations runs and measures: services of their own, and the parts of an attestation, bare.

The quote is the real one of the recorded exchanges of Microsoft's client with the service (2021), with the data that its enclave
held; it is judged as of May 2023, of which its platform's collateral is published, by a gate that takes it as it was: OutOfDate.
"""

import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from tests.adapters import fakepccs
from tests.adapters.fakepccs import Pccs
from tests.attestation import recordings, vectors
from tests.maa import attackers
from tests.services.attesting import RECORDED, instance

from benchmarks.load import CONNECTIONS, JSON, Post
from benchmarks.processes import pause
from donjon.adapters.storage.database import Database
from donjon.attestation.memory import Memory
from donjon.attestation.quote import parse
from donjon.attestation.verify import verify
from donjon.signing.signer import Algorithm

HOST = "127.0.0.1"
CONSTANT, VERIFICATION, RECORD = "constant", "verification", "audit record"
PATIENCE = 20  # seconds until a service answers

_GATE = 'accept = ["OutOfDate"]'
_ROWS = "SELECT event FROM audit_records ORDER BY number DESC LIMIT 1"
_INSERT = "INSERT INTO audit_records (writer, number, moment, event, previous, hash) VALUES (?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A process that answers."""

    process: int
    post: Post


class Place:
    """A folder with a database, keys and settings, and the services that run over it until the end of `opened`."""

    def __init__(self, folder: Path, upstream: str, stack: ExitStack) -> None:
        self.folder, self._upstream, self._stack = folder, upstream, stack
        self.body, self._answer = folder / "request.json", folder / "answer.json"
        asked = next(each for each in recordings.under("/attest/OpenEnclave") if '"JSON"' in each.body)
        report, data = recordings.request(asked)["report"], recordings.request(asked)["runtimeData"]
        self.body.write_text(json.dumps({"report": report, "runtimeData": data}), encoding="ascii")
        tables = "".join(instance(folder, name.lower(), gate=_GATE, algorithm=name) for name in Algorithm)
        (folder / "donjon.toml").write_text(tables, encoding="ascii")

    def service(self, core: int, algorithm: Algorithm) -> Running:
        """One process of the service, on that processor; its instance signs so."""
        serving, probing = _free_port(), _free_port()
        case = vectors.cases()[RECORDED]
        options = {
            "config": self.folder / "donjon.toml",
            "listen": f"{HOST}:{serving}",
            "probes": f"{HOST}:{probing}",
            "unsafe-http": "true",
            "database": f"sqlite:///{self.database}",
            "upstream": self._upstream,
            "unsafe-clock": f"{vectors.moment(case):%FT%TZ}",
            "rate-limit": "100000",  # so that each is counted and none waits
            "drain": "0",
        }
        command = ["-m", "donjon", "attestation", "serve", *(f"--{name}={value}" for name, value in options.items())]
        url = f"http://{HOST}:{serving}/{algorithm.lower()}/attest/OpenEnclave?api-version=2020-10-01"
        running = self._run(core, command, url)
        self._answer.write_bytes(_ask(running.post))
        return running

    def constant(self, core: int) -> Running:
        """The same server, answering always what a service has answered last."""
        port = _free_port()
        return self._run(core, ["-m", "benchmarks.constant", str(port), str(self._answer)], f"http://{HOST}:{port}/")

    @property
    def database(self) -> Path:
        """Of every service here."""
        return self.folder / "attestation.db"

    def _run(self, core: int, command: list[str], url: str) -> Running:
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(["taskset", "-c", str(core), sys.executable, *command], stdout=log, stderr=log)
        self._stack.callback(_end, process)
        made = Running(process=process.pid, post=Post(url=url, body=self.body))
        for _ in range(PATIENCE * 10):
            try:
                _ask(made.post)
            except (URLError, OSError):
                pause(0.1)
            else:
                return made
        raise RuntimeError((self.folder / "log").read_text("utf-8"))


@contextmanager
def opened(folder: Path) -> Iterator[Place]:
    """A place, over the collateral that a caching service of the benchmark's own has."""
    collateral = vectors.received(vectors.names(vectors.cases()[RECORDED]))
    with fakepccs.serving(Pccs(fakepccs.collateral(collateral, "SGX"))) as upstream, ExitStack() as stack:
        yield Place(folder, upstream.address, stack)


def parts(place: Place) -> dict[str, Callable[[], float]]:
    """Of each part of an attestation, what measures the seconds of processor time that it takes, bare, on one processor."""
    case = vectors.cases()[RECORDED]
    raw, moment, memory = (vectors.ROOT / case["quote"]).read_bytes(), vectors.moment(case), Memory()
    collateral = vectors.trusted(vectors.names(case))
    token = bytes(3000)  # what is signed; of a signature's time, hashing it is little
    rsa_key, ec_key = (load_pem_private_key(attackers.key(str(name), name), None) for name in (Algorithm.RS256, Algorithm.ES256))
    if not isinstance(rsa_key, rsa.RSAPrivateKey) or not isinstance(ec_key, ec.EllipticCurvePrivateKey):
        raise TypeError("keys: expected RSA and EC")
    scheme, digest = padding.PKCS1v15(), hashes.SHA256()
    return {
        VERIFICATION: lambda: _each(lambda: verify(parse(raw), collateral, moment, memory), 400),
        Algorithm.RS256: lambda: _each(lambda: rsa_key.sign(token, scheme, digest), 200),
        Algorithm.ES256: lambda: _each(lambda: ec_key.sign(token, ec.ECDSA(digest)), 400),
        RECORD: _writing(place),
    }


def _writing(place: Place) -> Callable[[], float]:
    """Of a record, written by sqlite3 alone with as many others as there are connections, each time to the disk."""
    file = place.folder / "bare.db"
    database = Database(f"sqlite:///{file}")
    database.migrate()
    database.close()
    with sqlite3.connect(place.database) as service:
        (event,) = service.execute(_ROWS).fetchone()
    bare = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        bare.execute(f"PRAGMA {pragma}")
    batches = iter(range(10**9))

    def write() -> None:
        first = next(batches) * CONNECTIONS
        bare.execute("BEGIN IMMEDIATE")
        bare.executemany(_INSERT, [("bare", first + each, first, event, bytes(32), bytes(32)) for each in range(CONNECTIONS)])
        bare.execute("COMMIT")

    return lambda: _each(write, 50) / CONNECTIONS


def _each(call: Callable[[], object], times: int) -> float:
    call()
    before = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - before) / times


def _ask(post: Post) -> bytes:
    request = Request(post.url, post.body.read_bytes(), {"Content-Type": JSON})  # noqa: S310 - an address of our own.
    with urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310 - the same.
        found: bytes = answer.read()
    return found


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    process.wait()


def cores() -> tuple[int, int]:
    """Two processors that this process may use."""
    first, second, *_ = sorted(os.sched_getaffinity(0))
    return first, second
