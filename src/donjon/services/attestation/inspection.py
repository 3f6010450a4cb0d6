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
    warnings: tuple[Finding, ...] = ()


def check(settings: AttestationSettings, *, files_alone: bool) -> Inspection:
    """Open what the service would open, and change none of it; raises what it would raise.

    Of that only what is in files, where they are alone. A certificate that no client takes now is `Misconfigured` DJ149.
    """
    warnings = _date_warnings(contexts(settings))
    if files_alone:
        ends = asyncio.run(_open_all(_in_files(settings)))
        standing = asyncio.run(_instance_warnings(settings, _nothing_kept))
        return Inspection(aside=_not_in_files(settings), warnings=(*warnings, *ends, *standing))
    database = Database(settings.database)
    try:
        version = database.check()
        warnings = (*warnings, *_collateral_warnings(settings, database, version))
        reader = InstanceTable(database).read if version == HEAD else _nothing_kept
        warnings = (*warnings, *asyncio.run(_instance_warnings(settings, reader)))
    finally:
        database.close()
    return Inspection(warnings=(*warnings, *asyncio.run(_open_all(settings))))


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
