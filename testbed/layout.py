"""Where everything of the testbed lies, and its addresses: said once, here.

What a daemon listens on lies under `/run/donjon-testbed`, because the path of a Unix socket ends at 107 bytes and a checkout
may lie in a deep folder. Everything else lies in the checkout, under `testbed/state`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MARK = "DONJON_TESTBED"
"""The variable in the environment of every daemon; its value is the checkout that started it."""
CGROUP = "donjon-testbed"
BRIDGE = "donjon0"
HOST_ADDRESS = "10.87.0.1"
NODE_NETWORK = "10.87.0.0/24"
PODS = "10.88.0.0/16"
SERVICES = "10.96.0.0/16"
SERVICE_ADDRESS = "10.96.0.1"
SERVER = f"https://{HOST_ADDRESS}:6443"
ETCD = "http://127.0.0.1:23790"
ETCD_PEER = "http://127.0.0.1:23791"
RUN = Path("/run/donjon-testbed")
HOST_ROOT = RUN / "host"
"""The path at which every node sees its own tree of stand-in hardware: one chart value serves all nodes."""
VOLUMES = RUN / "volumes"
"""The path at which every node sees its own folder of volumes."""
KUBELET = Path("/var/lib/kubelet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The paths of one checkout's testbed."""

    checkout: Path

    @property
    def folder(self) -> Path:
        """The testbed's own folder in the checkout."""
        return self.checkout / "testbed"

    @property
    def state(self) -> Path:
        """What one cluster leaves behind while it is up."""
        return self.folder / "state"

    @property
    def bin(self) -> Path:
        """Links to the programs, under the names that pick them."""
        return self.folder / "bin"

    @property
    def logs(self) -> Path:
        """One log file a daemon; they stay after `down`, for whoever asks what happened."""
        return self.state / "logs"

    @property
    def certificates(self) -> Path:
        """Keys and certificates of the cluster."""
        return self.state / "certificates"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.state / "kubeconfig"

    def program(self, name: str) -> Path:
        """The program of that name."""
        return self.bin / name


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node: its name, its number (which makes its addresses) and the hardware it pretends to have."""

    name: str
    number: int
    machine: str
    driver: str

    @property
    def address(self) -> str:
        """The node's address on the bridge."""
        return f"10.87.0.{10 + self.number}"

    @property
    def pods(self) -> str:
        """The addresses of its pods."""
        return f"10.88.{self.number}.0/24"

    @property
    def link(self) -> str:
        """The host's end of the cable; a link's name ends at 15 characters, so it holds the number and not the name."""
        return f"donjon-v{self.number}"

    @property
    def mounts(self) -> Path:
        """The file that keeps its mount namespace."""
        return RUN / "namespaces" / f"{self.name}.mnt"

    @property
    def network(self) -> Path:
        """The file that keeps its network namespace."""
        return RUN / "namespaces" / f"{self.name}.net"

    @property
    def runtime(self) -> Path:
        """What the node sees as /run/containerd."""
        return RUN / "nodes" / self.name

    @property
    def containerd(self) -> Path:
        """The containerd socket as the host sees it."""
        return self.runtime / "containerd.sock"

    @property
    def cgroup(self) -> str:
        """The cgroup under which its kubelet puts all pods."""
        return f"/{CGROUP}/{self.name}"

    def folder(self, layout: Layout) -> Path:
        """The node's data."""
        return layout.state / "nodes" / self.name

    def tree(self, layout: Layout) -> Path:
        """The node's tree of stand-in hardware, as seen from outside."""
        return self.folder(layout) / "host"

    def plugins(self, layout: Layout) -> Path:
        """The kubelet's device plugin folder, as seen from outside."""
        return self.folder(layout) / "kubelet" / "device-plugins"


def here() -> Layout:
    """The layout of the checkout that this file is part of."""
    return Layout(checkout=Path(__file__).resolve().parent.parent)
