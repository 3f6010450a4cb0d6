"""A plan of pools, as values: a cluster, and the machines that it is to have."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from donjon.findings import Finding

UBUNTU = "Ubuntu"
"""The image that AKS takes where nobody names one."""


class Cloud(StrEnum):
    """Who makes the machines."""

    AZURE = "azure"  # AKS: managed
    ALIBABA = "alibaba"  # ACK: managed
    METAL = "metal"  # one's own, joined by kubeadm


class PoolMode(StrEnum):
    """What a pool of AKS is for."""

    USER = "User"
    SYSTEM = "System"


class NodeTaint(StrEnum):
    """Whether a pool is for pods that ask for SGX alone."""

    SGX_ONLY = "sgx-only"
    NONE = "none"


class Scaler(StrEnum):
    """Who says how many nodes a pool has."""

    AUTOSCALER = "autoscaler"  # the cluster's own
    DONJON = "donjon"  # donjon plan --watch --apply


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolScale:
    """Between how many nodes a pool moves."""

    least: int
    most: int
    by: Scaler = Scaler.AUTOSCALER


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Nodes that are alike."""

    name: str
    size: str
    count: int  # to begin with
    scale: PoolScale | None = None
    mode: PoolMode = PoolMode.USER
    os_type: str = "Linux"
    os_sku: str = UBUNTU
    zones: tuple[str, ...] = ()
    spot: bool = False
    taint: NodeTaint = NodeTaint.NONE
    labels: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)  # of Azure, for people and bills
    subnet: str = ""  # its resource ID; of a network of one's own
    os_disk: int = 0  # GB; 0 as its cloud has it
    max_pods: int = 110
    accelerated_networking: bool = False
    ephemeral_os_disk: bool = False
    driver: str = ""  # one of one's own, or a script that installs one

    @property
    def most(self) -> int:
        """To how many nodes it may grow."""
        return max(self.count, self.scale.most) if self.scale else self.count

    @property
    def autoscaler(self) -> PoolScale | None:
        """What the cluster autoscaler is to be told; nothing where it has no say."""
        return self.scale if self.scale and self.scale.by is Scaler.AUTOSCALER else None

    @property
    def may_be_empty(self) -> bool:
        """Whether its first node may have to be made while pods wait."""
        return (self.scale is not None and self.scale.least == 0) or self.count == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterPlan:
    """The cluster of the pools."""

    cloud: Cloud
    name: str
    region: str = ""
    resource_group: str = ""
    network: str = ""  # of AKS: azure, overlay, kubenet, none
    version: str = ""  # of Kubernetes
    confcom: bool = False  # AKS' own add-on
    donjon: bool = True
    quota: int | None = None  # cores of the family that the subscription may have


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFault:
    """One thing about a plan, and where it stands in its file, as a JSON pointer."""

    place: str
    finding: Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlan:
    """All of it."""

    cluster: ClusterPlan
    pools: tuple[Pool, ...]
