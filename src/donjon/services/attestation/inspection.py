"""What `--check` looks at: all that the service would open, opened and left as it is."""

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from donjon import __version__
from donjon.adapters import clock
from donjon.adapters.http.folder import FolderContexts
from donjon.adapters.metrics.attestation import AttestationMetrics
from donjon.adapters.storage.collateral import CollateralTable
from donjon.adapters.storage.database import HEAD, Database
from donjon.adapters.storage.instances import InstanceTable, StoredInstance
from donjon.errors import Misconfigured
from donjon.findings import Finding, Severity, codes
from donjon.pki.intel import INTEL
from donjon.pki.serving import appraise
from donjon.services.attestation.assembly import Assembly, contexts
from donjon.services.attestation.maa.instances import faults, read_state, unreadable
from donjon.services.attestation.pccs.document_memory import DocumentMemory
from donjon.services.attestation.settings.instances import InstanceSettings
from donjon.services.attestation.settings.service import AttestationSettings, CacheMode
from donjon.services.attestation.turns import Turns


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What a check of the settings that found them good has to say besides."""

    aside: tuple[str, ...] = ()  # what it did not look at
    weakening: tuple[str, ...] = ()  # settings that weaken security
    warnings: tuple[Finding, ...] = ()


def check(settings: AttestationSettings, *, files_alone: bool) -> Inspection:
    """Open what the service would open, and change none of it; raises what it would raise.

    Of that only what is in files, where they are alone. A certificate that no client takes now is `Misconfigured` DJ149.
    """
    warnings = (*_date_warnings(contexts(settings)), *audit_warnings(settings))
    weakening = weakening_settings(settings)
    if files_alone:
        ends = asyncio.run(_open_all(_in_files(settings)))
        standing = asyncio.run(_instance_warnings(settings, _nothing_kept))
        return Inspection(aside=_not_in_files(settings), weakening=weakening, warnings=(*warnings, *ends, *standing))
    database = Database(settings.database)
    try:
        version = database.check()
        warnings = (*warnings, *_collateral_warnings(settings, database, version))
        reader = InstanceTable(database).read if version == HEAD else _nothing_kept
        warnings = (*warnings, *asyncio.run(_instance_warnings(settings, reader)))
    finally:
        database.close()
    return Inspection(weakening=weakening, warnings=(*warnings, *asyncio.run(_open_all(settings))))


def weakening_settings(settings: AttestationSettings) -> tuple[str, ...]:
    """The names of those that weaken security, which log and check tell."""
    unsafe = {
        "unsafe-http": settings.tls is None,
        "unsafe-trust-root": settings.anchor != INTEL,
        "unsafe-clock": settings.moment is not None,
    }
    debugging = (f"instances.{each.name}.gate.allow-debug" for each in settings.instances if each.gate.allow_debug)
    return (*(name for name, is_set in unsafe.items() if is_set), *debugging)


def audit_warnings(settings: AttestationSettings) -> tuple[Finding, ...]:
    """That nobody signs the audit of real platforms; a rehearsal's proves nothing to anybody."""
    if not settings.instances or settings.audit_keys is not None or settings.anchor != INTEL:
        return ()
    return (
        Finding.warning(
            "DJ636",
            "audit",
            "there are instances, and no audit-keys",
            "its heads are signed by nobody, and what is recorded now stays so: whoever can write to the database can write them",
            "give audit-keys before the first start (docs/audit.md)",
        ),
    )


def _collateral_warnings(settings: AttestationSettings, database: Database, version: str | None) -> Iterator[Finding]:
    """That what the database holds is of another root, or that nobody fetches collateral and it holds none.

    Nothing of tables that are yet to be brought up to date.
    """
    if version not in {None, HEAD}:
        return
    judging = settings.moment or clock.moment()
    memory = DocumentMemory(
        anchor=settings.anchor, moment=lambda: judging, chance=random.random, metrics=AttestationMetrics(__version__)
    )
    unserved = {} if version is None else memory.take(CollateralTable(database).all())
    if any(error.code == codes.ANOTHER_ROOT for error in unserved.values()):
        yield Finding.warning(
            codes.ANOTHER_ROOT,
            "collateral",
            f"of what the database holds, {len(unserved)} documents are not proved by the root that these settings trust",
            "they are not served, and no quote is judged by them",
            "if it is another service's database, give this one its own; else name the root: unsafe-trust-root",
        )
        return
    if settings.mode is not CacheMode.OFFLINE:
        return
    staleness = max((each.gate.staleness for each in settings.instances), default=timedelta(0))
    if not memory.not_expired(staleness):
        yield Finding.warning(
            codes.NO_COLLATERAL,
            "collateral",
            "the database holds none that has not ended, and in mode offline nobody is asked",
            "no quote can be judged, and the service is not ready",
            "bring it before the service starts: donjon collateral import FILE --database URL",
        )


def _nothing_kept(_: str) -> StoredInstance:
    return StoredInstance(generation=0, policies={}, certificates=())


async def _instance_warnings(settings: AttestationSettings, reader: Callable[[str], StoredInstance]) -> tuple[Finding, ...]:
    """What of the instances does not serve with what they keep: the service starts, and serves the others."""
    turns, moment = Turns(), clock.moment()
    try:
        by_instance = [await _faults(each, reader(each.name), turns, moment) for each in settings.instances]
    finally:
        turns.close()
    return tuple(replace(each, severity=Severity.WARNING) for of_one in by_instance for each in of_one)


async def _faults(settings: InstanceSettings, record: StoredInstance, turns: Turns, moment: datetime) -> tuple[Finding, ...]:
    try:
        return await faults(read_state(settings, record, turns), moment)
    except Misconfigured as error:
        return (unreadable(settings.name, error),)


def _date_warnings(serving: FolderContexts | None) -> tuple[Finding, ...]:
    moment = clock.moment()
    finding = None if serving is None else appraise(serving.window, moment)
    if finding is not None and finding.severity is Severity.ERROR:
        raise Misconfigured(finding.code, f"{finding.words()} (this machine's clock says {moment:%FT%TZ})")
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


async def _open_all(settings: AttestationSettings) -> tuple[Finding, ...]:
    """Keys and callers, opened; what is amiss with keys that sign now."""
    async with AsyncExitStack() as stack:
        assembly = Assembly(stack, clock.moment)
        rings = [*(await assembly.rings(settings)).values(), await assembly.audit(settings)]
        assembly.callers(settings, None)
        return tuple(finding for ring in rings if ring is not None and (finding := ring.finding()) is not None)
