"""What a document from the collateral cache costs beside a constant answer of the same bytes from the same server.

Both in one process over plain HTTP with kept connections, 16 at once by `hey` (Debian), in turns; the ratio is of the server's
processor time a request, because the client runs on the same machine.
"""

import asyncio
import re
import resource
import subprocess
import sys
from datetime import UTC, datetime
from statistics import median
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from benchmarks import load
from donjon.adapters import clock
from donjon.adapters.http.limits import Limits
from donjon.adapters.http.public import GuardedServer
from donjon.adapters.metrics.attestation import AttestationMetrics
from donjon.collateral import plan
from donjon.collateral.bundle import files
from donjon.collateral.plan import Answer, Channel
from donjon.pki import intel
from donjon.services.attestation.pccs.cache import Cache
from donjon.services.attestation.pccs.document_routes import Pccs
from donjon.sgx.platform import Tee
from donjon.simulation.intel.setting import setting
from donjon.simulation.intel.world import World, make

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
ROUNDS, SECONDS = 5, 2
GOAL = 0.7


class Held:
    """A table that holds a world's documents."""

    def __init__(self, made: World) -> None:
        parts, channel = files(made.collateral), Channel.STANDARD
        info = plan.tcb_info(Tee.SGX, made.setting.extension.fmspc, channel)
        self._answers = {
            plan.root_ca_crl().name(): Answer(body=made.root_ca_crl, chain=made.pck_crl_issuer_chain),
            info.name(): Answer(body=parts["tcb_info.json"], chain=made.tcb_info_issuer_chain),
        }

    def all(self) -> dict[str, Answer]:
        """Every document."""
        return dict(self._answers)

    def read(self, name: str) -> Answer | None:
        """One of them."""
        return self._answers.get(name)

    def write(self, documents: dict[str, Answer]) -> None:
        """Nothing is fetched here."""


async def main() -> int:
    """Print microseconds a request and the ratio; 1 where the goal is missed."""
    load.install()
    made = make(setting(b"benchmark", MOMENT))
    metrics = AttestationMetrics("benchmark")
    cache = Cache(
        store=Held(made),
        upstream=None,
        anchor=intel.anchor(made.root),
        moment=lambda: MOMENT,
        seconds=clock.monotonic,
        chance=lambda: 0.5,
        metrics=metrics,
    )
    cache.load()
    document = await cache.get(plan.tcb_info(Tee.SGX, made.setting.extension.fmspc, Channel.STANDARD))
    header = quote(document.chain)
    same = Response(document.body, headers={"TCB-Info-Issuer-Chain": header}, media_type="application/json")

    async def constant(_: object) -> Response:
        return same

    served = {
        f"/sgx/certification/v4/tcb?fmspc={made.setting.extension.fmspc.hex()}": Pccs(cache, metrics, None).routes(),
        "/constant": [Route("/constant", constant)],
    }
    servers = {
        path: GuardedServer(Starlette(routes=routes), None, host="127.0.0.1", port=0, limits=Limits())
        for path, routes in served.items()
    }
    ports = {path: await server.start() for path, server in servers.items()}
    found: dict[str, list[float]] = {path: [] for path in served}
    for _ in range(ROUNDS):
        for path, port in ports.items():
            found[path].append(await cost(f"http://127.0.0.1:{port}{path}"))
    for server in servers.values():
        await server.close(1)
    cached, floor = (median(each) for each in found.values())
    print(f"from the cache {cached:.0f} µs, a constant answer {floor:.0f} µs: {floor / cached:.2f} (goal {GOAL})")
    return 0 if floor / cached >= GOAL else 1


async def cost(url: str) -> float:
    """Microseconds of this process a request."""
    before = used()
    hey = await asyncio.create_subprocess_exec("hey", "-z", f"{SECONDS}s", "-c", "16", url, stdout=subprocess.PIPE)
    told = (await hey.communicate())[0].decode()
    answered = re.search(r"\[200\]\s+(\d+) responses", told)
    if answered is None:
        raise RuntimeError(told)
    return (used() - before) / int(answered[1]) * 1e6


def used() -> float:
    """Seconds of processor time."""
    spent = resource.getrusage(resource.RUSAGE_SELF)
    return spent.ru_utime + spent.ru_stime


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
