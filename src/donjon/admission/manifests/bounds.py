"""Objects that bound or offer EPC and ask for none: quotas, ranges, rules for nodes, pools, autoscalers, queues.

Quotas and ranges are looked at wherever they stand (a tenant's, a policy's that generates them), the others by their kind.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from donjon.admission.codes import BOUNDING
from donjon.admission.intent import text
from donjon.admission.manifests.fragments import without_anchor
from donjon.admission.manifests.quotas import quota
from donjon.admission.manifests.ranges import is_range, limit_range
from donjon.admission.manifests.workloads import Thing
from donjon.admission.reasons import Reason
from donjon.findings import Finding, Severity
from donjon.formats.json import Json
from donjon.kube.names import EPC, SGX_RESOURCES
from donjon.kube.patch import escape
from donjon.kube.vocabulary import without_quota

_OPERATOR = "SgxDevicePlugin"  # of Intel's operator; it names no resource


@dataclass(frozen=True, slots=True, kw_only=True)
class _Role:
    """What objects of some kinds do with a name of SGX; the groups of kinds differ from one version to the next."""

    kinds: tuple[str, ...]
    observation: str
    why: str
    do: str = ""  # where something is wrong with it


_RULE = _Role(
    kinds=(),  # Rules are known by what is in them.
    observation="is a rule that names SGX and asks for none",
    why="what it does to pods shows in the pods that it was applied to",
)
_ROLES = (
    _Role(
        kinds=("NodeFeature", "NodeFeatureRule", "NodeFeatureGroup"),
        observation="has Node Feature Discovery offer SGX on nodes",
        why="two writers would take EPC from each other, so Donjon's agent leaves it alone then (DJ014)",
        do="leave that name out of it, or start the agent with --advertise labels,devices",
    ),
    _Role(
        kinds=(
            *("NodePool", "NodeClaim", "NodeClass", "NodeOverlay", "Provisioner", "EC2NodeClass", "AKSNodeClass"),
            *("MachineDeployment", "MachineSet", "MachinePool", "Machine", "AzureManagedMachinePool"),
            *("MachineAutoscaler", "ClusterAutoscaler", "CapacityBuffer"),
        ),
        observation="describes or bounds nodes by SGX and asks for none",
        why="nodes offer what Donjon's agent finds on them; this tells those who make nodes what to expect",
    ),
    _Role(
        kinds=("HorizontalPodAutoscaler", "ScaledObject", "ScaledJob", "PodAutoscaler"),
        observation="scales by SGX and asks for none",
        why="it follows a metric of that name, where a metrics API of the cluster answers for it",
    ),
    _Role(
        kinds=("VerticalPodAutoscaler", "VerticalPodAutoscalerCheckpoint"),
        observation="names SGX to an autoscaler that knows cpu and memory alone",
        why="it leaves EPC as it is",
        do="leave that name out of it",
    ),
    _Role(
        kinds=("ClusterQueue", "Cohort", "LocalQueue", "ResourceFlavor", "Queue", "ElasticQuota"),
        observation="counts SGX for a queue and asks for none",
        why=f"what counts for queues counts what a template says, before admission turns other names into {EPC}",
    ),
    _Role(
        kinds=("DeviceClass",),
        observation="takes a name of SGX for dynamic resource allocation",
        why="that counts devices, not bytes, and the cluster's policies refuse it (DJ121)",
        do="leave extendedResourceName out, or take another name",
    ),
    _Role(
        kinds=(_OPERATOR,),
        observation="has Intel's operator offer SGX on nodes",
        why="two plugins for one resource take it from each other, so Donjon's agent leaves the devices alone then (DJ018)",
        do="run one of the two on a node, or start the agent with --advertise epc,labels",
    ),
)
_BY_KIND: Mapping[str, _Role] = MappingProxyType({kind: role for role in _ROLES for kind in role.kinds})


def is_bound(thing: Thing) -> bool:
    """Whether the object is of a kind that bounds or offers, so that a name of SGX in it asks for none."""
    return _role(thing) is not None or any(True for _ in _statements(thing))


def _role(thing: Thing) -> _Role | None:
    return None if thing.is_builtin else _RULE if thing.rules else _BY_KIND.get(thing.kind)


def bounds(thing: Thing) -> Iterator[Reason]:
    """What an object that bounds or offers EPC does."""
    if thing.is_builtin:
        return
    reasons = [
        reason
        for place, value in _statements(thing)
        for reason in (limit_range(thing, place, value) if is_range(value) else quota(thing, place, value))
    ]
    yield from reasons
    role, place = _role(thing), _first(thing)
    if role is not None and place and not reasons:
        yield Reason(finding=_finding(thing, role), place=place)


def _finding(thing: Thing, role: _Role) -> Finding:
    severity = Severity.WARNING if role.do else Severity.INFO
    return Finding(
        code=BOUNDING,
        severity=severity,
        subject=f"{thing.kind} {thing.name}",
        observation=role.observation,
        why=role.why,
        do=role.do,
    )


def _statements(thing: Thing) -> Iterator[tuple[str, dict[str, Json]]]:
    """The bounds of quotas, and the items of ranges, with their places."""
    for place, value in _objects(thing):
        if place.endswith("/hard") or is_range(value):
            yield place, value


def _objects(thing: Thing) -> Iterator[tuple[str, dict[str, Json]]]:
    stack: list[tuple[str, Json]] = [(thing.path, thing.content)]
    while stack:
        place, value = stack.pop()
        if isinstance(value, dict):
            yield place, value
            stack += [(f"{place}/{escape(key)}", each) for key, each in reversed(value.items()) if key != "status"]
        elif isinstance(value, list):
            stack += [(f"{place}/{index}", each) for index, each in reversed([*enumerate(value)])]


def _first(thing: Thing) -> str:
    """Where a name of SGX stands first, as a key or as a word; empty where none does."""
    if thing.kind == _OPERATOR:
        return f"{thing.path}/kind"
    for place, value in _objects(thing):
        for key, inner in value.items():
            words = inner if isinstance(inner, list) else [inner]
            if without_quota(without_anchor(key)) in SGX_RESOURCES or any(text(word) in SGX_RESOURCES for word in words):
                return f"{place}/{escape(key)}"
    return ""
