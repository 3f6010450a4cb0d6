"""Platforms in the database: those with PCK certificates, and those that wait for theirs. What comes out is proved again.

One machine can say that it has many quoting enclaves, so the database keeps a few of each and no more.
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Row, Table, delete, func, select
from sqlalchemy.sql import ColumnElement

from donjon.adapters.storage.database import Database
from donjon.adapters.storage.octets import octets
from donjon.adapters.storage.tables import PLATFORMS, REGISTRATIONS
from donjon.collateral.platforms import KnownPlatform, PlatformName, Registration, StoredPlatform
from donjon.collateral.selection import Tcb
from donjon.errors import Unavailable
from donjon.formats.words import recite
from donjon.pki import pem

MAX_PLATFORMS, MAX_WAITING = 50_000, 10_000
MAX_OF_MACHINE = 8  # names under which one machine is kept; the one that was fetched longest ago gives way

MAX_LISTED = 32 << 20  # bytes of platforms in one list
_ROW = 700  # bytes of one without manifest

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


class PlatformTable:
    """The platforms; safe to use from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, name: PlatformName) -> StoredPlatform | None:
        """The one of that name, with its certificates; raises `Unavailable` DJ502, as all the others do."""
        with self._database.reading() as connection:
            row = connection.execute(select(PLATFORMS).where(_has_name(PLATFORMS, name))).one_or_none()
        return None if row is None else _platform_from_row(row)

    def all(self) -> list[StoredPlatform]:
        """Every platform, with its certificates."""
        with self._database.reading() as connection:
            return [_platform_from_row(row) for row in connection.execute(select(PLATFORMS).order_by(*_KEY))]

    def list_platforms(self, fmspcs: Sequence[bytes], *, lacking: bool) -> list[Registration]:
        """Those of these families, or of every one; those alone of whose certificates Intel lacked some.

        Raises `Unavailable` DJ578 for more than `MAX_LISTED` bytes.
        """
        conditions: list[ColumnElement[bool]] = [PLATFORMS.c.fmspc.in_([each.hex() for each in fmspcs])] if fmspcs else []
        conditions += [PLATFORMS.c.unavailable > 0] if lacking else []
        with self._database.reading() as connection:
            _check_size(connection, PLATFORMS, conditions)
            columns = [PLATFORMS.c[column.name] for column in REGISTRATIONS.c]
            return [
                _registration_from_row(row) for row in connection.execute(select(*columns).where(*conditions).order_by(*_KEY))
            ]

    def fetched_before(self, moment: datetime, count: int) -> list[PlatformName]:
        """That many at most whose certificates were fetched before then, the oldest first."""
        query = select(*_KEY).where(PLATFORMS.c.fetched < _seconds(moment)).order_by(PLATFORMS.c.fetched).limit(count)
        with self._database.reading() as connection:
            return [PlatformName(qe_id=qe_id, pce_id=bytes.fromhex(pce_id)) for qe_id, pce_id in connection.execute(query)]

    def write(self, platforms: Sequence[KnownPlatform]) -> None:
        """Keep these, all or none, in place of those of the same name, and let them wait no longer.

        Raises `Unavailable` DJ576 where no more are kept.
        """
        with self._database.changing() as connection:
            for each in platforms:
                self._replace(connection, PLATFORMS, _row(each))
                connection.execute(delete(REGISTRATIONS).where(_has_name(REGISTRATIONS, each.stored_platform.registration.name)))
                _let_go(connection, _machine(each))
            _check_count(connection, PLATFORMS, MAX_PLATFORMS)

    def register(self, registration: Registration) -> None:
        """Let this one wait for its certificates; raises `Unavailable` DJ576 where too many do."""
        with self._database.changing() as connection:
            self._replace(connection, REGISTRATIONS, _registration_row(registration))
            _check_count(connection, REGISTRATIONS, MAX_WAITING)

    def waiting(self) -> list[Registration]:
        """Those that wait; raises `Unavailable` DJ578 for more than `MAX_LISTED` bytes."""
        with self._database.reading() as connection:
            _check_size(connection, REGISTRATIONS, [])
            rows = connection.execute(select(REGISTRATIONS).order_by(REGISTRATIONS.c.qe_id, REGISTRATIONS.c.pce_id)).all()
        return [_registration_from_row(row) for row in rows]

    def _replace(self, connection: Connection, table: Table, row: dict[str, object]) -> None:
        insertion = self._database.insert(table).values(row)
        key = [column.name for column in table.primary_key]
        connection.execute(
            insertion.on_conflict_do_update(index_elements=key, set_={name: row[name] for name in row.keys() - key})
        )


