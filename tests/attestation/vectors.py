"""The vectors of `vectors/`: real quotes, and collateral put together as a case names it. Each file is read once."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TypedDict

from donjon.attestation.quote import Quote
from donjon.attestation.quote import parse as parse_quote
from donjon.collateral.bundle import Collateral, unwrap
from donjon.collateral.trusted import TrustedCollateral, trust
from donjon.pki.intel import INTEL

ROOT = Path(__file__).resolve().parents[2] / "vectors"
POOL = ROOT / "intel-collateral"
NEW_SIGNER = datetime(2025, 5, 21, 10, 50, 10, tzinfo=UTC)  # until then the TCB signer's certificate of 2018 was good


class Expected(TypedDict, total=False):
    status: str
    advisories: list[str]
    platform: str
    qe: str
    current: str
    expired: list[str]
    tcbDate: str
    tcbEval: int
    error: str


class Case(TypedDict):
    quote: str
    tcb_info: str
    qe_identity: str
    pck_crl: str
    root_crl: str
    ca: str
    time: int
    debug: bool
    expected: Expected


@dataclass(frozen=True, slots=True)
class Names:
    """What a collateral is put together of."""

    tcb_info: str
    qe_identity: str
    pck_crl: str
    root_crl: str
    ca: str
    signer: str


def cases(name: str = "cases.json") -> list[Case]:
    loaded: list[Case] = json.loads((ROOT / name).read_text(encoding="utf-8"))
    return loaded


def moment(case: Case) -> datetime:
    return datetime.fromtimestamp(case["time"], UTC)


def names(case: Case) -> Names:
    signer = "tcb_signing_2018_2025" if moment(case) <= NEW_SIGNER else "tcb_signing_2025_2032"
    return Names(case["tcb_info"], case["qe_identity"], case["pck_crl"], case["root_crl"], case["ca"], signer)


@cache
def quote(path: str) -> Quote:
    return parse_quote((ROOT / path).read_bytes())


@cache
def received(of: Names) -> Collateral:
    tcb_info = unwrap((POOL / of.tcb_info).read_bytes(), "tcbInfo")
    identity = unwrap((POOL / of.qe_identity).read_bytes(), "enclaveIdentity")
    signers = certificate(of.signer) + certificate("sgx_root_ca_2018_2049")
    return Collateral(
        tcb_info=tcb_info.text,
        tcb_info_signature=tcb_info.signature,
        tcb_info_issuer_chain=signers,
        qe_identity=identity.text,
        qe_identity_signature=identity.signature,
        qe_identity_issuer_chain=signers,
        pck_crl=(POOL / of.pck_crl).read_bytes(),
        pck_crl_issuer_chain=certificate(f"pck_{of.ca}_ca") + certificate("sgx_root_ca_2018_2049"),
        root_ca_crl=(POOL / of.root_crl).read_bytes(),
    )


@cache
def trusted(of: Names) -> TrustedCollateral:
    return trust(received(of), INTEL)


@cache
def certificate(name: str) -> bytes:
    return (POOL / "certs" / f"{name}.pem").read_bytes()
