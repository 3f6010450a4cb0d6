"""The hashes by which a token names the collateral that a quote was judged by.

Each is SHA-256 of a text as Intel's quote provider library hands it over, the zero byte at its end included: chains and the
root's list in PEM with lines of 64 characters, documents as Intel serves them. Certificates and root list are so in recorded
answers of Microsoft Azure Attestation (2021, list of 2021-04-26); of the two documents no published token shows it.
"""

import hashlib
from dataclasses import dataclass

from donjon.collateral import received
from donjon.collateral.received import Collateral
from donjon.pki import pem

_SIGNERS = 2  # TCB signer, root
_END = b"\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprints:
    """Of the four texts, in hexadecimal."""

    tcb_info: str
    tcb_info_chain: str
    qe_identity: str
    qe_identity_chain: str
    root_ca_crl: str  # which revokes, or does not, both signers


def of(collateral: Collateral) -> Fingerprints:
    """The fingerprints of that collateral; raises `Malformed` DJ204 for a chain that is none."""
    files = received.files(collateral)
    return Fingerprints(
        tcb_info=_hash(files["tcb_info.json"]),
        tcb_info_chain=_hash(_chain(collateral.tcb_info_issuer_chain)),
        qe_identity=_hash(files["qe_identity.json"]),
        qe_identity_chain=_hash(_chain(collateral.qe_identity_issuer_chain)),
        root_ca_crl=_hash(pem.encode((collateral.root_ca_crl,), pem.CRL)),
    )


def _chain(text: bytes) -> bytes:
    return pem.encode(pem.parse(text, _SIGNERS))


def _hash(text: bytes) -> str:
    return hashlib.sha256(text + _END).hexdigest()
