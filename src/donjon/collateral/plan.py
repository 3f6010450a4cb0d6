"""What to ask a service for, so that a platform's quotes can be verified; and collateral from what it answered.

Source: Intel SGX and TDX Provisioning Certification Service API v4; Intel PCCS, the same routes and `rootcacrl`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto
from typing import TypeAlias

from donjon.collateral.bundle import Collateral, der, unwrap
from donjon.errors import Unavailable
from donjon.sgx.platform import Ca, Platform, Tee

SGX = "/sgx/certification/v4"
PCK_CHAIN_HEADER = "SGX-PCK-Certificate-Issuer-Chain"


class Channel(StrEnum):
    """At which pace Intel's documents are taken: at an advisory's publication, or when its enforcement begins."""

    EARLY = "early"
    STANDARD = "standard"


class CollateralKind(Enum):
    """What a request is for."""

    PCK_CRL = auto()
    ROOT_CA_CRL = auto()
    TCB_INFO = auto()
    QE_IDENTITY = auto()
    QVE_IDENTITY = auto()
    TCB_NUMBERS = auto()
    PCK_CERTIFICATE = auto()
    PCK_CERTIFICATES = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class CollateralRequest:
    """One GET, or POST of a body, and the headers one of which carries the issuer chain, in PEM, percent-encoded."""

    kind: CollateralKind
    tee: Tee = Tee.SGX  # whose document it is; both have the lists and certificates of SGX
    path: str
    query: Mapping[str, str] = field(default_factory=dict, repr=False)  # may have what names one machine
    chain: tuple[str, ...] = ()
    body: bytes = field(default=b"", repr=False)  # JSON

    def name(self) -> str:
        """One text for one document, by which it can be kept."""
        return f"{self.path}?{'&'.join(f'{name}={value}' for name, value in sorted(self.query.items()))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was answered, its chain decoded."""

    body: bytes
    chain: bytes = b""


class Absent(Unavailable):
    """A service was asked and has no such document."""


NUMBER = "tcbEvaluationDataNumber"
Edition: TypeAlias = Channel | int
"""Which of several TCB infos or identities: the one of a channel, or the one of a TCB evaluation data number."""


def requests(platform: Platform, channel: Channel) -> dict[str, CollateralRequest]:
    """Four requests, each by the part of the collateral that it is for."""
    return {
        "pck_crl": pck_crl(platform.ca),
        "tcb_info": tcb_info(platform.tee, platform.fmspc, channel),
        "qe_identity": qe_identity(platform.tee, channel),
        "root_ca_crl": root_ca_crl(),
    }


def pck_crl(ca: Ca) -> CollateralRequest:
    """For the list of revoked PCK certificates, in DER."""
    return CollateralRequest(
        kind=CollateralKind.PCK_CRL,
        path=f"{SGX}/pckcrl",
        query={"ca": str(ca), "encoding": "der"},
        chain=("SGX-PCK-CRL-Issuer-Chain",),
    )


def tcb_info(tee: Tee, fmspc: bytes, edition: Edition) -> CollateralRequest:
    """For the TCB info of a family of platforms."""
    return CollateralRequest(
        kind=CollateralKind.TCB_INFO,
        tee=tee,
        path=f"/{tee.lower()}/certification/v4/tcb",
        query={"fmspc": fmspc.hex().upper(), **_edition_query(edition)},
        chain=("TCB-Info-Issuer-Chain", "SGX-TCB-Info-Issuer-Chain"),
    )


def qe_identity(tee: Tee, edition: Edition) -> CollateralRequest:
    """For the identity of the quoting enclave."""
    return _identity(CollateralKind.QE_IDENTITY, tee, f"/{tee.lower()}/certification/v4/qe", edition)


def qve_identity(edition: Edition) -> CollateralRequest:
    """For the identity of Intel's quote verification enclave."""
    return _identity(CollateralKind.QVE_IDENTITY, Tee.SGX, f"{SGX}/qve", edition)


