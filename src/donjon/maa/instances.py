"""An instance's trust: whether policies must be signed, and by whom.

In mode AAD a policy may be signed, which says whose it is and authorises nothing: what the caller may do is asked elsewhere. In
mode Isolated only who holds a policy management certificate may change policies. Source: "Policy signing" of Azure Attestation.
"""

from collections.abc import Sized
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from donjon.errors import Misconfigured, Untrusted
from donjon.findings import Finding
from donjon.signing import jws
from donjon.signing.jws import Jws
from donjon.signing.signer_certificate import SignerCertificate

MAX_CERTIFICATES = 32
SOON = timedelta(days=14)  # as of signing keys


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

    def good(self, moment: datetime) -> tuple[SignerCertificate, ...]:
        """Those that can sign at that moment: they have begun, and have not ended."""
        return tuple(each for each in self.certificates if moment in each.window)

    def with_certificate(self, certificate: SignerCertificate, moment: datetime) -> "Trust":
        """With this one, too; raises `Misconfigured` DJ447, also for one that has ended."""
        if self.trusts(certificate):
            return self
        if (ends := certificate.window.ends) < moment:
            stale = f"{certificate.thumbprint()}, which ended {ends:%FT%TZ}"
            raise Misconfigured("DJ447", f"policy management certificates: {stale}; expected one that is good still")
        return replace(self, certificates=(*self.certificates, certificate))

    def without_certificate(self, certificate: SignerCertificate, moment: datetime) -> "Trust":
        """Without this one; raises `Misconfigured` DJ447 for the last, and for the last that is good at that moment."""
        if not self.trusts(certificate):
            return self
        left = replace(self, certificates=tuple(each for each in self.certificates if each.der != certificate.der))
        if not left.good(moment):
            raise Misconfigured(
                "DJ447",
                f"policy management certificates: without {certificate.thumbprint()} none is good at {moment:%FT%TZ}, "
                "and nobody could change this instance any more; add the next first",
            )
        return left


def authorise(text: str, subject: str, trust: Trust, moment: datetime) -> tuple[Jws, SignerCertificate | None]:
    """A token that the instance takes at that moment, and who signed it.

    Raises `Malformed`, and `Untrusted` DJ441 to DJ445.
    """
    token = jws.parse(text, subject)
    if trust.mode is Mode.ISOLATED and not trust.good(moment):
        none = f"no policy management certificate here is good at {moment:%FT%TZ}, so nobody can sign"
        raise Untrusted("DJ444", f"{subject}: {none}: donjon explain DJ444 says the way out")
    signer = jws.prove_at(token, moment)
    if trust.mode is Mode.ISOLATED:
        if signer is None:
            raise Untrusted("DJ442", f"{subject}: unsigned, and this instance takes none but signed ones")
        if not trust.trusts(signer):
            raise Untrusted(
                "DJ445", f"{subject}: signed by {signer.thumbprint()}, which is no policy management certificate here"
            )
    return token, signer


def appraise(trust: Trust, moment: datetime, subject: str) -> Finding | None:
    """What is amiss with who may sign: an error where nobody can, a warning of those that have ended or soon will."""
    if trust.mode is not Mode.ISOLATED:
        return None
    soon = [each for each in trust.certificates if each.window.ends - moment < SOON]
    observation = ", ".join(f"{each.thumbprint()} {_end(each, moment)}" for each in soon)
    if not trust.good(moment):
        return Finding.error(
            "DJ444", subject, observation or "none has begun", "nobody can change its policies", "donjon explain DJ444 says how"
        )
    if soon:
        do = "add the next (donjon policy signers add) while one is good, and remove those that have ended"
        return Finding.warning("DJ444", subject, observation, "what has ended signs nothing", do)
    return None


def _end(certificate: SignerCertificate, moment: datetime) -> str:
    ends = certificate.window.ends
    return f"{'ended' if ends < moment else 'ends'} {ends:%FT%TZ}"
