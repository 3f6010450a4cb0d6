"""A second opinion: dcap-qvl, in processes of its own, because one that crashes must not take the tests with it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from donjon.simulation.intel.world import World

NAMES = (
    *("tcb_info", "tcb_info_signature", "tcb_info_issuer_chain", "qe_identity", "qe_identity_signature"),
    *("qe_identity_issuer_chain", "pck_crl", "pck_crl_issuer_chain", "root_ca_crl"),
)
"""Of the nine parts of a bundle, as dcap-qvl calls them."""

_HEX = {"tcb_info_signature", "qe_identity_signature", "pck_crl", "root_ca_crl"}
_PROGRAM = (sys.executable, str(Path(__file__).with_name("peer_process.py")))


@dataclass(frozen=True, slots=True)
class Question:
    quote: bytes
    bundle: str
    moment: datetime
    root: bytes | None = None  # None: Intel's


@dataclass(frozen=True, slots=True)
class Opinion:
    """A status with its advisories, or why it refused."""

    status: str | None = None
    advisories: frozenset[str] = frozenset()
    refused: str | None = None
    ppid: str | None = None


def bundle(world: World) -> str:
    """The world's collateral as one JSON object."""
    return bundle_of({name: getattr(world, name) for name in NAMES})


def bundle_of(parts: dict[str, bytes]) -> str:
    """Text that is no UTF-8 cannot stand in JSON: such a byte becomes another character, and the signature fails as it should."""
    return json.dumps({name: part.hex() if name in _HEX else part.decode(errors="replace") for name, part in parts.items()})


def question(world: World) -> Question:
    return Question(world.quote.data, bundle(world), world.setting.moment, world.root)


class Peer:
    """One process of it, started again after a crash."""

    def __init__(self) -> None:
        self.crashes = 0
        self._start()

    def ask(self, asked: Question) -> Opinion:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        sent = {"quote": asked.quote.hex(), "bundle": asked.bundle, "root": (asked.root or b"").hex()}
        line = ""
        try:
            self._process.stdin.write(json.dumps(sent | {"moment": int(asked.moment.timestamp())}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            pass
        if not line:
            self.stop()
            self._start()
            self.crashes += 1
            return Opinion(refused="crashed")
        return _opinion(json.loads(line))

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            _PROGRAM, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )


@contextmanager
def started() -> Iterator[Peer]:
    peer = Peer()
    try:
        yield peer
    finally:
        peer.stop()


def _opinion(said: dict[str, object]) -> Opinion:
    advisories = said.get("advisories")
    return Opinion(
        status=_text(said.get("status")),
        advisories=frozenset(map(str, advisories)) if isinstance(advisories, list) else frozenset(),
        refused=_text(said.get("refused")),
        ppid=_text(said.get("ppid")),
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)
