"""Which platform a chain of PCK certificates claims to be of: enough to ask for its collateral, nothing to believe."""

from donjon.attestation.quote import Quote
from donjon.pki import pck, pem
from donjon.sgx.platform import Platform

_CHAIN = 3


def platform(quote: Quote, chain: bytes) -> Platform:
    """The platform of that quote by that chain, in PEM; raises `Malformed` DJ204 to DJ208."""
    claimed = pck.claimed(pem.parse(chain, _CHAIN)[0])
    return Platform(fmspc=claimed.fmspc, ca=claimed.ca, tee=quote.tee)
