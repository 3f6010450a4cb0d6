"""Builds the attestation service's objects and serves until it is told to stop.

To stop means: say that we are not ready, so that no new calls come; answer those that still come; and only when that had its
time, close.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from starlette.applications import Starlette

from donjon import __version__
from donjon.adapters import clock
from donjon.adapters.http.folder import ClientAuthorities, FolderContexts
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
from donjon.adapters.storage.collateral import CollateralTable
from donjon.adapters.storage.database import HEAD, Database
from donjon.adapters.storage.instances import InstanceTable
from donjon.collateral.upload import MAX_UPLOAD
from donjon.errors import DonjonError, Misconfigured
from donjon.findings import Finding, Severity, codes
from donjon.formats import addresses
from donjon.maa.requests import MAX_BODY
from donjon.pki.intel import INTEL
from donjon.pki.serving import appraise
from donjon.runtime.life import stop_signal
from donjon.runtime.probes import routes
from donjon.runtime.rates import Rate, Rates
from donjon.services.attestation import nowhere
from donjon.services.attestation.assembly import Assembly, CacheParts
from donjon.services.attestation.audit_keeper import AuditKeeper
from donjon.services.attestation.certificate_watch import CertificateWatch
from donjon.services.attestation.database_health import DatabaseHealth
from donjon.services.attestation.identity import of_refusal, with_request_names
from donjon.services.attestation.judging import Clocks
from donjon.services.attestation.key_watch import KeyWatch
from donjon.services.attestation.maa.instances import Instance, InstanceIssuer
from donjon.services.attestation.maa.routes import Maa, server_refusal
from donjon.services.attestation.pccs.document_memory import DocumentMemory
from donjon.services.attestation.pccs.platform_routes import UPLOAD
from donjon.services.attestation.pccs.quote_collateral import ReadyCollateral
from donjon.services.attestation.settings.service import AttestationSettings, CacheMode, ClientCertificates
from donjon.services.attestation.turns import Turns

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

SIMULATED = "simulated, the trust root is not Intel's"


def run(settings: AttestationSettings) -> None:
    """Run the service; returns when a signal stops it, raises `DonjonError` when only a new start can help."""
    spare_the_loop()
    asyncio.run(_until_signalled(settings))


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What a check of the settings that found them good has to say besides."""

    aside: tuple[str, ...] = ()  # what it did not look at
    warnings: tuple[Finding, ...] = ()


def check(settings: AttestationSettings, *, files_alone: bool) -> Inspection:
    """Open what the service would open, and change none of it; raises what it would raise.

    Of that only what is in files, where they are alone. A certificate that no client takes now is `Misconfigured` DJ149.
    """
    warnings = _date_warnings(_contexts(settings))
    if files_alone:
        asyncio.run(_open_all(_in_files(settings)))
        return Inspection(aside=_not_in_files(settings), warnings=warnings)
    database = Database(settings.database)
    try:
        version = database.check()
        warnings = (*warnings, *_collateral_warnings(settings, database, version))
    finally:
        database.close()
    asyncio.run(_open_all(settings))
    return Inspection(warnings=warnings)


def _collateral_warnings(settings: AttestationSettings, database: Database, version: str | None) -> Iterator[Finding]:
    """That nobody fetches collateral and the database holds none; nothing of tables that are yet to be brought up to date."""
    if settings.mode is not CacheMode.OFFLINE or version not in {None, HEAD}:
        return
    judging = settings.moment or clock.moment()
    memory = DocumentMemory(
        anchor=settings.anchor, moment=lambda: judging, chance=random.random, metrics=AttestationMetrics(__version__)
    )
    if version is not None:
        memory.load(CollateralTable(database).all())
    staleness = max((each.gate.staleness for each in settings.instances), default=timedelta(0))
    if not memory.not_expired(staleness):
        yield Finding.warning(
            codes.NO_COLLATERAL,
            "collateral",
            "the database holds none that has not ended, and in mode offline nobody is asked",
            "no quote can be judged, and the service is not ready",
            "bring it before the service starts: donjon collateral import FILE --database URL",
        )


def _date_warnings(contexts: FolderContexts | None) -> tuple[Finding, ...]:
    finding = None if contexts is None else appraise(contexts.window, clock.moment())
    if finding is not None and finding.severity is Severity.ERROR:
        raise Misconfigured(finding.code, finding.words())
    return () if finding is None else (finding,)


def _in_files(settings: AttestationSettings) -> AttestationSettings:
    """The settings without what others keep: the API server, and PKCS#11 tokens."""
    return replace(
        settings,
        instances=tuple(each for each in settings.instances if isinstance(each.keys, Path)),
        audit_keys=settings.audit_keys if isinstance(settings.audit_keys, Path) else None,
        access=replace(settings.access, audience=None),
    )


def _not_in_files(settings: AttestationSettings) -> tuple[str, ...]:
    keys = (settings.audit_keys, *(each.keys for each in settings.instances))
    reviews = () if settings.access.audience is None else ("the API server's reviews of tokens",)
    return ("the database", *reviews, *(str(each) for each in keys if each is not None and not isinstance(each, Path)))


