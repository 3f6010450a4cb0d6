"""An instance's trust: whether policies must be signed, and by whom.

In mode AAD a policy may be signed, which says whose it is and authorises nothing: what the caller may do is asked elsewhere. In
mode Isolated only who holds a policy management certificate may change policies. Source: "Policy signing" of Azure Attestation.
"""

from collections.abc import Sized
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from donjon.errors import Misconfigured, Untrusted
from donjon.signing import jws
from donjon.signing.jws import Jws
from donjon.signing.signer_certificate import SignerCertificate

MAX_CERTIFICATES = 32


class Mode(StrEnum):
    """Who may change policies: whoever the caller is, or who holds a policy management certificate."""

    AAD = "AAD"
    ISOLATED = "Isolated"

    @classmethod
    def of(cls, certificates: Sized) -> "Mode":
        """The mode of an instance with these policy management certificates, as the service states them: AAD has none."""
        return cls.ISOLATED if certificates else cls.AAD


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """A mode and its policy management certificates; raises `Misconfigured` DJ447 where these do not fit one another."""

    mode: Mode
    certificates: tuple[SignerCertificate, ...] = ()

    def __post_init__(self) -> None:
        if self.mode is Mode.AAD and self.certificates:
            raise Misconfigured("DJ447", "policy management certificates: an instance of mode AAD has none")
        if self.mode is Mode.ISOLATED and not 1 <= len(self.certificates) <= MAX_CERTIFICATES:
            raise Misconfigured(
                "DJ447", f"policy management certificates: {len(self.certificates)}, expected 1 to {MAX_CERTIFICATES}"
            )

    def trusts(self, signer: SignerCertificate) -> bool:
        """Whether that certificate is one of them, byte for byte."""
        return any(signer.der == each.der for each in self.certificates)

    def with_certificate(self, certificate: SignerCertificate) -> "Trust":
        """With this one, too; raises `Misconfigured` DJ447."""
        return self if self.trusts(certificate) else replace(self, certificates=(*self.certificates, certificate))

    def without_certificate(self, certificate: SignerCertificate) -> "Trust":
        """Without this one; raises `Misconfigured` DJ447 for the last."""
        return replace(self, certificates=tuple(each for each in self.certificates if each.der != certificate.der))


def authorise(text: str, subject: str, trust: Trust, moment: datetime) -> tuple[Jws, SignerCertificate | None]:
    """A token that the instance takes at that moment, and who signed it.

    Raises `Malformed`, and `Untrusted` DJ441 to DJ445.
    """
    token = jws.parse(text, subject)
    signer = jws.prove_at(token, moment)
    if trust.mode is Mode.ISOLATED:
        if signer is None:
            raise Untrusted("DJ442", f"{subject}: unsigned, and this instance takes none but signed ones")
        if not trust.trusts(signer):
            raise Untrusted(
                "DJ445", f"{subject}: signed by {signer.thumbprint()}, which is no policy management certificate here"
            )
    return token, signer
