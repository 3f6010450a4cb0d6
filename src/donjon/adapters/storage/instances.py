"""What instances keep: their policies and policy management certificates. Each change raises the instance's generation by one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from donjon.adapters.storage.database import Database
from donjon.adapters.storage.tables import CERTIFICATES, INSTANCES, POLICIES


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What an instance keeps; generation 0 where nothing was ever changed."""

    generation: int
    policies: Mapping[str, str]  # attestation type to policy token, as it was sent
    certificates: tuple[bytes, ...]  # DER


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
    """Have these policy management certificates, and no others."""

    certificates: tuple[bytes, ...]  # DER


Change: TypeAlias = SetPolicy | RemovePolicy | SetCertificates


_CHOSEN = (
    select(INSTANCES.c.instance, INSTANCES.c.generation)
    .where(INSTANCES.c.instance.in_(bindparam("instances", expanding=True)))
    .order_by(INSTANCES.c.instance)  # One order for everybody, so that no two writers wait for each other.
)
_HELD = {changing: _CHOSEN.with_for_update(read=not changing) for changing in (False, True)}
"""Made once: SQLAlchemy takes longer to make a statement than SQLite to do it."""


class InstanceTable:
    """The instances."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, instance: str) -> Kept:
        """What that instance keeps now; raises `Unavailable` DJ502."""
        with self._database.reading() as connection:
            generation = connection.scalar(select(INSTANCES.c.generation).where(INSTANCES.c.instance == instance))
            policies = connection.execute(select(POLICIES.c.kind, POLICIES.c.token).where(POLICIES.c.instance == instance)).all()
            own = CERTIFICATES.c.instance == instance
            found = connection.scalars(select(CERTIFICATES.c.certificate).where(own).order_by(CERTIFICATES.c.position)).all()
        return Kept(
            generation=generation or 0, policies={row.kind: row.token for row in policies}, certificates=tuple(map(bytes, found))
        )


def generations(connection: Connection, instances: set[str], *, changing: bool) -> dict[str, int]:
    """The generation of each, which stays until the transaction ends: nobody else changes these instances meanwhile."""
    held = connection.execute(_HELD[changing], {"instances": sorted(instances)})
    return {instance: generation for instance, generation in held}  # noqa: C416 - `dict` would take the result for a mapping.


def apply(connection: Connection, instance: str, change: Change) -> None:
    """Make the change, and raise the instance's generation."""
    match change:
        case SetPolicy(kind, token):
            _remove_policy(connection, instance, kind)
            connection.execute(insert(POLICIES).values(instance=instance, kind=kind, token=token))
        case RemovePolicy(kind):
            _remove_policy(connection, instance, kind)
        case SetCertificates(certificates):
            connection.execute(delete(CERTIFICATES).where(CERTIFICATES.c.instance == instance))
            rows = [{"instance": instance, "position": at, "certificate": each} for at, each in enumerate(certificates)]
            if rows:
                connection.execute(insert(CERTIFICATES), rows)
    raised = update(INSTANCES).where(INSTANCES.c.instance == instance)
    connection.execute(raised.values(generation=INSTANCES.c.generation + 1))


def _remove_policy(connection: Connection, instance: str, kind: str) -> None:
    connection.execute(delete(POLICIES).where(POLICIES.c.instance == instance, POLICIES.c.kind == kind))
