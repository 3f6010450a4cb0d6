"""The settings of the meter."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from donjon.formats.addresses import address_and_port
from donjon.runtime import settings
from donjon.runtime.settings import LOG_LEVEL, Setting, count

DEFAULT_PORT = 9810
FRESH = 60.0  # seconds after which what a pass said is too old to be answered

_MOST_SECONDS = 30  # between passes: two must fit into FRESH


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterSettings:
    """Where the meter is, and how often it reads."""

    node_name: str
    host_root: Path
    listen_host: str
    listen_port: int
    every: float = 15.0  # seconds
    log_level: str = "info"


def _name(text: str) -> str:
    if not text:
        raise ValueError("the node's name in Kubernetes")
    return text


SETTINGS = (
    NODE_NAME := Setting("node-name", _name, None, "The node's name in Kubernetes."),
    HOST_ROOT := Setting("host-root", Path, "/", "Where the host's root is for this process.", "PATH"),
    LISTEN := Setting(
        "listen",
        address_and_port,
        f"0.0.0.0:{DEFAULT_PORT}",
        "Where /epc, /metrics, /healthz and /readyz are served.",
        "ADDRESS:PORT",
    ),
    EVERY := Setting(
        "every", count(1, _MOST_SECONDS), "15", f"Seconds between two passes over all processes, 1 to {_MOST_SECONDS}.", "SECONDS"
    ),
    LOG_LEVEL,
)
"""Every setting by its name: `--listen`, `DONJON_LISTEN`, `listen = …`."""


def read(flags: Mapping[str, str | None], environment: Mapping[str, str], text: str) -> MeterSettings:
    """The settings, from flags, environment and a TOML text; raises `Misconfigured` DJ500 that says every fault."""
    faults: list[str] = []
    values = settings.read(SETTINGS, flags, environment, text, faults)
    settings.refuse(faults)
    host, port = values[LISTEN]
    return MeterSettings(
        node_name=values[NODE_NAME],
        host_root=values[HOST_ROOT],
        listen_host=host,
        listen_port=port,
        every=float(values[EVERY]),
        log_level=values[LOG_LEVEL],
    )
