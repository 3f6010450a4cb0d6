"""What a pod says about SGX, read once from its JSON. Whether that is well is for `rules`, what becomes of it for `mutation`.

Nothing here raises: a pod may be of a newer API, or nonsense. What has the wrong type or is no quantity says nothing; the API
server refuses it in its own words.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from donjon.admission import hostpaths
from donjon.formats.json import Json, JsonObject, at, objects
from donjon.kube.names import ANNOTATION_MIRROR, ANNOTATION_QUOTE_PROVIDER, ENCLAVE, EPC_UNITS, LABELS_OS, PROVISION
from donjon.kube.quantities import amount

SGX_RESOURCES = (*EPC_UNITS, ENCLAVE, PROVISION)
"""The resources by which a container asks for SGX."""

FIELDS = ("containers", "initContainers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One container or init container, with those of its resources that ask for SGX."""

    field: str  # one of FIELDS
    index: int
    name: str
    limits: Mapping[str, Fraction]
    requests: Mapping[str, Fraction]  # as the API server completes them from the limits
    limit_texts: Mapping[str, str]  # the limits as they stand there
    legible: bool  # limits and requests are what the API server takes for such
    own_requests: Mapping[str, Fraction] | None  # before that; `None` where there are none
    content: JsonObject  # all of it

    @property
    def here(self) -> str:
        """Where it stands, as a JSON pointer."""
        return f"/spec/{self.field}/{self.index}"

    @property
    def path(self) -> str:
        """Where its resources stand."""
        return f"{self.here}/resources"

    @property
    def stays(self) -> bool:
        """Whether it runs beside the others: a container, or an init container that stays."""
        return self.field == "containers" or self.content.get("restartPolicy") == "Always"

    @property
    def privileged(self) -> bool:
        """Whether every device of the host is open to it."""
        return at(self.content, "securityContext", "privileged") is True

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
    pod: JsonObject  # all of it
    node: str  # spec.nodeName, empty where the scheduler is to choose
    quote_provider: str  # what its annotation says; empty where it says nothing

    @property
    def asks(self) -> bool:
        """Whether any container wants anything of SGX."""
        return any(container.wants(name) for container in self.containers for name in SGX_RESOURCES)

    @property
    def windows(self) -> bool:
        """Whether it goes nowhere but to Windows."""
        selected = (at(self.pod, "spec", "nodeSelector", label) for label in LABELS_OS)
        terms = self.required_terms
        return "windows" in (at(self.pod, "spec", "os", "name"), *selected) or (bool(terms) and all(map(_windows, terms)))

    @property
    def required_terms(self) -> tuple[JsonObject, ...]:
        """Its required node affinity; a node that fits one of the terms will do."""
        where = ("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms")
        return tuple(objects(at(self.pod, "spec", *where)))

    @property
    def mirrors(self) -> bool:
        """Whether it says that it is a kubelet's account of a static pod."""
        return at(self.pod, "metadata", "annotations", ANNOTATION_MIRROR) is not None

    @property
    def host_paths(self) -> tuple[str, ...]:
        """What it mounts from the host."""
        return tuple(text(at(volume, "hostPath", "path")) for volume in objects(at(self.pod, "spec", "volumes")))

    @property
    def devices(self) -> tuple[str, ...]:
        """What it mounts from the host and leads to its SGX devices."""
        return hostpaths.devices(self.host_paths, asks=self.asks)


def read(pod: Json) -> Intent:
    """What that pod says, or one with that spec: `{"spec": …}` is enough."""
    containers = tuple(
        _container(field, index, entry)
        for field in FIELDS
        for index, entry in enumerate(_entries(at(pod, "spec", field)))
        if isinstance(entry, dict)
    )
    return Intent(
        containers=containers,
        pod=pod if isinstance(pod, dict) else {},
        node=text(at(pod, "spec", "nodeName")),
        quote_provider=text(at(pod, "metadata", "annotations", ANNOTATION_QUOTE_PROVIDER)),
    )


def text(value: Json) -> str:
    """The string that stands there; empty where there is none."""
    return value if isinstance(value, str) else ""


def _windows(term: JsonObject) -> bool:
    systems = (each for each in objects(term.get("matchExpressions")) if each.get("key") in LABELS_OS)
    return any(
        each.get("operator") == "In" and all(value == "windows" for value in _entries(each.get("values"))) for each in systems
    )


def _container(field: str, index: int, entry: JsonObject) -> Container:
    limits, requests = at(entry, "resources", "limits"), at(entry, "resources", "requests")
    amounts = _amounts(limits)
    return Container(
        field=field,
        index=index,
        name=text(entry.get("name")),
        limits=amounts,
        requests={**amounts, **_amounts(requests)},
        limit_texts={name: str(at(limits, name)) for name in amounts},
        legible=isinstance(limits, dict) and (requests is None or isinstance(requests, dict)),
        own_requests=_amounts(requests) if isinstance(requests, dict) else None,
        content=entry,
    )


def _entries(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _amounts(resources: Json) -> dict[str, Fraction]:
    amounts = {name: amount(at(resources, name)) for name in SGX_RESOURCES}
    return {name: value for name, value in amounts.items() if value is not None}