def tcb_numbers(tee: Tee) -> CollateralRequest:
    """For the list of TCB evaluation data numbers that Intel supports now; a PCCS of Intel's has no such route."""
    path = f"/{tee.lower()}/certification/v4/tcbevaluationdatanumbers"
    return CollateralRequest(
        kind=CollateralKind.TCB_NUMBERS, tee=tee, path=path, chain=("TCB-Evaluation-Data-Numbers-Issuer-Chain",)
    )


def root_ca_crl() -> CollateralRequest:
    """For the list of what the root has revoked, in DER or hexadecimal."""
    return CollateralRequest(kind=CollateralKind.ROOT_CA_CRL, path=f"{SGX}/rootcacrl")


def _identity(kind: CollateralKind, tee: Tee, enclave: str, edition: Edition) -> CollateralRequest:
    chain = ("SGX-Enclave-Identity-Issuer-Chain",)
    return CollateralRequest(kind=kind, tee=tee, path=f"{enclave}/identity", query=_edition_query(edition), chain=chain)


def _edition_query(edition: Edition) -> dict[str, str]:
    return {"update": str(edition)} if isinstance(edition, Channel) else {NUMBER: str(edition)}


def pck_certificate(qe_id: bytes, certification: bytes) -> CollateralRequest:
    """For the PCK certificate of a quote without one: by certification data of type 2 or 3, and the id of its quoting enclave.

    The data ends in CPUSVN (16 bytes), PCESVN (2) and PCEID (2), the numbers little-endian, as the service takes them.
    """
    ppid, cpu_svn, pce_svn, pce_id = certification[:-20], certification[-20:-4], certification[-4:-2], certification[-2:]
    return pck_certificate_at(qe_id.hex(), pce_id, ppid, cpu_svn, pce_svn)


def pck_certificate_at(qe_id: str, pce_id: bytes, encrypted_ppid: bytes, cpu_svn: bytes, pce_svn: bytes) -> CollateralRequest:
    """For the PCK certificate that a platform should use at that TCB; a PCCS that knows it takes zeros for its encrypted PPID."""
    query = {"qeid": qe_id, "encrypted_ppid": encrypted_ppid.hex(), "cpusvn": cpu_svn.hex()}
    query |= {"pcesvn": pce_svn.hex(), "pceid": pce_id.hex()}
    return CollateralRequest(kind=CollateralKind.PCK_CERTIFICATE, path=f"{SGX}/pckcert", query=query, chain=(PCK_CHAIN_HEADER,))


def pck_certificates(pce_id: bytes, encrypted_ppid: bytes) -> CollateralRequest:
    """For all PCK certificates of one platform, of Intel's service: a PCCS has no such route."""
    query = {"encrypted_ppid": encrypted_ppid.hex(), "pceid": pce_id.hex()}
    return CollateralRequest(kind=CollateralKind.PCK_CERTIFICATES, path=f"{SGX}/pckcerts", query=query, chain=(PCK_CHAIN_HEADER,))


def pck_certificates_by_manifest(pce_id: bytes, manifest: bytes) -> CollateralRequest:
    """For those of a platform of several packages, by the manifest that its firmware made."""
    body = json.dumps({"platformManifest": manifest.hex(), "pceid": pce_id.hex()}).encode()
    return CollateralRequest(kind=CollateralKind.PCK_CERTIFICATES, path=f"{SGX}/pckcerts", chain=(PCK_CHAIN_HEADER,), body=body)


def assemble(answers: Mapping[str, Answer], pck_certificate_chain: bytes | None) -> Collateral:
    """The collateral of all four answers; raises `Malformed` DJ214."""
    info, identity = unwrap(answers["tcb_info"].body, "tcbInfo"), unwrap(answers["qe_identity"].body, "enclaveIdentity")
    return Collateral(
        tcb_info=info.text,
        tcb_info_signature=info.signature,
        tcb_info_issuer_chain=answers["tcb_info"].chain,
        qe_identity=identity.text,
        qe_identity_signature=identity.signature,
        qe_identity_issuer_chain=answers["qe_identity"].chain,
        pck_crl=der(answers["pck_crl"].body),
        pck_crl_issuer_chain=answers["pck_crl"].chain,
        root_ca_crl=der(answers["root_ca_crl"].body),
        pck_certificate_chain=pck_certificate_chain,
    )
