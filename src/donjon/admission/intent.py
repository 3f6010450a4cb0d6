"""What a pod says about SGX, read once from its JSON. Whether that is well is for `rules`, what becomes of it for `mutation`.

Neither looks at the JSON again: of places that a patch may put something into, it is known here what stands there.

Nothing here raises: a pod may be of a newer API, or nonsense. What has the wrong type or is no quantity says nothing; the API
server refuses it in its own words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from donjon.admission import hostpaths
from donjon.formats.json import Json, JsonObject, at, objects
from donjon.kube.names import (
    AESM_VARIABLE,
    AESMD,
    ANNOTATION_EPC,
    ANNOTATION_MIRROR,
    ANNOTATION_QUOTE_PROVIDER,
    EPC_UNITS,
    LABELS_OS,
    LABELS_PLATFORM,
    SGX_RESOURCES,
)
from donjon.kube.patch import Standing
from donjon.kube.quantities import amount
from donjon.kube.reserved import peak, whole
from donjon.kube.selection import tolerates
from donjon.kube.spelling import is_stray

FIELDS = ("containers", "initContainers")

_TAINTS: Mapping[str, JsonObject] = {name: {"key": name, "effect": "NoSchedule"} for name in EPC_UNITS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A volume, or where a container mounts one."""

    name: str
    path: str  # of the host, or in the container; empty where it has none


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeTerm:
    """A term of a required node affinity."""

    is_windows: bool  # it holds for no node but of Windows
    chooses: bool  # it asks for more than all nodes are


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One container or init container, with those of its resources that ask for SGX."""

    field: str  # one of FIELDS
    index: int
    name: str
    limits: Mapping[str, Fraction]
    requests: Mapping[str, Fraction]  # as the API server completes them from the limits
    limit_texts: Mapping[str, str]  # the limits as they stand there
    strays: tuple[str, ...]  # names among them that have SGX in them and that nobody offers
    legible: bool  # limits and requests are what the API server takes for such
    own_requests: Mapping[str, Fraction] | None  # before that; `None` where there are none
    stays: bool  # it runs beside the others: a container, or an init container that stays
    privileged: bool  # every device of the host is open to it
    mounts: tuple[Volume, ...]  # empty for one that asks for no EPC: nobody looks there
    mount_list: Standing
    has_aesm_variable: bool  # false where the pod does not quote through AESM: nobody looks there
    variable_list: Standing

    @property
    def here(self) -> str:
        """Where it stands, as a JSON pointer."""
        return f"/spec/{self.field}/{self.index}"

    @property
    def path(self) -> str:
        """Where its resources stand."""
        return f"{self.here}/resources"

    @property
    def epc(self) -> int:
        """The bytes of EPC that it requests: the most that any of the names says."""
        amounts = (self.limits, self.requests)
        return max(whole(numbers.get(name)) * unit for numbers in amounts for name, unit in EPC_UNITS.items())

    def wants(self, name: str) -> bool:
        """Whether it asks for more than none of it."""
        return self.limits.get(name, 0) > 0

    def wants_any(self, names: Mapping[str, int]) -> bool:
        """Whether it asks for more than none of any of them."""
        return any(map(self.wants, names))


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What a pod says about SGX."""

    containers: tuple[Container, ...]  # all of them, init containers last, as the API server's policies see them
    node: str  # spec.nodeName, empty where the scheduler is to choose
    account: str  # its service account
    os: str  # what it says of its operating system, empty where it says nothing
    selector: Mapping[str, str | None]  # labels of nodes; `None` for null, which is as good as missing
    selector_object: Standing
    required_terms: tuple[NodeTerm, ...]  # a node that fits one of them will do
    volumes: tuple[Volume, ...]
    volume_list: Standing
    untolerated: tuple[str, ...]  # the names of EPC by which a tainted node would keep it away; empty where it asks for none
    toleration_list: Standing
    quote_provider: str  # what its annotation says; empty where it says nothing
    epc_annotation: str | None  # what its total was last said to be
    is_annotated: bool  # the annotation for it is there, whatever it says
    runtime: str  # the class that runs its containers; empty for the cluster's own choice
    mirrors: bool  # it says that it is a kubelet's account of a static pod
    metadata: Standing
    annotations: Standing  # `OTHER` also where the one for its total is no string, which Kubernetes refuses

    @property
    def asks(self) -> bool:
        """Whether any container wants anything of SGX."""
        return any(container.wants(name) for container in self.containers for name in SGX_RESOURCES)

    @property
    def epc(self) -> int:
        """The bytes of EPC that the scheduler sets aside for it."""
        in_order = sorted(self.containers, key=lambda each: each.field, reverse=True)  # Init containers start first.
        return int(peak((Fraction(container.epc), container.stays) for container in in_order))

    @property
    def windows(self) -> bool:
        """Whether it goes nowhere but to Windows."""
        terms = self.required_terms
        of_all_terms = bool(terms) and all(term.is_windows for term in terms)
        return "windows" in (self.os, *map(self.selector.get, LABELS_OS)) or of_all_terms

    @property
    def host_paths(self) -> tuple[str, ...]:
        """What it mounts from the host."""
        return tuple(volume.path for volume in self.volumes)

    @property
    def devices(self) -> tuple[str, ...]:
        """What it mounts from the host and leads to its SGX devices."""
        return hostpaths.devices(self.host_paths, asks=self.asks)


