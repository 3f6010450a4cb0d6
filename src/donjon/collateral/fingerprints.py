"""The hashes by which a token names the collateral that a quote was judged by.

Each is SHA-256 of a text as Intel's quote provider library hands it over, the zero byte at its end included: chains and the
root's list in PEM with lines of 64 characters, documents as Intel serves them. Certificates and root list are so in recorded
answers of Microsoft Azure Attestation (2021, list of 2021-04-26); of the two documents no published token shows it.
"""

import hashlib
from dataclasses import dataclass

from donjon.collateral import bundle
from donjon.collateral.bundle import Collateral
from donjon.pki import pem
from donjon.pki.intel import Certificate

_END = b"\0"

Chain = tuple[Certificate, Certificate]  # TCB signer, root


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprints:
    """SHA-256 of the documents, their chains and the root's list, in hexadecimal."""

    tcb_info: str
    tcb_info_chain: str
    qe_identity: str
    qe_identity_chain: str
    root_ca_crl: str  # which revokes, or does not, both signers


def of(collateral: Collateral, tcb_info_chain: Chain, qe_identity_chain: Chain) -> Fingerprints:
    """The fingerprints of that collateral, and of who signed its two documents."""
    files = bundle.files(collateral)
    signers = _chain(tcb_info_chain)
    return Fingerprints(
        tcb_info=_hash(files["tcb_info.json"]),
        tcb_info_chain=signers,
        qe_identity=_hash(files["qe_identity.json"]),
        qe_identity_chain=signers if qe_identity_chain == tcb_info_chain else _chain(qe_identity_chain),
        root_ca_crl=_hash(pem.encode((collateral.root_ca_crl,), pem.CRL)),
    )


def _chain(chain: Chain) -> str:
    return _hash(pem.encode(tuple(each.der for each in chain)))


def _hash(text: bytes) -> str:
    return hashlib.sha256(text + _END).hexdigest()
