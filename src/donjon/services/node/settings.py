"""The settings of the node agent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from donjon.admission.policies.guard import ChartValues, GuardExtent
from donjon.errors import Malformed
from donjon.formats.addresses import address_and_port
from donjon.kube.quantities import parse
from donjon.node.offer import DEFAULT_DEVICES, MAX_DEVICES, Advertise, OfferSettings
from donjon.runtime import settings
from donjon.runtime.choices import CHOICES, rules
from donjon.runtime.settings import LOG_LEVEL, Setting, SettingForm, count, one_of, switch

DEFAULT_KUBELET_DIR = Path("/var/lib/kubelet")
PLUGIN_FOLDER = DEFAULT_KUBELET_DIR / "device-plugins"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """Where the agent is and what it may tell; `host_prefix` is where the host's root is for the kubelet ("" for /).

    `kubelet_dir` is the kubelet's --root-dir; its plugin folder does not follow that (kubernetes pkg/kubelet/cm/devicemanager).
    """

    node_name: str
    host_root: Path
    host_prefix: str = ""
    kubelet_dir: Path = DEFAULT_KUBELET_DIR
    plugin_folder: Path = PLUGIN_FOLDER
    listen_host: str
    listen_port: int
    wait_for_policy: bool = False  # offer no EPC before the API server holds our account to its node
    offer: OfferSettings = field(default_factory=OfferSettings)
    meter: str = ""  # where the node's meter answers
    evict_over_request: bool = False
    chart: ChartValues = field(default_factory=lambda: ChartValues(namespace="donjon"))
    log_level: str = "info"

    @property
    def kubelet_socket(self) -> Path:
        """Where plugins register."""
        return self.plugin_folder / "kubelet.sock"

    @property
    def pod_resources_socket(self) -> Path:
        """Where the kubelet accounts for devices."""
        return self.kubelet_dir / "pod-resources" / "kubelet.sock"


def advertise(text: str) -> frozenset[Advertise]:
    """What a text with commas says is to be told to the cluster; raises `ValueError` that says what is expected."""
    try:
        return frozenset(Advertise(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise ValueError(f"some of {', '.join(Advertise)}, separated by commas") from error


def _name(text: str) -> str:
    if not text:
        raise ValueError("the node's name in Kubernetes")
    return text


def _prefix(text: str) -> str:
    if text and not text.startswith("/"):
        raise ValueError("an absolute path, or nothing for /, as on real hardware")
    return text.rstrip("/")


def _meter(text: str) -> str:
    if text:
        address_and_port(text)
    return text


def _amount(text: str) -> int:
    try:
        amount = parse(text)
    except Malformed:
        amount = -1
    if amount < 0:
        raise ValueError("a whole number of bytes, 0 or more, such as 16Mi")
    return amount


SETTINGS = (
    NODE_NAME := Setting("node-name", _name, None, "The node's name in Kubernetes."),
    HOST_ROOT := Setting("host-root", Path, "/", "Where the host's root is for this process.", "PATH"),
    HOST_PREFIX := Setting(
        "host-prefix",
        _prefix,
        "",
        "Where that root is for the kubelet, if not at /: for development clusters with stand-in hardware.",
        "PATH",
    ),
    KUBELET_DIR := Setting(
        "kubelet-dir",
        Path,
        str(DEFAULT_KUBELET_DIR),
        "The kubelet's --root-dir, as this process sees it; its plugin folder does not follow it.",
        "PATH",
    ),
    ENCLAVE_LIMIT := Setting(
        "enclave-limit",
        count(1, MAX_DEVICES),
        str(DEFAULT_DEVICES),
        f"How many containers may hold the enclave device at once, 1 to {MAX_DEVICES}.",
        "NUMBER",
    ),
    PROVISION_LIMIT := Setting(
        "provision-limit",
        count(1, MAX_DEVICES),
        str(DEFAULT_DEVICES),
        f"How many containers may hold the provision device at once, 1 to {MAX_DEVICES}.",
        "NUMBER",
    ),
    EPC_RESERVE := Setting(
        "epc-reserve", _amount, "0", "EPC that is not offered to pods, for quoting enclaves: 16Mi.", "QUANTITY"
    ),
    ADVERTISE := Setting(
        "advertise", advertise, "epc,labels,devices", "What to advertise; leave out what another plugin or NFD advertises."
    ),
    LISTEN := Setting(
        "listen", address_and_port, "0.0.0.0:9808", "Where /metrics, /healthz and /readyz are served.", "ADDRESS:PORT"
    ),
    METER := Setting("meter", _meter, "", "Where the node's meter answers; none by default.", "ADDRESS:PORT"),
    EVICT := Setting(
        "evict-over-request",
        switch,
        "false",
        "While the node evicts EPC, evict the least important pod that holds more of it than it asked for.",
        form=SettingForm.SWITCH,
    ),
    WAIT_FOR_POLICY := Setting(
        "wait-for-policy",
        switch,
        "false",
        "Offer no EPC before the API server refuses this account what is not its own: Donjon's policies are then in force.",
        form=SettingForm.SWITCH,
    ),
    NAMESPACE := Setting("namespace", str, "donjon", "Namespace of Donjon's release."),
    GUARD := Setting(
        "guard",
        one_of(GuardExtent),
        str(GuardExtent.NONE),
        "What the chart put into the API server, which the agent looks after: nothing, what holds our accounts, or that and what "
        "is for pods, where policies or the webhook wire them.",
        f"[{'|'.join(GuardExtent)}]",
    ),
    CHART_VERSION := Setting("chart-version", str, "", "The chart's version.", "VERSION"),
    LOG_LEVEL,
    *CHOICES,
)
"""Every setting by its name: `--listen`, `DONJON_LISTEN`, `listen = …`."""


def read(flags: Mapping[str, str | None], environment: Mapping[str, str], text: str) -> NodeSettings:
    """The settings, from flags, environment and a TOML text; raises `Misconfigured` DJ500 that says every fault."""
    faults: list[str] = []
    values = settings.read(SETTINGS, flags, environment, text, faults)
    settings.refuse(faults)
    host, port = values[LISTEN]
    return NodeSettings(
        node_name=values[NODE_NAME],
        host_root=values[HOST_ROOT],
        host_prefix=values[HOST_PREFIX],
        kubelet_dir=values[KUBELET_DIR],
        listen_host=host,
        listen_port=port,
        wait_for_policy=values[WAIT_FOR_POLICY],
        offer=OfferSettings(
            enclave_limit=values[ENCLAVE_LIMIT],
            provision_limit=values[PROVISION_LIMIT],
            epc_reserve=values[EPC_RESERVE],
            advertise=values[ADVERTISE],
        ),
        meter=values[METER],
        evict_over_request=values[EVICT],
        chart=ChartValues(version=values[CHART_VERSION], namespace=values[NAMESPACE], extent=values[GUARD], rules=rules(values)),
        log_level=values[LOG_LEVEL],
    )
