"""What a pool's nodes will have before there is one: from it the autoscaler tells whether a pod would fit on a new node.

Sources: kubernetes/autoscaler, cluster-autoscaler/cloudprovider/azure/README.md (tags of a scale set, `/` written as `_`);
kubernetes-sigs/cluster-api, the annotations `capacity.cluster-autoscaler.kubernetes.io`.
"""

from collections.abc import Mapping

from donjon.fleet.machines.catalogue import Sku
from donjon.fleet.pools.plan import NodeTaint, Pool
from donjon.kube.names import ENCLAVE, EPC, LABEL_CAPABLE, PROVISION

DEVICES_OF_A_NODE = 110  # the chart's node.enclaveLimit and node.provisionLimit
TAINT = f"{EPC}=true:NoSchedule"
"""By the admission plugin ExtendedResourceToleration, which AKS has on, a pod that asks for EPC tolerates it unasked."""

_TAG = "k8s.io_cluster-autoscaler_node-template"


def node_resources(sku: Sku | None) -> Mapping[str, int]:
    """The extended resources that Donjon's agent will offer there; none where the size's EPC is unknown."""
    if sku is None or sku.epc is None:
        return {}
    return {EPC: sku.epc, ENCLAVE: DEVICES_OF_A_NODE, PROVISION: DEVICES_OF_A_NODE}


def taints(pool: Pool) -> tuple[str, ...]:
    """KEY=VALUE:EFFECT."""
    return (TAINT,) if pool.taint is NodeTaint.SGX_ONLY else ()


def tags(pool: Pool, sku: Sku | None) -> Mapping[str, str]:
    """The plan's own, and of a pool that may be empty what its first node would have."""
    return {**pool.tags, **(_first_node(pool, sku) if pool.may_be_empty else {})}


def _first_node(pool: Pool, sku: Sku | None) -> Mapping[str, str]:
    resources = {f"{_TAG}_resources_{_flat(name)}": str(number) for name, number in node_resources(sku).items()}
    labels = {f"{_TAG}_label_{_flat(name)}": text for name, text in {LABEL_CAPABLE: "true", **pool.labels}.items()}
    effects = {f"{_TAG}_taint_{_flat(EPC)}": "true:NoSchedule" for _ in taints(pool)}
    return {**resources, **labels, **effects}


def _flat(name: str) -> str:
    return name.replace("/", "_")
