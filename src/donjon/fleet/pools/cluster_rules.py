"""What speaks against a plan's cluster, and against its pools taken together.

Sources: the FAQ (F18); AKS' pages on names, networks, system pools and quotas.
"""

import re
from collections.abc import Iterator

from donjon.findings import Finding
from donjon.fleet.machines.catalogue import Catalogue
from donjon.fleet.pools.plan import Cloud, FleetPlan, PlanFault, PoolMode
from donjon.fleet.pools.reading import MAX_NODES

NETWORKS = frozenset({"azure", "overlay", "kubenet", "none"})

_CLUSTER_NAME = re.compile(r"[A-Za-z0-9]([-\w]{0,61}[A-Za-z0-9])?", re.ASCII)
_GROUP_NAME = re.compile(r"[-\w.()]{0,89}[-\w()]", re.ASCII)
_VERSION = re.compile(r"1\.[0-9]{2}(\.[0-9]{1,2})?")
_REGION = re.compile(r"[a-z][a-z0-9]{0,49}")
_ALIBABA_REGION = re.compile(r"[a-z]{2}-[a-z0-9-]{1,30}")
_METAL_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def of_cluster(plan: FleetPlan) -> Iterator[PlanFault]:
    """What speaks against the cluster itself."""
    cluster, subject = plan.cluster, f"cluster {plan.cluster.name}"
    if cluster.confcom and cluster.donjon:
        words = "two device plugins and two webhooks for the same names take EPC and devices from each other"
        yield PlanFault(
            place="/cluster/confcom",
            finding=Finding.error("DJ833", subject, "has both confcom and Donjon", words, "leave one of them out"),
        )
    if cluster.version and not _VERSION.fullmatch(cluster.version):
        do = 'write one such as "1.36", in quotation marks'
        yield PlanFault(
            place="/cluster/version",
            finding=Finding.error("DJ820", subject, "has a version that is none", "no tool takes it", do),
        )
    if cluster.cloud is Cloud.AZURE:
        yield from _azure_cluster(plan)
        return
    if not _METAL_NAME.fullmatch(cluster.name):
        do = "write lower-case letters, digits and dashes"
        yield PlanFault(
            place="/cluster/name",
            finding=Finding.error("DJ820", subject, "has a name that Kubernetes refuses", "its pools name it", do),
        )
    if cluster.cloud is Cloud.ALIBABA and not _ALIBABA_REGION.fullmatch(cluster.region):
        observation = "has a region that is no name of one" if cluster.region else "has no region"
        yield PlanFault(
            place="/cluster/region",
            finding=Finding.error("DJ823", subject, observation, "its pools are made there", "write it: region: cn-beijing"),
        )
    if cluster.confcom:
        yield PlanFault(
            place="/cluster/confcom",
            finding=Finding.error("DJ833", subject, "has confcom outside AKS", "it is an add-on of AKS", "leave it out"),
        )


def _azure_cluster(plan: FleetPlan) -> Iterator[PlanFault]:
    cluster, subject = plan.cluster, f"cluster {plan.cluster.name}"
    for field, pattern in (("name", _CLUSTER_NAME), ("resource_group", _GROUP_NAME)):
        text = getattr(cluster, field)
        if not pattern.fullmatch(text):
            observation = (
                f"has no {field.replace('_', ' ')}" if not text else f"has a {field.replace('_', ' ')} that Azure refuses"
            )
            yield PlanFault(
                place=f"/cluster/{field}",
                finding=Finding.error("DJ820", subject, observation, "nothing can be made without", "write it"),
            )
    if not _REGION.fullmatch(cluster.region):
        observation = "has a region that is no name of one" if cluster.region else "has no region"
        do = "write it as Azure does: region: westeurope"
        yield PlanFault(
            place="/cluster/region",
            finding=Finding.error("DJ823", subject, observation, "sizes are offered by region", do),
        )
    if cluster.network and cluster.network not in NETWORKS:
        do = f"write one of {', '.join(sorted(NETWORKS))}"
        yield PlanFault(
            place="/cluster/network",
            finding=Finding.error("DJ820", subject, "has a network that is none of AKS", "it decides which sizes go", do),
        )
    if not any(pool.mode is PoolMode.SYSTEM for pool in plan.pools):
        why = "AKS runs its own pods on one, and a cluster needs one; where it has one already this plan only adds to it"
        yield PlanFault(place="/pools", finding=Finding.info("DJ826", subject, "has no system pool in this plan", why))


def of_all_pools(plan: FleetPlan, catalogue: Catalogue) -> Iterator[PlanFault]:
    """What speaks against pools beside one another: names, numbers, the quota."""
    subject, first = f"cluster {plan.cluster.name}", dict[str, int]()
    for index, pool in enumerate(plan.pools):
        if first.setdefault(pool.name, index) != index:
            do = "give each its own"
            yield PlanFault(
                place=f"/pools/{index}/name",
                finding=Finding.error("DJ821", f"pool {pool.name}", "has another's name", "one would be the other", do),
            )
    if sum(pool.most for pool in plan.pools) > MAX_NODES:
        yield PlanFault(
            place="/pools",
            finding=Finding.error(
                "DJ832", subject, f"may grow beyond {MAX_NODES} nodes", "no cluster takes more", "bound its pools"
            ),
        )
    yield from _quotas(plan, catalogue)


def _quotas(plan: FleetPlan, catalogue: Catalogue) -> Iterator[PlanFault]:
    if plan.cluster.cloud is not Cloud.AZURE:
        return
    subject = f"cluster {plan.cluster.name}"
    cores = sum((sku.cpus or 0) * pool.most for pool in plan.pools if (sku := catalogue.machines.get(pool.size)) and sku.has_sgx)
    if plan.cluster.quota is None and cores:
        region = plan.cluster.region if _REGION.fullmatch(plan.cluster.region) else "REGION"
        do = f"look: az vm list-usage --location {region} --output table, and write it here as quota"
        yield PlanFault(
            place="/cluster",
            finding=Finding.info(
                "DJ827", subject, f"needs {cores} cores of its SGX sizes", "a new subscription has none of them", do
            ),
        )
    elif plan.cluster.quota is not None and cores > plan.cluster.quota:
        observation = f"needs {cores} cores of its SGX sizes at the most, and has {plan.cluster.quota}"
        do = "have the quota of the family raised, or take fewer or smaller machines"
        yield PlanFault(
            place="/cluster/quota",
            finding=Finding.error("DJ827", subject, observation, "the last machines would not be made", do),
        )
