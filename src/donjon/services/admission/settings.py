"""What the webhook is told at start."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from donjon.admission.settings import Settings

LIFETIME = timedelta(days=90)


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedCertificate:
    """The certificate that replicas make themselves and share through a Secret."""

    namespace: str
    secret: str
    configuration: str  # the MutatingWebhookConfiguration whose caBundle is kept true
    names: tuple[str, ...]  # host names or addresses by which the API server calls
    lifetime: timedelta = LIFETIME


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFolder:
    """A certificate that another program renews, such as cert-manager: tls.crt and tls.key in a folder."""

    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionSettings:
    """Where to listen, whence the certificate comes, and what the rules are."""

    listen: tuple[str, int]
    probes: tuple[str, int]
    certificate: SharedCertificate | CertificateFolder
    drain: float  # seconds between being told to stop and turning anyone away
    rules: Settings = field(default_factory=Settings)
