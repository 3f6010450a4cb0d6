"""Whence a program that the API server calls has its certificate, as settings say it; loads no library."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from donjon.formats.durations import duration

_SHORTEST, _LONGEST = timedelta(seconds=30), timedelta(days=825)


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedCertificate:
    """The certificate that replicas make themselves and share through a Secret."""

    namespace: str
    secret: str
    names: tuple[str, ...]  # host names or addresses by which the API server calls
    lifetime: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFolder:
    """A certificate that another program renews, such as cert-manager: tls.crt and tls.key in a folder."""

    folder: Path


def certificate_lifetime(text: str) -> timedelta:
    """How long a certificate is good; a `ValueError` says what is expected."""
    lifetime = duration(text)
    if not _SHORTEST <= lifetime <= _LONGEST:
        raise ValueError("30s to 825d")
    return lifetime
