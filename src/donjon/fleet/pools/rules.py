"""What speaks against a plan: of the FAQ, of AKS, of Kubernetes, and of two who would do the same thing.

Sources: the FAQ (F2, F4, F6, F8, F10, F18, F19); AKS' pages on system pools, overlay networking, spot pools, labels, autoscaler.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from donjon.findings import Finding
from donjon.fleet.machines.catalogue import Catalogue, Sku, age_warnings
from donjon.fleet.machines.packing import LEAST_CPUS
from donjon.fleet.machines.recommend import lifecycle
from donjon.fleet.pools.cluster_rules import of_all_pools, of_cluster
from donjon.fleet.pools.plan import Cloud, FleetPlan, NodeTaint, PlanFault, Pool, PoolMode
from donjon.formats.words import nearest
from donjon.kube.names import NODE_LABELS

MAX_IN_A_POOL = 1000  # nodes, of AKS
OS_SKUS = frozenset({"Ubuntu", "Ubuntu2204", "Ubuntu2404", "AzureLinux", "AzureLinux3"})

_POOL_NAME = re.compile(r"[a-z][a-z0-9]{0,11}")
_NODE_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_PART = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"  # of a DNS name
_LABEL_KEY = re.compile(rf"(?:(?=.{{1,253}}/){_PART}(\.{_PART})*/)?[A-Za-z0-9]([-\w.]{{0,61}}[A-Za-z0-9])?", re.ASCII)
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?)?", re.ASCII)
_ZONES = frozenset("123")
_SYSTEM_CORES, _SYSTEM_MEMORY = 2, 4 << 30
_RESERVED_DOMAINS = ("kubernetes.azure.com", "kubernetes.io", "k8s.io")
_OUR_DOMAINS = frozenset(label.partition("/")[0] for label in NODE_LABELS)
_SIZE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,79}")
_ALIBABA_SIZE = re.compile(r"ecs\.[a-z0-9-]{1,30}\.[a-z0-9-]{1,30}")
_ASK_ALIBABA = (
    "look before you build on it: aliyun ecs DescribeAvailableResource --DestinationResource InstanceType --InstanceType …"
)
_CONFIDENTIAL = re.compile(r"Standard_[DE]C", re.ASCII)
_SERVICES = {Cloud.AZURE: "AKS", Cloud.ALIBABA: "ACK"}
_OF_AKS = ("mode", "os_sku", "ephemeral_os_disk", "accelerated_networking", "subnet", "tags")
_UNHEARD = {Cloud.METAL: (*_OF_AKS, "os_disk", "zones", "spot"), Cloud.ALIBABA: (*_OF_AKS, "max_pods", "driver")}
_V2 = re.compile(r"Standard_DC\d+s?_v2", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """A pool where it stands."""

    plan: FleetPlan
    pool: Pool
    place: str
    sku: Sku | None  # none of the catalogue, or metal of one's own

    @property
    def managed(self) -> bool:
        """By AKS, whose rules most of these are."""
        return self.plan.cluster.cloud is Cloud.AZURE

    @property
    def service(self) -> str:
        """Who makes the machines; empty of one's own."""
        return _SERVICES.get(self.plan.cluster.cloud, "")

    def fault(self, field: str, code: str, observation: str, why: str, do: str, *, mild: bool = False) -> PlanFault:
        make = Finding.warning if mild else Finding.error
        return PlanFault(place=f"{self.place}/{field}", finding=make(code, f"pool {self.pool.name}", observation, why, do))


def judge(plan: FleetPlan, catalogue: Catalogue, today: date) -> tuple[PlanFault, ...]:
    """Everything that speaks against the plan, in the order of its file; warnings too."""
    age = (PlanFault(place="", finding=each) for each in age_warnings(catalogue, today))
    return (*age, *of_cluster(plan), *of_all_pools(plan, catalogue), *_pools(plan, catalogue, today))


def _pools(plan: FleetPlan, catalogue: Catalogue, today: date) -> Iterator[PlanFault]:
    for index, pool in enumerate(plan.pools):
        case = _Case(plan=plan, pool=pool, place=f"/pools/{index}", sku=catalogue.machines.get(pool.size))
        for rule in RULES:
            yield from rule(case)
        yield from _size(case, catalogue)
        if case.sku is not None:
            yield from (PlanFault(place=f"{case.place}/size", finding=each) for each in lifecycle(case.sku, today))


def _name(case: _Case) -> Iterator[PlanFault]:
    pattern = _POOL_NAME if case.managed else _NODE_NAME
    if not pattern.fullmatch(case.pool.name):
        of_azure = "1 to 12 lower-case letters and digits, a letter first, such as sgx1"
        do = f"write {of_azure if case.managed else 'lower-case letters, digits and dashes'}"
        yield case.fault("name", "DJ821", "has a name that is refused", "its nodes are named after it", do)


