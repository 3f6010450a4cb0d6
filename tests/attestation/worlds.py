"""Quotes of make-believe worlds, verified under the world's own root."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime

from tests.simulation.intel import world

from donjon.attestation.quote import parse
from donjon.attestation.verify import VerifiedQuote, verify
from donjon.collateral.received import Collateral
from donjon.collateral.trusted import TrustedCollateral, trust
from donjon.pki.intel import anchor
from donjon.simulation.intel.certificates import Role
from donjon.simulation.intel.world import World


def received(made: World) -> Collateral:
    names = [each.name for each in fields(Collateral) if each.name != "pck_certificate_chain"]
    return Collateral(**{name: getattr(made, name) for name in names})


def trusted(made: World) -> TrustedCollateral:
    return trust(received(made), anchor(made.root))


def verified(
    kind: str = "v3 SGX",
    changes: Mapping[str, object] | None = None,
    *,
    ca: Role = Role.PROCESSOR_CA,
    moment: datetime | None = None,
) -> VerifiedQuote:
    made = world(kind, changes or {}, ca=ca)
    return verify(parse(made.quote.data), trusted(made), moment or made.setting.moment)
