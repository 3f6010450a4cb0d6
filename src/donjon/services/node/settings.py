"""What the node agent is told at start."""

from dataclasses import dataclass, field
from pathlib import Path

from donjon.node.offer import OfferSettings

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

    @property
    def kubelet_socket(self) -> Path:
        """Where plugins register."""
        return self.plugin_folder / "kubelet.sock"

    @property
    def pod_resources_socket(self) -> Path:
        """Where the kubelet accounts for devices."""
        return self.kubelet_dir / "pod-resources" / "kubelet.sock"