def _size(case: _Case, catalogue: Catalogue) -> Iterator[PlanFault]:
    pool, region = case.pool, case.plan.cluster.region
    if case.sku is None:
        near = nearest(pool.size, catalogue.machines)
        yield from _unknown_size(case, f"did you mean {near}?" if near else "donjon sku list names those that have it")
    elif not case.sku.has_sgx:
        yield case.fault("size", "DJ822", f"has size {pool.size}, which has no SGX", "no enclave starts there", "donjon sku list")
    elif case.service and case.sku.provider != case.plan.cluster.cloud:
        yield case.fault(
            "size", "DJ822", f"has size {pool.size}, of {case.sku.provider}", f"{case.service} has none of it", "donjon sku list"
        )
    elif case.service and region not in case.sku.regions and not case.managed:
        why = "no list of its regions is published; the catalogue has those that somebody named"
        yield case.fault("size", "DJ823", f"{pool.size} is said by nobody to be in {region}", why, _ASK_ALIBABA, mild=True)
    elif case.managed and region and region not in case.sku.regions:
        near, others = nearest(region, case.sku.regions), ", ".join(sorted(case.sku.regions)[:5])
        do = f"did you mean {near}?" if near else f"take {others} …"
        yield case.fault("size", "DJ823", f"{pool.size} is not offered in {region}", "it would not be made", do)
    elif case.managed and (case.sku.cpus or LEAST_CPUS) < LEAST_CPUS:
        do = f"take a size of {LEAST_CPUS} processors or more"
        yield case.fault("size", "DJ822", f"has size {pool.size}, of one processor", "AKS takes none of them", do)


def _unknown_size(case: _Case, do: str) -> Iterator[PlanFault]:
    """Of a managed cluster it may be any that has no SGX."""
    pool = case.pool
    if not case.service:
        why = "nobody here can say whether its nodes have EPC, or how much"
        yield case.fault("size", "DJ822", f"has size {pool.size}, which is in no catalogue", why, do, mild=True)
    elif not (_SIZE_NAME if case.managed else _ALIBABA_SIZE).fullmatch(pool.size):
        yield case.fault("size", "DJ822", f"has size {pool.size}", "no size is called that", do)
    elif _CONFIDENTIAL.match(pool.size) or pool.taint is NodeTaint.SGX_ONLY:
        observation = f"has size {pool.size}, which is in no catalogue of sizes with SGX"
        yield case.fault("size", "DJ822", observation, "no enclave would start there", do)


def _windows(case: _Case) -> Iterator[PlanFault]:
    if case.pool.os_type != "Linux":
        why = "no SGX device reaches a Windows container (FAQ: no Windows nodes or containers)"
        yield case.fault("os_type", "DJ824", f"is for {case.pool.os_type}", why, "write os_type: Linux, or leave it out")


def _image(case: _Case) -> Iterator[PlanFault]:
    sku = case.pool.os_sku
    if case.managed and sku not in OS_SKUS:
        old = "is past its end" if "18" in sku or "20" in sku else "is no image of AKS for these sizes"
        why = f"{old}; SGX sizes take generation 2 images alone, of Ubuntu 22.04 and later or Azure Linux"
        yield case.fault("os_sku", "DJ825", f"has the image {sku}", why, f"write one of {', '.join(sorted(OS_SKUS))}")


def _system(case: _Case) -> Iterator[PlanFault]:
    if not case.managed or case.pool.mode is not PoolMode.SYSTEM:
        return
    if case.pool.may_be_empty:
        yield case.fault("mode", "DJ826", "is a system pool that may be empty", "AKS refuses that", "let it have 1 node or more")
    if case.pool.taint is NodeTaint.SGX_ONLY:
        why = "AKS' own pods ask for no EPC, and would find no place there"
        yield case.fault("taint", "DJ826", "is a system pool for pods alone that ask for EPC", why, "make it a user pool")
    if case.pool.spot:
        yield case.fault("spot", "DJ826", "is a system pool of spot machines", "AKS refuses that", "make it a user pool")
    small = case.sku is not None and ((case.sku.cpus or 0) < _SYSTEM_CORES or (case.sku.memory or 0) < _SYSTEM_MEMORY)
    if small:
        yield case.fault("size", "DJ826", "is too small for a system pool", "AKS wants 2 cores and 4 GiB", "take a larger size")
    if case.sku is not None and case.sku.has_sgx:
        why = "AKS' own pods take room from enclaves, and their trouble is then your enclaves'"
        yield case.fault(
            "mode", "DJ826", "is a system pool with SGX", why, "make a small pool of another size for system pods", mild=True
        )