_KEY = (PLATFORMS.c.qe_id, PLATFORMS.c.pce_id)


def _has_name(table: Table, name: PlatformName) -> ColumnElement[bool]:
    return (table.c.qe_id == name.qe_id) & (table.c.pce_id == name.pce_id.hex())


def _check_count(connection: Connection, table: Table, maximum: int) -> None:
    if connection.execute(select(func.count()).select_from(table)).scalar_one() > maximum:
        raise Unavailable("DJ576", f"database: {table.name}: as many are kept as may be, {maximum}")


def _check_size(connection: Connection, table: Table, conditions: Sequence[ColumnElement[bool]]) -> None:
    """Before it is read: a manifest has up to 53 kB."""
    size = func.sum(_ROW + func.coalesce(func.length(table.c.manifest), 0))
    if (total := connection.execute(select(size).where(*conditions)).scalar_one() or 0) > MAX_LISTED:
        raise Unavailable("DJ578", f"database: {table.name}: a list of {total} bytes, at most {MAX_LISTED} are told at once")


def _let_go(connection: Connection, machine: bytes) -> None:
    """Of the names of that machine those beyond what is kept of one, the longest ago first."""
    query = select(*_KEY).where(PLATFORMS.c.machine == machine).order_by(PLATFORMS.c.fetched.desc(), *_KEY)
    for qe_id, pce_id in connection.execute(query.offset(MAX_OF_MACHINE)).all():
        connection.execute(delete(PLATFORMS).where(PLATFORMS.c.qe_id == qe_id, PLATFORMS.c.pce_id == pce_id))


def _machine(platform: KnownPlatform) -> bytes:
    return hashlib.sha256(platform.pck_certificates.ppid).digest()


def _row(platform: KnownPlatform) -> dict[str, object]:
    stored_platform = platform.stored_platform
    return {
        **_registration_row(stored_platform.registration),
        "fmspc": platform.pck_certificates.fmspc.hex(),
        "machine": _machine(platform),
        "certificates": b"".join(stored_platform.certificates),
        "chain": stored_platform.chain,
        "fetched": _seconds(stored_platform.fetched_at),
        "unavailable": stored_platform.unavailable,
        "whole": stored_platform.whole,
    }


def _registration_row(registration: Registration) -> dict[str, object]:
    return {
        "qe_id": registration.name.qe_id,
        "pce_id": registration.name.pce_id.hex(),
        "cpu_svn": None if registration.tcb is None else registration.tcb.components,
        "pce_svn": None if registration.tcb is None else registration.tcb.pce_svn,
        "encrypted_ppid": registration.encrypted_ppid,
        "manifest": registration.manifest,
    }


def _registration_from_row(row: Row[tuple[object, ...]]) -> Registration:
    """Raises `Unavailable` DJ502 for a row that nobody of ours wrote."""
    try:
        return Registration(
            name=PlatformName(qe_id=row.qe_id, pce_id=bytes.fromhex(row.pce_id)),
            tcb=None if row.cpu_svn is None else Tcb(components=row.cpu_svn, pce_svn=row.pce_svn),
            encrypted_ppid=row.encrypted_ppid,
            manifest=row.manifest,
        )
    except (TypeError, ValueError) as error:
        raise _strange(error) from error


def _platform_from_row(row: Row[tuple[object, ...]]) -> StoredPlatform:
    """Raises `Unavailable` DJ502 for a row that nobody of ours wrote."""
    registration = _registration_from_row(row)
    try:
        return StoredPlatform(
            registration=registration,
            certificates=pem.each(octets(row.certificates)),
            chain=octets(row.chain),
            fetched_at=_EPOCH + row.fetched * _SECOND,
            unavailable=row.unavailable,
            whole=row.whole,
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise _strange(error) from error


def _strange(error: Exception) -> Unavailable:
    return Unavailable("DJ502", f"database: platforms: a row that is none: {recite(error)}; restore it, or delete the row")


def _seconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _SECOND
