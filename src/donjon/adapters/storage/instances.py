"""What instances keep: their policies and policy management certificates. Each change raises the instance's generation by one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from sqlalchemy import Connection, Table, bindparam, delete, insert, inspect, select, type_coerce, update
from sqlalchemy.types import NullType

from donjon.adapters.storage.database import Database
from donjon.adapters.storage.octets import octets
from donjon.adapters.storage.tables import CERTIFICATES, FORMER_CERTIFICATES, INSTANCES, POLICIES


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredInstance:
    """What an instance keeps; generation 0 where nothing was ever changed."""

    generation: int
    policies: Mapping[str, str]  # attestation type to policy token, as it was sent
    certificates: tuple[bytes, ...]  # DER
    former: tuple[bytes, ...] = ()  # DER, of removed ones by which a policy is signed


@dataclass(frozen=True, slots=True)
class SetPolicy:
    """Have this policy token for that attestation type."""

    kind: str
    token: str


@dataclass(frozen=True, slots=True)
class RemovePolicy:
    """Have no policy of its own for that attestation type."""

    kind: str


@dataclass(frozen=True, slots=True)
class SetCertificates:
    """Have these policy management certificates, and no others; policies that former ones signed still apply."""

    certificates: tuple[bytes, ...]  # DER
    former: tuple[bytes, ...] = ()  # DER


Change: TypeAlias = SetPolicy | RemovePolicy | SetCertificates


_GENERATIONS = (
    select(INSTANCES.c.instance, INSTANCES.c.generation)
    .where(INSTANCES.c.instance.in_(bindparam("instances", expanding=True)))
    .order_by(INSTANCES.c.instance)  # One order for everybody, so that no two writers wait for each other.
)
_LOCKED_GENERATIONS = {changing: _GENERATIONS.with_for_update(read=not changing) for changing in (False, True)}
"""Made once: SQLAlchemy takes longer to make a statement than SQLite to do it."""


class InstanceTable:
    """Reads what instances keep."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, instance: str) -> StoredInstance:
        """What that instance keeps now; raises `Unavailable` DJ502."""
        with self._database.reading() as connection:
            return read_instance(connection, instance)


def read_instance(connection: Connection, instance: str, *, older: bool = False) -> StoredInstance:
    """What that instance keeps; in an `older` database, which no newer version has opened yet, there are no former managers."""
    policies = connection.execute(select(POLICIES.c.kind, POLICIES.c.token).where(POLICIES.c.instance == instance)).all()
    return StoredInstance(
        generation=connection.scalar(select(INSTANCES.c.generation).where(INSTANCES.c.instance == instance)) or 0,
        policies={str(row.kind): str(row.token) for row in policies},
        certificates=_certificates(connection, CERTIFICATES, instance),
        former=() if older else _certificates(connection, FORMER_CERTIFICATES, instance),
    )


def read_all_instances(connection: Connection) -> dict[str, StoredInstance]:
    """What every instance keeps, by its name."""
    older = not inspect(connection).has_table(FORMER_CERTIFICATES.name)
    tables = (INSTANCES, POLICIES, CERTIFICATES, *(() if older else (FORMER_CERTIFICATES,)))
    # SQLite gives what was put there, a name that is no text too.
    names = {name for table in tables for name in connection.scalars(select(table.c.instance).distinct())}
    return {str(name): read_instance(connection, name, older=older) for name in sorted(names, key=str)}


def generations(connection: Connection, instances: set[str], *, changing: bool) -> dict[str, int]:
    """The generation of each, which stays until the transaction ends: nobody else changes these instances meanwhile."""
    rows = connection.execute(_LOCKED_GENERATIONS[changing], {"instances": sorted(instances)})
    return {instance: generation for instance, generation in rows}  # noqa: C416 - `dict` would take the result for a mapping.


def apply(connection: Connection, instance: str, change: Change) -> None:
    """Make the change, and raise the instance's generation."""
    match change:
        case SetPolicy(kind, token):
            _remove_policy(connection, instance, kind)
            connection.execute(insert(POLICIES).values(instance=instance, kind=kind, token=token))
        case RemovePolicy(kind):
            _remove_policy(connection, instance, kind)
        case SetCertificates(certificates, former):
            _set_certificates(connection, CERTIFICATES, instance, certificates)
            _set_certificates(connection, FORMER_CERTIFICATES, instance, former)
    increment = update(INSTANCES).where(INSTANCES.c.instance == instance)
    connection.execute(increment.values(generation=INSTANCES.c.generation + 1))


def _remove_policy(connection: Connection, instance: str, kind: str) -> None:
    connection.execute(delete(POLICIES).where(POLICIES.c.instance == instance, POLICIES.c.kind == kind))


def _certificates(connection: Connection, table: Table, instance: str) -> tuple[bytes, ...]:
    raw = type_coerce(table.c.certificate, NullType())  # SQLite gives what was put there, of whatever type.
    own = select(raw).where(table.c.instance == instance).order_by(table.c.position)
    values: Iterable[object] = connection.scalars(own)
    return tuple(map(octets, values))


def _set_certificates(connection: Connection, table: Table, instance: str, certificates: tuple[bytes, ...]) -> None:
    connection.execute(delete(table).where(table.c.instance == instance))
    rows = [{"instance": instance, "position": at, "certificate": each} for at, each in enumerate(certificates)]
    if rows:
        connection.execute(insert(table), rows)
