"""Collateral that was proved: every signature up to the root, every list by its issuer, and only then the documents read.

What depends on the moment or on the quote (windows, dates in the future, which platform) is for `attestation.verify`.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime

from donjon.collateral import fingerprints, identity
from donjon.collateral.bundle import Collateral, parse
from donjon.collateral.fingerprints import Fingerprints
from donjon.collateral.identity import QeIdentity
from donjon.collateral.tcb_info import TcbInfo
from donjon.collateral.tcb_info import parse as parse_tcb_info
from donjon.errors import Untrusted
from donjon.pki import crl, intel, pem
from donjon.pki.crl import Crl
from donjon.pki.intel import Anchor, Certificate, CertificateRole, Window


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedCollateral:
    """What Intel, or whose root that is, states about a family of platforms: `trust` alone makes one."""

    anchor: Anchor
    tcb_info: TcbInfo
    tcb_info_signer: Certificate
    qe_identity: QeIdentity
    qe_identity_signer: Certificate
    pck_crl: Crl
    pck_ca: Certificate  # whose list that is
    pck_ca_chain: bytes = field(repr=False)  # its chain's text, as it stands behind the PCK certificates that it issued
    root_ca_crl: Crl
    pck_certificate_chain: bytes | None = field(repr=False)  # as received: `attestation.verify` proves it like a quote's own
    root: Certificate  # as shown with the PCK CA's
    root_digest: bytes = field(repr=False)  # stands for the anchor
    digest: bytes = field(repr=False)  # SHA-256 of all that the TCB's standing is judged by: both documents
    fingerprints: Fingerprints  # by which tokens name it
    window: Window  # in which every certificate is good and no document dated in the future
    fresh_until: datetime  # when the first nextUpdate is
    expires: datetime  # when the first of all those ends

    def next_updates(self) -> dict[str, datetime]:
        """Until when each document is said to hold."""
        return {
            "tcb_info": self.tcb_info.next_update,
            "qe_identity": self.qe_identity.next_update,
            "pck_crl": self.pck_crl.window.ends,
            "root_ca_crl": self.root_ca_crl.window.ends,
        }

    def issue_dates(self) -> dict[str, datetime]:
        """From when on each document holds."""
        return {
            "tcb_info": self.tcb_info.issue_date,
            "qe_identity": self.qe_identity.issue_date,
            "pck_crl": self.pck_crl.window.begins,
            "root_ca_crl": self.root_ca_crl.window.begins,
        }


def prove_collateral(bundle: bytes, anchor: Anchor = intel.INTEL) -> TrustedCollateral:
    """What a bundle of collateral states, proved under Intel's root or another; raises `Malformed`, and `Untrusted`."""
    return trust(parse(bundle), anchor)


def trust(collateral: Collateral, anchor: Anchor) -> TrustedCollateral:
    """The collateral, proved under that root; raises `Malformed`, and `Untrusted` DJ220 to DJ225, DJ230 or DJ233."""
    # 1. The revocation lists, each by its issuer: what they revoke is refused in every chain below.
    pck_ca, root = prove_under_root(collateral.pck_crl_issuer_chain, anchor, intel.PCK_CAS, None)
    root_ca_crl = crl.prove(collateral.root_ca_crl, root)
    pck_crl = crl.prove(collateral.pck_crl, pck_ca)
    # 2. Who signs the documents.
    tcb_info_chain = qe_identity_chain = prove_under_root(collateral.tcb_info_issuer_chain, anchor, SIGNER, root)
    if collateral.qe_identity_issuer_chain != collateral.tcb_info_issuer_chain:
        qe_identity_chain = prove_under_root(collateral.qe_identity_issuer_chain, anchor, SIGNER, root)
    tcb_info_signer, qe_identity_signer = tcb_info_chain[0], qe_identity_chain[0]
    for certificate in (root, pck_ca, tcb_info_signer, qe_identity_signer):
        check_not_revoked(certificate.role, certificate.serial, root_ca_crl)
    # 3. The documents' signatures, over the bytes received.
    check_signature("tcb_info", collateral.tcb_info, collateral.tcb_info_signature, tcb_info_signer)
    check_signature("qe_identity", collateral.qe_identity, collateral.qe_identity_signature, qe_identity_signer)
    # 4. Only now are they read.
    tcb_info, qe_identity = parse_tcb_info(collateral.tcb_info), identity.parse(collateral.qe_identity)
    if tcb_info.tee is not qe_identity.tee:
        raise Untrusted("DJ233", f"collateral: TCB info of {tcb_info.tee}, identity of a quoting enclave of {qe_identity.tee}")
    window = _window((tcb_info_signer, qe_identity_signer, pck_ca), (tcb_info, qe_identity), (pck_crl, root_ca_crl))
    fresh_until = min(tcb_info.next_update, qe_identity.next_update, pck_crl.window.ends, root_ca_crl.window.ends)
    return TrustedCollateral(
        anchor=anchor,
        tcb_info=tcb_info,
        tcb_info_signer=tcb_info_signer,
        qe_identity=qe_identity,
        qe_identity_signer=qe_identity_signer,
        pck_crl=pck_crl,
        pck_ca=pck_ca,
        pck_ca_chain=collateral.pck_crl_issuer_chain.rstrip(pem.AFTER),
        root_ca_crl=root_ca_crl,
        pck_certificate_chain=collateral.pck_certificate_chain,
        root=root,
        root_digest=anchor.digest(),
        digest=_digest(collateral.tcb_info, collateral.qe_identity),
        fingerprints=fingerprints.of(collateral, tcb_info_chain, qe_identity_chain),
        window=window,
        fresh_until=fresh_until,
        expires=min(window.ends, fresh_until),
    )


SIGNER = frozenset({CertificateRole.TCB_SIGNING})
"""Who signs TCB infos and identities."""


def check_not_revoked(role: CertificateRole, serial: int, crl: Crl) -> None:
    """Raises `Untrusted` DJ224 where the list names the certificate in that role with that serial number."""
    if serial in crl.serials:
        raise Untrusted("DJ224", f"{role}: serial number {serial:x} is revoked by {crl.issuer}")


def prove_under_root(
    text: bytes, anchor: Anchor, roles: frozenset[CertificateRole], proved_root: Certificate | None
) -> tuple[Certificate, Certificate]:
    """The certificate in one of those roles and the root above it, which may be known already; raises as `trust` does."""
    child, parent = pem.parse(text, 2)
    root = proved_root if proved_root is not None and proved_root.der == parent else intel.prove_root(parent, anchor)
    return intel.prove_certificate(child, root, roles), root


def _window(certificates: tuple[Certificate, ...], documents: tuple[TcbInfo | QeIdentity, ...], lists: tuple[Crl, ...]) -> Window:
    begins = (
        [each.window.begins for each in certificates]
        + [each.window.begins for each in lists]
        + [each.issue_date for each in documents]
    )
    return Window(begins=max(begins), ends=min(each.window.ends for each in certificates))


def check_signature(name: str, text: bytes, signature: bytes, signer: Certificate) -> None:
    """Raises `Untrusted` DJ230 where that certificate's key did not sign the text."""
    if not signer.key.verifies(signature, text):
        raise Untrusted("DJ230", f"{name}: {signer.role} did not sign this text")


def _digest(*texts: bytes) -> bytes:
    whole = hashlib.sha256()
    for text in texts:
        whole.update(len(text).to_bytes(8, "big") + text)
    return whole.digest()
