"""A whole make-believe world as bytes: certificates, revocation lists, documents and a quote that fit one another."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType

from cryptography.hazmat.primitives.serialization import Encoding

from donjon.collateral.bundle import Collateral
from donjon.simulation.intel import certificates, quotes
from donjon.simulation.intel.certificates import SimulatedRole, pck_extension
from donjon.simulation.intel.keys import private_key, raw_signature
from donjon.simulation.intel.quotes import EncodedQuote
from donjon.simulation.intel.setting import WorldSetting


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A world as bytes, and the moment at which it is to be looked at."""

    setting: WorldSetting
    quote: EncodedQuote
    certificates: Mapping[SimulatedRole, bytes]  # PEM
    root: bytes  # DER
    tcb_info: bytes
    tcb_info_signature: bytes
    tcb_info_issuer_chain: bytes
    qe_identity: bytes
    qe_identity_signature: bytes
    qe_identity_issuer_chain: bytes
    pck_crl: bytes
    pck_crl_issuer_chain: bytes
    root_ca_crl: bytes
    pck_certificate_chain: bytes | None = None  # for quotes that carry none

    @property
    def collateral(self) -> Collateral:
        """What a verifier is given beside the quote."""
        return Collateral(**{each.name: getattr(self, each.name) for each in fields(Collateral)})


def make(setting: WorldSetting) -> World:
    """The world, every signature made."""
    seed, signing = setting.seed, setting.signing
    plans = _plans(setting)
    certificates_by_role = {role: certificates.issue(plan, seed) for role, plan in plans.items()}
    serials = {role: certificate.serial_number for role, certificate in certificates_by_role.items()}
    pem = {role: certificate.public_bytes(Encoding.PEM) for role, certificate in certificates_by_role.items()}
    tcb_info, qe_identity = setting.tcb_info.text(), setting.qe_identity.text()
    extension = setting.extension
    tcb = (
        (extension.cpu_svn or bytes(extension.components)) + (extension.pce_svn & 0xFFFF).to_bytes(2, "little") + extension.pce_id
    )
    return World(
        setting=setting,
        quote=quotes.encode(setting.quote, seed, pem, tcb),
        certificates=MappingProxyType(pem),
        root=certificates_by_role[SimulatedRole.ROOT].public_bytes(Encoding.DER),
        tcb_info=tcb_info,
        tcb_info_signature=raw_signature(private_key(seed, signing.tcb_info_by), tcb_info),
        tcb_info_issuer_chain=_chain(pem, signing.tcb_info_chain),
        qe_identity=qe_identity,
        qe_identity_signature=raw_signature(private_key(seed, signing.qe_identity_by), qe_identity),
        qe_identity_issuer_chain=_chain(pem, signing.qe_identity_chain),
        pck_crl=certificates.revoke(setting.pck_crl, serials, seed),
        pck_crl_issuer_chain=_chain(pem, signing.pck_crl_chain),
        root_ca_crl=certificates.revoke(setting.root_crl, serials, seed),
    )


def _plans(setting: WorldSetting) -> Mapping[SimulatedRole, certificates.CertificatePlan]:
    """The certificates' plans, the PCK certificate's with its extension."""
    plans = setting.hierarchy
    value = setting.extension.encode() if setting.extension_value is None else setting.extension_value
    own_extension = (pck_extension(value),) if value else ()
    pck = replace(plans.pck, extensions=(*own_extension, *plans.pck.extensions))
    return {plan.role: plan for plan in (plans.root, plans.platform_ca, plans.processor_ca, plans.tcb_signing, pck)}


def _chain(pem: Mapping[SimulatedRole, bytes], roles: tuple[SimulatedRole, ...]) -> bytes:
    return b"".join(pem[role] for role in roles)
