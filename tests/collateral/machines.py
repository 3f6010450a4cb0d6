"""Make-believe machines with their PCK certificates."""

from datetime import datetime

from tests.simulation.intel import MOMENT, world

from donjon.collateral import pck_certificates
from donjon.collateral.document import prove_root_crl
from donjon.collateral.pck_certificates import PckCertificates
from donjon.collateral.plan import Answer
from donjon.collateral.platforms import KnownPlatform, PlatformName, Registration, StoredPlatform
from donjon.pki import intel
from donjon.simulation.intel.certificates import SimulatedRole
from donjon.simulation.intel.machines import Svns, pckcerts
from donjon.simulation.intel.setting import COMPONENTS, PCE_SVN
from donjon.simulation.intel.world import World

HIGH: Svns = (COMPONENTS, PCE_SVN)
LOW: Svns = ((COMPONENTS[0] - 1, *COMPONENTS[1:]), PCE_SVN - 1)
PCE_ID = bytes(2)
ENCRYPTED_PPID = bytes(range(1, 129)) * 3


def issuers(made: World) -> bytes:
    ca = made.setting.signing.pck_crl_chain[0]
    return made.certificates[ca] + made.certificates[SimulatedRole.ROOT]


def proved(made: World, text: bytes, above: bytes | None = None, pce_id: bytes = PCE_ID) -> PckCertificates:
    anchor = intel.anchor(made.root)
    _, revoked = prove_root_crl(Answer(body=made.root_ca_crl, chain=made.pck_crl_issuer_chain), anchor)
    given = pck_certificates.parse_offer(text).certificates
    return pck_certificates.prove(given, above or issuers(made), pce_id, revoked, anchor)


def registration(
    qe_id: str = "AA" * 16, encrypted_ppid: bytes | None = ENCRYPTED_PPID, manifest: bytes | None = None
) -> Registration:
    name = PlatformName(qe_id=qe_id, pce_id=PCE_ID)
    return Registration(name=name, tcb=None, encrypted_ppid=encrypted_ppid, manifest=manifest)


def known(qe_id: str = "AA" * 16, made: World | None = None, fetched: datetime = MOMENT) -> KnownPlatform:
    made = made or world()
    found = proved(made, pckcerts(made.setting, [HIGH, LOW]))
    stored = StoredPlatform(
        registration=registration(qe_id),
        certificates=tuple(each.pem for each in found.certificates),
        chain=found.chain,
        fetched_at=fetched,
        unavailable=0,
        whole=True,
    )
    return KnownPlatform(stored_platform=stored, pck_certificates=found)
