"""Builds the attestation service's objects and serves until it is told to stop.

To stop means: say that we are not ready, so that no new calls come; answer those that still come; and only when that had its
time, close.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime
from functools import partial

from starlette.applications import Starlette
from starlette.routing import Route

from donjon import __version__
from donjon.adapters import clock
from donjon.adapters.http.folder import FolderContexts
from donjon.adapters.http.gate import ErrorResponse
from donjon.adapters.http.limits import Limits
from donjon.adapters.http.probe import ProbeServer, Routes
from donjon.adapters.http.public import Application, GuardedServer, plain
from donjon.adapters.intel import pcs
from donjon.adapters.interpreter import spare_the_loop
from donjon.adapters.keys.rings import Ring
from donjon.adapters.linux import memory
from donjon.adapters.logs import say
from donjon.adapters.metrics.attestation import AttestationMetrics
from donjon.adapters.storage.instances import InstanceTable
from donjon.collateral.upload import MAX_UPLOAD
from donjon.findings import codes
from donjon.formats import addresses
from donjon.maa.requests import MAX_BODY
from donjon.pki.intel import INTEL
from donjon.runtime.certificate_watch import CertificateWatch
from donjon.runtime.life import stop_signal
from donjon.runtime.probes import routes
from donjon.runtime.rates import Rate, Rates
from donjon.services.attestation import inspection, nowhere
from donjon.services.attestation.assembly import Assembly, CacheParts, contexts
from donjon.services.attestation.audit_keeper import AuditKeeper
from donjon.services.attestation.database_health import DatabaseHealth
from donjon.services.attestation.identity import of_refusal, with_request_names
from donjon.services.attestation.instance_watch import InstanceWatch
from donjon.services.attestation.judging import Clocks
from donjon.services.attestation.key_watch import KeyWatch
from donjon.services.attestation.maa.instances import Instance
from donjon.services.attestation.maa.routes import Maa, server_refusal
from donjon.services.attestation.pccs.platform_routes import UPLOAD
from donjon.services.attestation.pccs.quote_collateral import ReadyCollateral
from donjon.services.attestation.settings.service import AttestationSettings, CacheMode

LOG = logging.getLogger(__name__)

SMALL_BODY = 64 << 10  # bytes; of requests whose routes read none
LAST_ANSWERS = 10.0  # seconds for who is being answered when we close
THREADS = 32  # so many that whoever waits for the upstream leaves some for the database
LOOK_EVERY = 600.0  # seconds between looks at what should be fetched again
GIVE_BACK = 10.0  # seconds
NOTHING_TO_JUDGE_BY = (
    f"collateral: none that holds, and nobody to ask for it (mode offline) [{codes.NO_COLLATERAL}]; "
    "donjon collateral import FILE --database URL, and start the service anew"
)
NOBODY_SIGNS = f"signing keys: no instance has one that signs now [{codes.NO_KEY}]; the log has its own words"

SIMULATED = "simulated, the trust root is not Intel's"


def run(settings: AttestationSettings) -> None:
    """Run the service; returns when a signal stops it, raises `DonjonError` when only a new start can help."""
    spare_the_loop()
    asyncio.run(_until_signalled(settings))


async def _until_signalled(settings: AttestationSettings) -> None:
    await serve(settings, stop_signal())


async def serve(
    settings: AttestationSettings,
    stopped: asyncio.Event,
    listens: Callable[[int], None] | None = None,
    now: Callable[[], datetime] = clock.moment,
) -> None:
    """Serve until it is to be stopped, and then as long as somebody is being answered; `listens` is told the port.

    Tokens are dated `now`, and callers' certificates are looked at then; `settings.moment` is for quotes and collateral alone.
    """
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, "work"))
    metrics, certificates = AttestationMetrics(__version__), contexts(settings)
    judging = now if (moment := settings.moment) is None else lambda: moment
    clocks = Clocks(now=now, judging=judging, seconds=clock.monotonic, labour=clock.labour, labour_aside=clock.labour_aside)
    async with AsyncExitStack() as stack:
        assembly = Assembly(stack, now)
        database = assembly.database(settings)
        upstream = None if settings.mode is CacheMode.OFFLINE else stack.enter_context(pcs.open_service(settings.upstream))
        parts = CacheParts(settings, database, upstream, judging, metrics)
        keys = await assembly.rings(settings)
        audit = AuditKeeper(await assembly.audit(settings), settings.audit_kept, now, metrics)
        _tell_ends(metrics, keys, audit, certificates)
        rates = Rates(Rate(each_second=settings.rate_limit), clock.monotonic) if settings.rate_limit else None
        maa, collateral = None, ReadyCollateral(parts.cache, settings.anchor)
        instances: list[Instance] = []
        if keys:
            journal = audit.journal(database)
            stack.callback(journal.close)
            instances = assembly.instances(settings, keys, InstanceTable(database))
            maa = Maa(instances, assembly.callers(settings, rates), collateral, journal, clocks, metrics)
        usable = _usability(settings, parts, collateral)
        error_response = plain if maa is None else server_refusal
        server = _server(settings, _application(parts.routes(rates), maa), certificates, error_response)
        metrics.count_connections(lambda: server.connections)
        health, serving = DatabaseHealth(database, writing=bool(settings.instances)), CertificateWatch(certificates, now)
        standing = InstanceWatch(instances, now, metrics)
        caveat = partial(_caveat, settings, serving, standing)
        answers = _probes(metrics, usable, health, stopped, caveat=caveat, signs=partial(_signs, keys))
        probes, watch = ProbeServer(answers, host=settings.probes[0], port=settings.probes[1]), KeyWatch(keys, audit)
        await watch.look()
        _warn(settings, serving, usable=usable())
        stack.callback(say, LOG, "attestation service stopped")
        stack.push_async_callback(probes.close)
        stack.push_async_callback(parts.close)
        stack.push_async_callback(server.close, LAST_ANSWERS)
        _loops(
            stack,
            *(_refresh(parts), health.look_now_and_then(), audit.drop_now_and_then(database)),
            *(_give_back(), watch.look_now_and_then(), serving.look_now_and_then()),
            standing.look_now_and_then(),
        )
        await probes.start()
        _tell_port(settings, await server.start(), listens)
        await stopped.wait()
        await asyncio.sleep(settings.drain)


def _application(routes_of_cache: list[Route], maa: Maa | None) -> Application:
    """The routes of the cache, behind those of instances where there are any."""
    if maa is not None:
        return maa.before(routes_of_cache)
    return with_request_names(Starlette(routes=routes_of_cache, exception_handlers={404: nowhere.answer}))


def _usability(settings: AttestationSettings, parts: CacheParts, collateral: ReadyCollateral) -> Callable[[], bool]:
    """Whether there is what quotes are judged by: for an instance also what ended so lately that its gate still takes it."""
    if not settings.instances:
        return parts.cache.usable
    return partial(collateral.usable, max(each.gate.staleness for each in settings.instances))


def _loops(stack: AsyncExitStack, *loops: Coroutine[None, None, None]) -> None:
    """Run these until the stack closes."""
    looking = asyncio.gather(*loops)

    async def end() -> None:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)

    stack.push_async_callback(end)


def _tell_ends(
    metrics: AttestationMetrics, keys: Mapping[str, Ring], audit: AuditKeeper, contexts: FolderContexts | None
) -> None:
    """Whoever reads the figures is told when keys and the serving certificate end."""
    for name, ring in keys.items():
        metrics.signs_until(name, ring.runs_out)
    for ring in audit.rings:
        metrics.audit_is_signed_until(ring.runs_out)
    if contexts is not None:
        metrics.serves(lambda: contexts.window)


def _server(
    settings: AttestationSettings,
    application: Application,
    contexts: FolderContexts | None,
    error_response: ErrorResponse,
) -> GuardedServer:
    host, port = settings.listen
    usual = Limits()
    limits = replace(usual, of_a_site=settings.connections_per_address or usual.connections)
    return GuardedServer(
        application, contexts, host=host, port=port, limits=limits, error_response=error_response, body=_body, beside=of_refusal
    )


def _body(method: str, path: str) -> int:
    """How large a request's body may be: what its route takes."""
    if method not in {"POST", "PUT"}:
        return SMALL_BODY
    return MAX_UPLOAD if path.endswith(UPLOAD) else MAX_BODY