def read(pod: Json) -> Intent:
    """What that pod says, or one with that spec: `{"spec": …}` is enough."""
    spec, annotations = at(pod, "spec"), at(pod, "metadata", "annotations")
    fields: JsonObject = spec if isinstance(spec, dict) else {}
    notes: JsonObject = annotations if isinstance(annotations, dict) else {}
    quote_provider = text(notes.get(ANNOTATION_QUOTE_PROVIDER))
    containers = tuple(
        _container(field, index, entry, quotes=quote_provider == AESMD)
        for field in FIELDS
        for index, entry in enumerate(_entries(fields.get(field)))
        if isinstance(entry, dict)
    )
    epc_annotation, selector, volumes = notes.get(ANNOTATION_EPC), fields.get("nodeSelector"), fields.get("volumes")
    terms = at(spec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms")
    asks = any(not EPC_UNITS.keys().isdisjoint(container.requests) for container in containers)
    return Intent(
        containers=containers,
        node=text(fields.get("nodeName")),
        account=text(fields.get("serviceAccountName")) or "default",
        os=text(at(spec, "os", "name")),
        selector=_selector(selector),
        selector_object=Standing.of(selector, dict),
        required_terms=tuple(map(_term, objects(terms))),
        volumes=tuple(_volume(each, at(each, "hostPath", "path")) for each in objects(volumes)),
        volume_list=Standing.of(volumes, list),
        untolerated=_untolerated(objects(fields.get("tolerations"))) if asks else (),
        toleration_list=Standing.of(fields.get("tolerations"), list),
        quote_provider=quote_provider,
        epc_annotation=epc_annotation if isinstance(epc_annotation, str) else None,
        is_annotated=ANNOTATION_EPC in notes,
        runtime=text(fields.get("runtimeClassName")),
        mirrors=notes.get(ANNOTATION_MIRROR) is not None,
        metadata=Standing.of(at(pod, "metadata"), dict),
        annotations=Standing.of(annotations, dict) if isinstance(epc_annotation, str | None) else Standing.OTHER,
    )


def text(value: Json) -> str:
    """The string that stands there; empty where there is none."""
    return value if isinstance(value, str) else ""


def _selector(selector: Json) -> dict[str, str | None]:
    members = selector.items() if isinstance(selector, dict) else ()
    return {label: None if value is None else text(value) for label, value in members}


def _term(term: JsonObject) -> NodeTerm:
    expressions = objects(term.get("matchExpressions"))
    labels = [text(each.get("key")) for each in expressions]
    return NodeTerm(
        is_windows=any(label in LABELS_OS and _is_windows(each) for label, each in zip(labels, expressions, strict=True)),
        chooses=bool(term.get("matchFields")) or any(label not in LABELS_PLATFORM for label in labels),
    )


def _is_windows(expression: JsonObject) -> bool:
    return expression.get("operator") == "In" and all(value == "windows" for value in _entries(expression.get("values")))


def _untolerated(tolerations: Sequence[JsonObject]) -> tuple[str, ...]:
    """Pools may be tainted with any name of EPC and any value, to keep other pods away."""
    fitting = [each for each in tolerations if not each.get("key") or text(each.get("key")) in EPC_UNITS]
    return tuple(name for name, taint in _TAINTS.items() if not any(tolerates(each, taint, any_value=True) for each in fitting))


def _volume(entry: JsonObject, path: Json) -> Volume:
    return Volume(name=text(entry.get("name")), path=text(path))


def _container(field: str, index: int, entry: JsonObject, *, quotes: bool) -> Container:
    limits, requests = at(entry, "resources", "limits"), at(entry, "resources", "requests")
    amounts, own_requests = _amounts(limits), _amounts(requests)
    mounts, variables = entry.get("volumeMounts"), entry.get("env")
    return Container(
        field=field,
        index=index,
        name=text(entry.get("name")),
        limits=amounts,
        requests={**amounts, **own_requests},
        limit_texts={name: str(at(limits, name)) for name in amounts},
        strays=tuple(filter(is_stray, limits)) if isinstance(limits, dict) else (),
        legible=isinstance(limits, dict) and (requests is None or isinstance(requests, dict)),
        own_requests=own_requests if isinstance(requests, dict) else None,
        stays=field == "containers" or entry.get("restartPolicy") == "Always",
        privileged=at(entry, "securityContext", "privileged") is True,
        mounts=tuple(_volume(each, each.get("mountPath")) for each in objects(mounts)) if amounts else (),
        mount_list=Standing.of(mounts, list),
        has_aesm_variable=quotes and any(each.get("name") == AESM_VARIABLE for each in objects(variables)),
        variable_list=Standing.of(variables, list),
    )


def _entries(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _amounts(resources: Json) -> dict[str, Fraction]:
    entries = resources if isinstance(resources, dict) else {}
    amounts = {name: amount(entries[name]) for name in SGX_RESOURCES if name in entries}
    return {name: value for name, value in amounts.items() if value is not None}
