"""The settings of the webhook."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from donjon.admission.settings import Settings
from donjon.formats.addresses import address_and_port
from donjon.runtime import settings
from donjon.runtime.certificate_settings import CertificateFolder, SharedCertificate, certificate_lifetime
from donjon.runtime.choices import CHOICES, rules
from donjon.runtime.settings import LOG_LEVEL, Setting, SettingForm, Values, folder, seconds, several
from donjon.services.admission.enclaves.settings import ENCLAVE_CHOICES, EnclaveSettings, enclave_settings


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionSettings:
    """Where to listen, whence the certificate comes, and what the rules are."""

    listen: tuple[str, int]
    probes: tuple[str, int]
    certificate: SharedCertificate | CertificateFolder
    drain: float  # seconds between the signal to stop and turning anyone away
    configuration: str = "donjon"  # the MutatingWebhookConfiguration whose caBundle is kept true
    rules: Settings = field(default_factory=Settings)
    enclaves: EnclaveSettings | None = None  # where pods are judged by the enclaves in their images
    log_level: str = "info"


SETTINGS = (
    NAMESPACE := Setting("namespace", str, "donjon", "Namespace of the webhook."),
    SERVICE := Setting("service", str, "donjon-webhook", "The Service by which the API server calls."),
    NAME := Setting("name", several(str), "", "A further host name or address by which it calls.", form=SettingForm.SEVERAL),
    SECRET := Setting("secret", str, "donjon-webhook-tls", "The Secret, which must be there, in which replicas share it."),
    CONFIGURATION := Setting("configuration", str, "donjon", "The MutatingWebhookConfiguration that calls the webhook."),
    CERTIFICATE_LIFETIME := Setting(
        "certificate-lifetime",
        certificate_lifetime,
        "90d",
        "How long a certificate is good; it is renewed after two thirds of that.",
    ),
    CERTIFICATE_DIR := Setting(
        "certificate-dir",
        folder,
        "",
        "A folder with tls.crt and tls.key that another program renews, such as cert-manager; the options above are then unused.",
        "PATH",
    ),
    LISTEN := Setting("listen", address_and_port, "0.0.0.0:9443", "Where to serve.", "ADDRESS:PORT"),
    PROBES := Setting(
        "probes", address_and_port, "0.0.0.0:9809", "Where /metrics, /healthz and /readyz are served.", "ADDRESS:PORT"
    ),
    DRAIN := Setting(
        "drain",
        seconds(600),
        "10",
        "Seconds between the signal to stop and the end, in which the cluster hears that we go, 0 to 600.",
        "SECONDS",
    ),
    LOG_LEVEL,
    *CHOICES,
    *ENCLAVE_CHOICES,
)
"""Every setting by its name: `--listen`, `DONJON_LISTEN`, `listen = …`."""


def read(flags: Mapping[str, str | None], environment: Mapping[str, str], text: str) -> AdmissionSettings:
    """The settings, from flags, environment and a TOML text; raises `Misconfigured` DJ500 that says every fault."""
    faults: list[str] = []
    values = settings.read(SETTINGS, flags, environment, text, faults)
    settings.refuse(faults)
    return AdmissionSettings(
        listen=values[LISTEN],
        probes=values[PROBES],
        certificate=_certificate(values),
        configuration=values[CONFIGURATION],
        drain=values[DRAIN],
        rules=rules(values),
        enclaves=enclave_settings(values),
        log_level=values[LOG_LEVEL],
    )


def _certificate(values: Values) -> SharedCertificate | CertificateFolder:
    place = values[CERTIFICATE_DIR]
    if place is not None:
        return CertificateFolder(folder=place)
    namespace = values[NAMESPACE]
    return SharedCertificate(
        namespace=namespace,
        secret=values[SECRET],
        names=(f"{values[SERVICE]}.{namespace}.svc", *values[NAME]),
        lifetime=values[CERTIFICATE_LIFETIME],
    )
