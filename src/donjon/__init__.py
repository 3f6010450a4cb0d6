"""Intel SGX for any Kubernetes cluster, and quotes of its enclaves verified in three lines:

    from datetime import UTC, datetime
    from donjon import Acceptance, accept, parse_quote, prove_collateral, verify

    quote, collateral = parse_quote(evidence), prove_collateral(bundle)
    verified = verify(quote, collateral, datetime.now(UTC))
    answer = accept(verified, Acceptance())

`evidence` is a quote as people hand it around, `bundle` what `donjon collateral fetch` writes. What is untrue raises
`DonjonError`; `answer` is an `AcceptedQuote`, or every reason why not, as a tuple of `Finding`.

These names are the documented way from Python, and stay. Behind them are the rooms of the house; everything below
`donjon.adapters` is a function from values to values.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from donjon.attestation.acceptance import Acceptance, AcceptedQuote, Expected, accept
    from donjon.attestation.evidence import parse_quote
    from donjon.attestation.verify import VerifiedQuote, verify
    from donjon.collateral.trusted import prove_collateral
    from donjon.errors import DonjonError
    from donjon.findings import Finding

__version__ = "0.1.0"

__all__ = [
    "Acceptance",
    "AcceptedQuote",
    "DonjonError",
    "Expected",
    "Finding",
    "VerifiedQuote",
    "__version__",
    "accept",
    "parse_quote",
    "prove_collateral",
    "verify",
]

_PLACES = {
    "Acceptance": "attestation.acceptance",
    "AcceptedQuote": "attestation.acceptance",
    "DonjonError": "errors",
    "Expected": "attestation.acceptance",
    "Finding": "findings",
    "VerifiedQuote": "attestation.verify",
    "accept": "attestation.acceptance",
    "parse_quote": "attestation.evidence",
    "prove_collateral": "collateral.trusted",
    "verify": "attestation.verify",
}


def __getattr__(name: str) -> object:
    """One of the names above, loaded when it is used: a program that wants the version alone needs no library."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
