"""The attestation service as the chart runs it, in the chart's memory limit, and what clients need to call it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from tests.adapters.https import SERVING
from tests.endurance import process
from tests.endurance.process import Process
from tests.siege import cell, hostile
from tests.siege.cell import Cell
from tests.simulation import intel

NOBODYS = "ffff"
"""How the FMSPCs of platforms begin that nobody has: the upstream answers about them a byte at a time."""

HONEST, TENANT = "aa", "bb"
"""The instance that honest clients use, and the one whose policies a hostile tenant sets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where the service listens, with what it is spoken to, and quotes to show it."""

    port: int
    probes: int
    authority: bytes
    tenant: Path  # key and certificate of the tenant
    quote: bytes
    quote_of_lists: bytes  # its report data are those of `hostile.lists`
    fmspc: str


@contextmanager
def fortress(folder: Path) -> Iterator[tuple[Process, Cell, Target]]:
    """Started, and answering; ended at the end of the block."""
    with (
        cell.opened(folder.name, cell.limit()) as bounds,
        process.process(
            folder, f"sqlite:///{folder}/x.db", (HONEST, TENANT), rate_limit=100, entering=bounds.entering
        ) as service,
    ):
        service.upstream.dripping = NOBODYS
        service.start()
        with process.client(service) as client:
            service.back(client)
        yield service, bounds, _target(service)


def _target(service: Process) -> Target:
    made = process.world()
    lists = {"quote.body.report_data": sha256(hostile.lists().encode()).digest() + bytes(32)}
    return Target(
        port=service.port,
        probes=service.probes,
        authority=SERVING.authority.pem,
        tenant=process.shown(service.folder / "tenant.pem"),
        quote=made.quote.data,
        quote_of_lists=intel.world(changes=lists).quote.data,
        fmspc=made.setting.extension.fmspc.hex(),
    )
