"""The attestation service as the chart runs it, in the chart's memory limit."""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from tests.adapters.https import SERVING
from tests.endurance import process
from tests.endurance.process import Process
from tests.siege import cell, hostile
from tests.siege.cell import Cell
from tests.siege.target import HONEST, NOBODYS, TENANT, Target
from tests.simulation import intel


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