async def _give_back() -> None:
    """Now and then what a crowd took, which has left, goes back to the system."""
    while True:
        await asyncio.sleep(GIVE_BACK)
        memory.give_back()


async def _refresh(parts: CacheParts) -> None:
    """Every ten minutes, fetch again what is due and nobody asks for."""
    while True:
        await asyncio.sleep(LOOK_EVERY)
        await parts.look()


def _tell_port(settings: AttestationSettings, port: int, listens: Callable[[int], None] | None) -> None:
    listen = addresses.join(settings.listen[0], port)
    say(LOG, "attestation service listens", version=__version__, listen=listen, mode=settings.mode)
    if listens is not None:
        listens(port)


def _warn(settings: AttestationSettings, serving: CertificateWatch, *, usable: bool) -> None:
    serving.look()
    if weakening := inspection.weakening_settings(settings):
        say(LOG, "settings that weaken security", level=logging.WARNING, settings=weakening)
    for finding in inspection.audit_warnings(settings):
        say(LOG, "audit: not good", level=logging.WARNING, code=finding.code, error=finding.words())
    if not usable:
        say(LOG, "not ready", level=logging.WARNING, code=codes.NO_COLLATERAL, error=NOTHING_TO_JUDGE_BY)


def _caveat(settings: AttestationSettings, serving: CertificateWatch, standing: InstanceWatch) -> str:
    """What whoever reads that we are ready is to know."""
    simulated = "" if settings.anchor == INTEL else SIMULATED
    return "; ".join(filter(None, (simulated, serving.caveat(), standing.caveat())))


def _signs(keys: Mapping[str, Ring]) -> bool:
    """Whether any instance has a key that signs now; where there are no instances, nothing is to be signed."""
    return not keys or any(ring.is_good() for ring in keys.values())


def _probes(
    metrics: AttestationMetrics,
    usable: Callable[[], bool],
    health: DatabaseHealth,
    stopped: asyncio.Event,
    *,
    caveat: Callable[[], str],
    signs: Callable[[], bool] = lambda: True,
) -> Routes:
    def unready() -> str:
        if stopped.is_set():
            return "stopping"
        if health.trouble is not None:
            # Strangers may read this: where the database is, and as whom it is opened, stands in the log.
            return f"the database is away [{health.trouble.code}]; the log has its own words"
        if not signs():
            return NOBODY_SIGNS
        return "" if usable() else NOTHING_TO_JUDGE_BY

    metrics.tells_readiness(lambda: not unready())
    metrics.tells_database(lambda: health.trouble is None)
    return routes(metrics.registry, unready=unready, caveat=caveat)
