"""Which nodes are which pool's, and what a new one of it would be: a plan and a cluster to the pools that are watched."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from donjon.errors import Misconfigured
from donjon.fleet.machines.catalogue import Sku
from donjon.fleet.pools.plan import Cloud, FleetPlan, Pool
from donjon.fleet.scaling.record import ScalePool
from donjon.fleet.scaling.templates import NodeTemplate, after_node, of_size
from donjon.formats.json import JsonObject
from donjon.kube.objects import labels_of

AKS_LABELS = ("kubernetes.azure.com/agentpool", "agentpool")


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudPool:
    """What a pool's cloud says of it."""

    size: int
    trouble: str = ""  # why no step can be taken now


def watched_pools(plan: FleetPlan, skus: Mapping[str, Sku]) -> tuple[Pool, ...]:
    """The pools of a plan with bounds and EPC; raises `Misconfigured` where there are none, or their nodes cannot be told."""
    pools = tuple(each for each in plan.pools if each.scale is not None and _may_have_epc(plan, skus.get(each.size)))
    if not pools:
        raise Misconfigured("DJ851", "the plan has no pool of machines with SGX that has bounds (scale: {min, max})")
    for each in pools:
        if plan.cluster.cloud is not Cloud.AZURE and not each.labels:
            raise Misconfigured("DJ852", f"pool {each.name}: has no labels, by which its nodes could be told from others")
    return pools


def _may_have_epc(plan: FleetPlan, sku: Sku | None) -> bool:
    """The catalogue has all of Azure's sizes with SGX; a machine of one's own may be any."""
    return sku.has_sgx if sku is not None else plan.cluster.cloud is Cloud.METAL


def scale_pool(
    pool: Pool,
    sku: Sku | None,
    nodes: Sequence[JsonObject],
    pods: Iterable[JsonObject],
    *,
    cloud: CloudPool | None = None,
    region: str = "",
) -> ScalePool:
    """The pool as it is watched, with its own of these nodes. Its bounds must be there."""
    if pool.scale is None:
        raise ValueError(pool.name)
    own = tuple(each for each in nodes if _is_of(each, pool))
    price = sku.prices.get(region) if sku is not None else None
    return ScalePool(
        name=pool.name,
        scale=pool.scale,
        nodes=own,
        template=_template(pool, sku, own, tuple(pods)),
        cost=None if price is None else Decimal(price.hour),
        size=None if cloud is None else cloud.size,
        trouble="" if cloud is None else cloud.trouble,
    )


def _template(pool: Pool, sku: Sku | None, own: Sequence[JsonObject], pods: Sequence[JsonObject]) -> NodeTemplate | None:
    template = after_node(own, pods)
    return of_size(pool, sku, pods) if template is None and sku is not None else template


def _is_of(node: JsonObject, pool: Pool) -> bool:
    """By AKS' label, which says it alone where it is there; else by all labels that the plan gives the pool's nodes."""
    labels = labels_of(node)
    names = {str(labels[key]) for key in AKS_LABELS if key in labels}
    return pool.name in names if names else bool(pool.labels) and pool.labels.items() <= labels.items()
