"""The attestation service as its users run it: a process of its own, settings in a file, TLS, a make-believe Intel beside it."""

import base64
import os
import signal
import ssl
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import httpx2
from cryptography import x509
from testbed import clock
from tests.adapters import fakepccs
from tests.adapters.fakepccs import Pccs
from tests.adapters.https import SERVING, trusting
from tests.pki.clientcerts import ClientAuthority, Issued
from tests.ports import free_port
from tests.services.attesting import VERSION, instance
from tests.simulation import intel
from tests.simulation.intel import MOMENT

from donjon.simulation.intel.world import World

INSTANCES = ("aa", "bb", "cc", "dd")
SGX, OPEN_ENCLAVE = "SgxEnclave", "OpenEnclave"
BACK = 2.0
"""Seconds, from the start of the process to its first answer, that the service promises."""

SETTLED = 20.0  # seconds
_AUTHORITY = ClientAuthority()
_CALLERS = '[[callers]]\ncertificate = "dns:operator.example"\ninstances = ["*"]\nroles = ["policy", "draft"]\n'


@cache
def world() -> World:
    """The one in which everybody here attests."""
    return intel.world()


@cache
def _operator() -> Issued:
    return _AUTHORITY.issue(x509.DNSName("operator.example"))


@cache
def _context() -> ssl.SSLContext:
    """Of who may do everything."""
    return _operator().shown_by(trusting(SERVING.authority.pem))


def shown(path: Path) -> Path:
    """The file, with key and certificate of who may do everything."""
    path.write_bytes(_operator().private + _operator().pem)
    return path


Entering = Callable[..., tuple[str, ...]]
"""Makes a command run in some cgroup."""


def _anywhere(*command: str) -> tuple[str, ...]:
    return command


@dataclass
class Process:
    """One that can be ended and started again, at the same port."""

    folder: Path
    port: int
    probes: int
    upstream: Pccs
    entering: Entering = _anywhere
    _running: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def address(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._running is not None
        return self._running.pid

    def start(self) -> None:
        """At once; it answers when it does."""
        command = [sys.executable, "-m", "donjon", "attestation", "serve", "--config", str(self.folder / "settings.toml")]
        with (self.folder / "log").open("ab") as log:
            self._running = subprocess.Popen(self.entering(*command), stdout=log, stderr=log, env={"PATH": os.environ["PATH"]})

    def kill(self) -> None:
        """As the kernel does when memory runs out: without a word."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """As Kubernetes does; its exit code."""
        return self._end(signal.SIGTERM)

    def ended(self) -> int:
        """The exit code of one that ends by itself."""
        assert self._running is not None
        return self._running.wait(SETTLED)

    def back(self, client: httpx2.Client) -> float:
        """Asks until an attestation is answered; the seconds that this took, without those in which others had the processor."""
        began = clock.now()
        while clock.now() < began + SETTLED:
            assert self._running is None or self._running.poll() is None, self.told()
            try:
                if attest(client, INSTANCES[0]).is_success:
                    return clock.now() - began - self._queued()
            except httpx2.TransportError:
                pass
            clock.pause(0.01)
        raise AssertionError(self.told())

    def answers(self) -> bool:
        """Whether it listens."""
        try:
            return httpx2.get(f"http://127.0.0.1:{self.probes}/healthz").is_success
        except httpx2.TransportError:
            return False

    def ready(self) -> bool:
        """What /readyz says."""
        return httpx2.get(f"http://127.0.0.1:{self.probes}/readyz", timeout=10).is_success

    def runs(self) -> bool:
        """Whether nothing has ended it."""
        return self._running is not None and self._running.poll() is None

    def memory(self) -> int:
        """Bytes of it that are in memory (RSS)."""
        return int(Path(f"/proc/{self.pid}/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def _queued(self) -> float:
        """Seconds for which its first thread could have run and did not, for the processors were taken (proc(5), schedstat)."""
        return int(Path(f"/proc/{self.pid}/schedstat").read_text("ascii").split()[1]) / 1e9

    def told(self) -> str:
        """The end of its log."""
        return (self.folder / "log").read_text(errors="replace")[-4000:]

    def _end(self, by: signal.Signals) -> int:
        if self._running is None:
            return 0
        running, self._running = self._running, None
        running.send_signal(by)
        return running.wait(SETTLED)


@contextmanager
def process(
    folder: Path,
    database: str,
    instances: tuple[str, ...] = INSTANCES,
    *,
    rate_limit: int = 0,
    entering: Entering = _anywhere,
) -> Iterator[Process]:
    """Not started yet; ended at the end of the block."""
    with fakepccs.serving(Pccs(fakepccs.answers(world()))) as upstream:
        made = Process(folder, free_port(), free_port(), upstream, entering)
        _configure(made, database, instances, rate_limit)
        try:
            yield made
        finally:
            made.kill()


def client(of: Process) -> httpx2.Client:
    """One who may do everything."""
    return httpx2.Client(base_url=of.address, verify=_context(), params={"api-version": VERSION}, timeout=15)


def attest(by: httpx2.Client, instance: str, kind: str = SGX) -> httpx2.Response:
    return by.post(f"/{instance}/attest/{kind}", json=evidence(kind))


@cache
def evidence(kind: str) -> dict[str, str]:
    """What is shown of that type."""
    quote = world().quote.data
    if kind == SGX:
        return {"quote": base64.urlsafe_b64encode(quote).decode()}
    return {"report": base64.urlsafe_b64encode(struct.pack("<IIQ", 1, 2, len(quote)) + quote).decode()}


def _configure(of: Process, database: str, instances: tuple[str, ...], rate_limit: int) -> None:
    """Files as its users write them."""
    tls = of.folder / "tls"
    tls.mkdir()
    (tls / "tls.crt").write_bytes(SERVING.certificate)
    (tls / "tls.key").write_bytes(SERVING.key)
    (of.folder / "root.der").write_bytes(world().root)
    (of.folder / "clients.pem").write_bytes(_AUTHORITY.pem)
    said = {
        "listen": f"127.0.0.1:{of.port}",
        "probes": f"127.0.0.1:{of.probes}",
        "tls-dir": tls,
        "client-ca": of.folder / "clients.pem",
        "database": database,
        "upstream": of.upstream.address,
        "unsafe-trust-root": of.folder / "root.der",
        "unsafe-clock": f"{MOMENT:%FT%TZ}",
        "drain": 0,
        "rate-limit": rate_limit,
    }
    plain = "".join(f'{name} = "{value}"\n' for name, value in said.items())
    tables = "".join(instance(of.folder, name) for name in instances)
    (of.folder / "settings.toml").write_text(plain + _CALLERS + tables)
