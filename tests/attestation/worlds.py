"""Quotes of make-believe worlds, verified under the world's own root."""

from collections.abc import Mapping

from tests.simulation.intel import world

from donjon.attestation.quote import parse
from donjon.attestation.verify import VerifiedQuote, verify
from donjon.collateral.trusted import TrustedCollateral, trust
from donjon.pki.intel import anchor
from donjon.simulation.intel.certificates import SimulatedRole
from donjon.simulation.intel.world import World


def trusted(made: World) -> TrustedCollateral:
    return trust(made.collateral, anchor(made.root))


def verified(
    kind: str = "v3 SGX", changes: Mapping[str, object] | None = None, *, ca: SimulatedRole = SimulatedRole.PROCESSOR_CA
) -> VerifiedQuote:
    made = world(kind, changes, ca=ca)
    return verify(parse(made.quote.data), trusted(made), made.setting.moment)