def _zones(case: _Case) -> Iterator[PlanFault]:
    if case.plan.cluster.cloud is Cloud.METAL:
        return
    if case.plan.cluster.cloud is Cloud.ALIBABA:
        if case.pool.zones:
            yield case.fault("zones", "DJ828", "names zones", "on ACK a pool's vSwitches say its zones", "leave them out")
    elif wrong := [zone for zone in case.pool.zones if zone not in _ZONES]:
        yield case.fault("zones", "DJ828", f"has zone {wrong[0]}", "a region has zones 1 to 3", 'write "1", "2" or "3"')
    elif case.pool.zones and _V2.fullmatch(case.pool.size):
        yield case.fault("zones", "DJ828", "asks for zones", "DCsv2 knows availability sets alone", "leave them out")
    elif len(set(case.pool.zones)) != len(case.pool.zones):
        yield case.fault("zones", "DJ828", "names a zone twice", "it would be made twice", "name each once")


def _unheard(case: _Case) -> Iterator[PlanFault]:
    """A wish that no tool of that cloud is told would be lost without a word."""
    default = Pool(name=case.pool.name, size=case.pool.size, count=case.pool.count)
    for field in _UNHEARD.get(case.plan.cluster.cloud, ()):
        if getattr(case.pool, field) != getattr(default, field):
            why = f"no tool that makes pools of {case.plan.cluster.cloud} is told of it by donjon"
            yield case.fault(field, "DJ836", f"says {field}", why, "leave it out, and say it to that tool", mild=True)


def _spot(case: _Case) -> Iterator[PlanFault]:
    if not case.pool.spot or case.plan.cluster.cloud is Cloud.METAL:
        return
    if case.sku is not None and case.sku.has("spot") is False:
        yield case.fault("spot", "DJ829", "asks for spot machines", f"{case.pool.size} has none", "leave spot out")
    else:
        why = "its nodes have a taint of their own, which pods must tolerate, and are taken away at 30 seconds' notice"
        do = "keep node.tolerations of Donjon's chart as they are, which tolerate it; let enclaves seal what they must keep"
        yield case.fault("spot", "DJ829", "is of spot machines", why, do, mild=True)


def _overlay(case: _Case) -> Iterator[PlanFault]:
    if case.plan.cluster.network == "overlay" and _V2.fullmatch(case.pool.size):
        why = "Azure CNI overlay takes no DCsv2"
        yield case.fault("size", "DJ830", "is of DCsv2 in an overlay network", why, "take DCsv3 or DCdsv3, or another network")


def _labels(case: _Case) -> Iterator[PlanFault]:
    for key, text in case.pool.labels.items():
        domain = key.partition("/")[0] if "/" in key else ""
        if domain in _OUR_DOMAINS:
            why = "Donjon's agents write that domain's themselves, by what a node has"
            yield case.fault("labels", "DJ831", f"has the label {key}", why, "leave it out")
        elif domain and any(domain == each or domain.endswith(f".{each}") for each in _RESERVED_DOMAINS):
            yield case.fault("labels", "DJ831", f"has the label {key}", "that domain is Kubernetes' or AKS' own", "take another")
        elif not _LABEL_KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(text):
            yield case.fault("labels", "DJ831", f"has the label {key}={text}", "Kubernetes refuses it", "mend name or value")


def _bounds(case: _Case) -> Iterator[PlanFault]:
    pool, scale = case.pool, case.pool.scale
    if scale is not None and scale.least > scale.most:
        yield case.fault("scale", "DJ832", f"has min {scale.least} over max {scale.most}", "AKS refuses that", "turn them round")
    elif scale is not None and not scale.least <= pool.count <= scale.most:
        why = "the autoscaler moves between its bounds alone"
        yield case.fault(
            "count", "DJ832", f"begins with {pool.count} nodes, outside of its bounds", why, "let it begin within them"
        )
    if case.managed and pool.most > MAX_IN_A_POOL:
        yield case.fault(
            "count", "DJ832", f"may have {pool.most} nodes", f"AKS takes {MAX_IN_A_POOL}", "make several pools of it"
        )


def _driver(case: _Case) -> Iterator[PlanFault]:
    if not case.pool.driver:
        return
    if case.managed:
        why = "AKS takes no driver and no script of one's own on its nodes (FAQ), and their kernel has the driver already"
        yield case.fault(
            "driver", "DJ834", "brings a driver or script", why, "leave it out, or plan nodes of your own: cloud: metal"
        )


def _features(case: _Case) -> Iterator[PlanFault]:
    for feature, words in _FEATURES.items():
        if not case.managed or not getattr(case.pool, feature) or case.sku is None or case.sku.has(feature):
            continue
        says = "is said by nobody to have it" if case.sku.has(feature) is None else "has none"
        yield case.fault(feature, "DJ835", f"asks for {words}", f"{case.pool.size} {says}", "leave it out, or take another size")


_FEATURES: Mapping[str, str] = {
    "accelerated_networking": "accelerated networking",
    "ephemeral_os_disk": "an ephemeral disk for its system",
}
RULES: tuple[Callable[[_Case], Iterator[PlanFault]], ...] = (
    _name,
    _windows,
    _image,
    _system,
    _zones,
    _unheard,
    _spot,
    _overlay,
    _labels,
    _bounds,
    _driver,
    _features,
)
"""Each says what it finds of one pool."""
