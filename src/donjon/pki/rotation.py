"""When the webhook's certificate is renewed, and in which order, so that no call fails.

A successor is made and its authority told to clients beside the present one; once they have had time to hear of it, it serves.
Authorities that served before are told until they end: a replica that heard of nothing serves on until then, and since nobody has
an authority's key, to trust one longer costs nothing.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum

from donjon.pki.serving import BACKDATE, ServingAuthority, ServingCertificate

MAX_RETIRED = 8  # authorities that are told beside the present one; more come only from a pace that nobody wants


class Step(Enum):
    """What is to be done to what is held."""

    NOTHING = "nothing"
    BEGIN = "begin"  # make a certificate that serves at once: there is none that could
    PREPARE = "prepare"  # make the successor
    SWITCH = "switch"  # let the successor serve
    FORGET = "forget"  # drop authorities that have ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long a certificate is good, and how long clients may take to hear of an authority."""

    lifetime: timedelta
    settle: timedelta

    @classmethod
    def of(cls, lifetime: timedelta) -> "Pace":
        """Five minutes to hear of an authority, less where certificates live for minutes."""
        return cls(lifetime=lifetime, settle=min(timedelta(minutes=5), lifetime / 15))


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCertificates:
    """The certificates that all replicas share."""

    present: ServingCertificate | None = None
    successor: ServingCertificate | None = None
    retired: tuple[ServingAuthority, ...] = field(default=())  # the youngest first

    @property
    def authorities(self) -> tuple[ServingAuthority, ...]:
        """All whom clients are to trust."""
        serving = [each.authority for each in (self.present, self.successor) if each is not None]
        return (*serving, *self.retired)

    @property
    def bundle(self) -> bytes:
        """The same as clients take it, in PEM."""
        return b"".join(each.pem for each in self.authorities)


def plan(certificates: StoredCertificates, client_bundle: bytes, moment: datetime, pace: Pace) -> Step:
    """The next step; `client_bundle` is the bundle that clients have now."""
    present, successor = certificates.present, certificates.successor
    if successor is not None and _good(successor, moment):
        heard = successor.authority.pem.strip() in client_bundle and moment >= successor.issued_at + pace.settle
        if heard or present is None or not _good(present, moment):
            return Step.SWITCH
    if present is None or not _good(present, moment):
        return Step.BEGIN
    if successor is None and moment >= present.issued_at + min(present.ends - present.issued_at, pace.lifetime) * 2 / 3:
        return Step.PREPARE
    return Step.FORGET if any(authority.ends <= moment for authority in certificates.retired) else Step.NOTHING


def after(
    step: Step, certificates: StoredCertificates, new_certificate: ServingCertificate | None, moment: datetime
) -> StoredCertificates:
    """What is held after the step; `new_certificate` is the new certificate, where the step needs one."""
    retired = tuple(authority for authority in certificates.retired if authority.ends > moment)
    leaving = () if certificates.present is None else (certificates.present.authority,)
    match step:
        case Step.BEGIN:
            return StoredCertificates(present=new_certificate, retired=(*leaving, *retired)[:MAX_RETIRED])
        case Step.PREPARE:
            return replace(certificates, successor=new_certificate, retired=retired)
        case Step.SWITCH:
            return StoredCertificates(present=certificates.successor, retired=(*leaving, *retired)[:MAX_RETIRED])
        case Step.FORGET | Step.NOTHING:
            return replace(certificates, retired=retired)


def makes_one(step: Step) -> bool:
    """Whether the step needs a new certificate."""
    return step in {Step.BEGIN, Step.PREPARE}


def _good(serving: ServingCertificate, moment: datetime) -> bool:
    """Whether clients take it now; one from the future is of a clock that was wrong."""
    return serving.issued_at - BACKDATE <= moment < serving.ends