async def _open_all(settings: AttestationSettings) -> None:
    async with AsyncExitStack() as stack:
        assembly = Assembly(stack, clock.moment)
        await assembly.rings(settings)
        await assembly.audit(settings)
        assembly.callers(settings, None)


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
    metrics = AttestationMetrics(__version__)
    judging = now if (moment := settings.moment) is None else lambda: moment
    contexts = _contexts(settings)
    async with AsyncExitStack() as stack:
        database = Database(settings.database)
        stack.callback(database.close)
        database.migrate()
        upstream = None if settings.mode is CacheMode.OFFLINE else stack.enter_context(pcs.open_service(settings.upstream))
        rates = Rates(Rate(each_second=settings.rate_limit), clock.monotonic) if settings.rate_limit else None
        parts = CacheParts(settings, database, upstream, judging, metrics)
        application: Application = with_request_names(
            Starlette(routes=parts.routes(rates), exception_handlers={404: nowhere.answer})
        )
        usable: Callable[[], bool] = parts.cache.usable
        assembly = Assembly(stack, now)
        keys = await assembly.rings(settings)
        audit = AuditKeeper(await assembly.audit(settings), settings.audit_kept, now, metrics)
        _tell_ends(metrics, keys, audit, contexts)
        if keys:
            journal = audit.journal(database)
            stack.callback(journal.close)
            table, collateral = InstanceTable(database), ReadyCollateral(parts.cache, settings.anchor)
            instances = _instances(settings, keys, table, stack)
            clocks = Clocks(
                now=now, judging=judging, seconds=clock.monotonic, labour=clock.labour, labour_aside=clock.labour_aside
            )
            maa = Maa(instances, assembly.callers(settings, rates), collateral, journal, clocks, metrics)
            application = maa.before(parts.routes(rates))
            usable = partial(collateral.usable, max(each.gate.staleness for each in settings.instances))
        health = DatabaseHealth(database, writing=bool(settings.instances))
        server = _server(settings, application, contexts, server_refusal if keys else plain)
        metrics.count_connections(lambda: server.connections)
        serving = CertificateWatch(contexts, now)
        answers = _probes(metrics, usable, health, stopped, caveat=partial(_caveat, settings, serving))
        probes = ProbeServer(answers, host=settings.probes[0], port=settings.probes[1])
        watch = KeyWatch(keys, audit)
        await watch.look()
        _warn(settings, serving, usable=usable())
        looking = asyncio.gather(
            *(_refresh(parts), health.look_now_and_then(), audit.drop_now_and_then(database)),
            *(_give_back(), watch.look_now_and_then(), serving.look_now_and_then()),
        )
        try:
            await probes.start()
            _tell_port(settings, await server.start(), listens)
            await stopped.wait()
            await asyncio.sleep(settings.drain)
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
            await server.close(LAST_ANSWERS)
            await parts.close()
            await probes.close()
            say(LOG, "attestation service stopped")


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


def _instances(
    settings: AttestationSettings, keys: Mapping[str, Ring], table: InstanceTable, stack: AsyncExitStack
) -> list[Instance]:
    turns = Turns()
    stack.callback(turns.close)
    issuers = [InstanceIssuer(url=each.issuer, ring=keys[each.name]) for each in settings.instances]
    return [Instance(*each, table, turns) for each in zip(settings.instances, issuers, strict=True)]


def _contexts(settings: AttestationSettings) -> FolderContexts | None:
    if settings.tls is None:
        return None
    required = settings.client_certificates is ClientCertificates.REQUIRED
    clients = None if settings.client_ca is None else ClientAuthorities(path=settings.client_ca, required=required)
    return FolderContexts(settings.tls, _tell, clients)


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
    unsafe = {
        "unsafe-http": settings.tls is None,
        "unsafe-trust-root": settings.anchor != INTEL,
        "unsafe-clock": settings.moment is not None,
    }
    debugging = [f"instances.{each.name}.gate.allow-debug" for each in settings.instances if each.gate.allow_debug]
    if weakening := [*(name for name, is_set in unsafe.items() if is_set), *debugging]:
        say(LOG, "settings that weaken security", level=logging.WARNING, settings=weakening)
    if not usable:
        say(LOG, "not ready", level=logging.WARNING, code=codes.NO_COLLATERAL, error=NOTHING_TO_JUDGE_BY)


def _caveat(settings: AttestationSettings, serving: CertificateWatch) -> str:
    """What whoever reads that we are ready is to know."""
    simulated = "" if settings.anchor == INTEL else SIMULATED
    return "; ".join(filter(None, (simulated, serving.caveat())))


def _tell(error: DonjonError | None) -> None:
    if error is None:
        say(LOG, "certificate in use")
    else:
        say(LOG, "certificate not taken", level=logging.WARNING, code=error.code, error=error.message)


def _probes(
    metrics: AttestationMetrics,
    usable: Callable[[], bool],
    health: DatabaseHealth,
    stopped: asyncio.Event,
    *,
    caveat: Callable[[], str],
) -> Routes:
    def unready() -> str:
        if stopped.is_set():
            return "stopping"
        if health.trouble is not None:
            # Strangers may read this: where the database is, and as whom it is opened, stands in the log.
            return f"the database is away [{health.trouble.code}]; the log has its own words"
        return "" if usable() else NOTHING_TO_JUDGE_BY

    metrics.tells_readiness(lambda: not unready())
    metrics.tells_database(lambda: health.trouble is None)
    return routes(metrics.registry, unready=unready, caveat=caveat)
