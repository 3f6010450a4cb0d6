"""The settings of the metrics server."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from donjon.formats.addresses import address_and_port
from donjon.metricsapi.discovery import Group
from donjon.metricsapi.registrations import ServicePort
from donjon.runtime import settings
from donjon.runtime.certificate_settings import SharedCertificate, certificate_lifetime
from donjon.runtime.settings import LOG_LEVEL, Setting, SettingForm, seconds, several

_SERVICE = re.compile(r"([a-z0-9.-]{1,253})/([a-z0-9.-]{1,253}):([0-9]{1,5})", re.ASCII)
_APIS = {"resource": Group.RESOURCE, "custom": Group.CUSTOM, "external": Group.EXTERNAL}


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSettings:
    """Where to listen, which APIs to serve, and whom to ask."""

    listen: tuple[str, int]
    probes: tuple[str, int]
    certificate: SharedCertificate
    service: str
    groups: tuple[Group, ...]
    metrics_server: ServicePort
    reader: str  # the account as which metrics-server is asked, in our namespace
    scaler: tuple[str, int] | None  # where KEDA asks
    every: float  # seconds between two rounds of the meters
    drain: float  # seconds between the signal to stop and turning anyone away
    log_level: str = "info"

    @property
    def namespace(self) -> str:
        """Where we and the meters are."""
        return self.certificate.namespace

    @property
    def own(self) -> ServicePort:
        """Our own Service."""
        return ServicePort(namespace=self.namespace, name=self.service)


def _service(text: str) -> ServicePort:
    match = _SERVICE.fullmatch(text)
    if match is None or not 0 < int(match[3]) < 1 << 16:
        raise ValueError("NAMESPACE/NAME:PORT, such as kube-system/metrics-server:443")
    return ServicePort(namespace=match[1], name=match[2], port=int(match[3]))


def _group(text: str) -> Group:
    if text not in _APIS:
        raise ValueError(f"one of {', '.join(_APIS)}")
    return _APIS[text]


def _perhaps_address(text: str) -> tuple[str, int] | None:
    return address_and_port(text) if text else None


def _interval(text: str) -> float:
    number = seconds(60)(text)
    if number < 1:
        raise ValueError("seconds, 1 to 60")
    return number


NAMESPACE = Setting("namespace", str, "donjon", "Namespace of the server, and of the node agents with their meters.")
SERVICE = Setting("service", str, "donjon-metrics", "The Service by which the API server calls.")

SETTINGS = (
    NAMESPACE,
    SERVICE,
    APIS := Setting(
        "api",
        several(_group),
        "resource",
        "An API to serve: resource (metrics-server's, with EPC in it), custom, external.",
        "NAME",
        form=SettingForm.SEVERAL,
    ),
    METRICS_SERVER := Setting(
        "metrics-server",
        _service,
        "kube-system/metrics-server:443",
        "metrics-server's Service, which is asked for CPU and memory.",
        "NAMESPACE/NAME:PORT",
    ),
    READER := Setting("reader", str, "donjon-metrics-reader", "The account as which metrics-server is asked."),
    SECRET := Setting("secret", str, "donjon-metrics-tls", "The Secret, which must be there, in which replicas share it."),
    LIFETIME := Setting(
        "certificate-lifetime",
        certificate_lifetime,
        "90d",
        "How long a certificate is good; it is renewed after two thirds of that.",
    ),
    EVERY := Setting("every", _interval, "10", "Seconds between two questions to each meter, 1 to 60.", "SECONDS"),
    LISTEN := Setting("listen", address_and_port, "0.0.0.0:9443", "Where to serve.", "ADDRESS:PORT"),
    PROBES := Setting(
        "probes", address_and_port, "0.0.0.0:9811", "Where /metrics, /healthz and /readyz are served.", "ADDRESS:PORT"
    ),
    SCALER := Setting(
        "scaler-listen",
        _perhaps_address,
        "",
        "Where KEDA asks, by its external scaler (gRPC without TLS), such as 0.0.0.0:9812; nowhere where it is empty.",
        "ADDRESS:PORT",
    ),
    DRAIN := Setting(
        "drain",
        seconds(600),
        "10",
        "Seconds between the signal to stop and the end, in which the cluster hears that we go, 0 to 600.",
        "SECONDS",
    ),
    LOG_LEVEL,
)
"""Every setting by its name: `--listen`, `DONJON_LISTEN`, `listen = …`."""


def read(flags: Mapping[str, str | None], environment: Mapping[str, str], text: str) -> MetricsSettings:
    """The settings, from flags, environment and a TOML text; raises `Misconfigured` DJ500 that says every fault."""
    faults: list[str] = []
    values = settings.read(SETTINGS, flags, environment, text, faults)
    if APIS in values and not values[APIS] and SCALER in values and values[SCALER] is None:
        faults.append("api: expected one of them at least, or scaler-listen")
    settings.refuse(faults)
    namespace = values[NAMESPACE]
    return MetricsSettings(
        listen=values[LISTEN],
        probes=values[PROBES],
        certificate=SharedCertificate(
            namespace=namespace,
            secret=values[SECRET],
            names=(f"{values[SERVICE]}.{namespace}.svc",),
            lifetime=values[LIFETIME],
        ),
        service=values[SERVICE],
        groups=tuple(dict.fromkeys(values[APIS])),
        metrics_server=values[METRICS_SERVER],
        reader=values[READER],
        scaler=values[SCALER],
        every=values[EVERY],
        drain=values[DRAIN],
        log_level=values[LOG_LEVEL],
    )
