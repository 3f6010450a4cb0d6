"""How a quote says who certified the key that signed its quoting enclave's report.

Source: Intel SGX ECDSA quote library reference, "QE Certification Data"; Intel TDX DCAP, quote format version 4.
"""

from dataclasses import dataclass, field
from enum import IntEnum

from donjon.errors import Malformed


class CertificationKind(IntEnum):
    """The types of certification data that a quote can carry in its innermost place."""

    PPID_CLEAR = 1
    PPID_RSA_2048 = 2
    PPID_RSA_3072 = 3
    PCK_CERTIFICATE = 4
    PCK_CHAIN = 5


_KINDS = {kind.value: kind for kind in CertificationKind}

QE_REPORT = 6
"""The outer type of versions 4 and 5, which holds the quoting enclave's report and then one of the above."""

_LENGTHS = {
    CertificationKind.PPID_CLEAR: {34, 36},
    CertificationKind.PPID_RSA_2048: {276},
    CertificationKind.PPID_RSA_3072: {404},
}
"""Bytes: PPID as it is or encrypted, CPUSVN (16), PCESVN (2), PCEID (2), which Intel's own sample of type 1 leaves out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certification:
    """Certification data: its type and its bytes, such as a chain of certificates in PEM."""

    kind: CertificationKind
    content: bytes = field(repr=False)


def kind_of(number: int, length: int) -> CertificationKind:
    """The type of certification data with content of that length; raises `Malformed` DJ202."""
    kind = _KINDS.get(number)
    if kind is None:
        raise Malformed("DJ202", f"certification data: type {number}, expected 1 to 5")
    if not length or length not in _LENGTHS.get(kind, {length}):
        raise Malformed("DJ202", f"certification data: {length} bytes, which type {number} never has")
    return kind
