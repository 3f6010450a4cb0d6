"""Settings of the make-believe Intel that tests share."""

from collections.abc import Mapping
from datetime import UTC, datetime

from donjon.simulation.intel.certificates import SimulatedRole
from donjon.simulation.intel.setting import setting, with_changes
from donjon.simulation.intel.world import World, make

MOMENT = datetime(2026, 6, 1, 12, tzinfo=UTC)
SEED = b"tests of donjon"


def world(
    kind: str = "v3 SGX", changes: Mapping[str, object] | None = None, *, ca: SimulatedRole = SimulatedRole.PROCESSOR_CA
) -> World:
    """A valid world but for these changes, each named by its dotted path."""
    return make(with_changes(setting(SEED, MOMENT, kind, ca), changes or {}))
