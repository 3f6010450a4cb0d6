"""The pods in a manifest: its own, or those that its templates will make. What is no pod and makes none has none.

Kubernetes' own kinds hold their template at a known place. Others' (Rollout, JobSet, PyTorchJob, …) are looked through for what
has a `spec` with `containers`, which is what a template is; a kind that keeps its containers in a form of its own is not seen.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from donjon.admission.intent import text
from donjon.admission.manifests.fragments import has_hole, is_part, is_patch, is_pattern, is_rule
from donjon.formats.json import Json, JsonObject, at, objects
from donjon.kube.patch import escape

_TEMPLATE = ("spec", "template")
TEMPLATES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Pod": (),
        "PodTemplate": ("template",),
        "Job": _TEMPLATE,
        "CronJob": ("spec", "jobTemplate", "spec", "template"),
        "Deployment": _TEMPLATE,
        "StatefulSet": _TEMPLATE,
        "DaemonSet": _TEMPLATE,
        "ReplicaSet": _TEMPLATE,
        "ReplicationController": _TEMPLATE,
    }
)
"""Where each of Kubernetes' own kinds holds its pod."""

_GROUPS = ("", "v1", "batch/v1", "apps/v1")
_LIST = "List"
NO_TEMPLATE = "no pod template (spec.containers) is in it"
_OWN_SUFFIX = ".k8s.io"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """One object of a manifest; an entry of a List is one."""

    kind: str  # empty where it has none
    version: str  # its apiVersion
    path: str  # in its document, as a JSON pointer
    content: JsonObject

    @property
    def name(self) -> str:
        """Its name, or how the name begins that it will get."""
        return text(at(self.content, "metadata", "name")) or text(at(self.content, "metadata", "generateName"))

    @property
    def namespace(self) -> str:
        """Empty where the manifest leaves it open."""
        return text(at(self.content, "metadata", "namespace"))

    @property
    def is_builtin(self) -> bool:
        """Whether it is of a kind of Kubernetes' own that has pods."""
        return self.kind in TEMPLATES and self.version in _GROUPS

    @property
    def foreign(self) -> bool:
        """Whether it is of a kind that somebody else defined."""
        group, slash, _ = self.version.partition("/")
        return bool(slash) and "." in group and not group.endswith(_OWN_SUFFIX)

    @property
    def rules(self) -> bool:
        """Whether it is a rule about others, in whatever form."""
        return is_rule(self.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class PodTemplate:
    """A pod, or what makes pods of that form."""

    thing: Thing
    template: str  # of the pod in its document, as a JSON pointer
    pod: Json  # as it stands there; an object, unless the manifest is wrong

    @property
    def where(self) -> str:
        """The template's place in its object, as people write it; empty for a pod itself."""
        return dotted_path(self.template.removeprefix(self.thing.path))


def dotted_path(pointer: str) -> str:
    """A JSON pointer as people write it: `/spec/containers/0` is `spec.containers[0]`."""
    steps = (step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:])
    return "".join(f"[{step}]" if step.isdecimal() else f".{step}" for step in steps).removeprefix(".")


def things(document: Json, path: str = "", kind: str = "") -> Iterator[Thing]:
    """Every object in a document, the entries of a List instead of the List."""
    kind = text(at(document, "kind")) or kind
    items = at(document, "items")
    if kind.endswith(_LIST) and isinstance(items, list):
        for index, item in enumerate(items):
            yield from things(item, f"{path}/items/{index}", kind.removesuffix(_LIST))
        return
    content = document if isinstance(document, dict) else {}
    yield Thing(kind=kind, version=text(at(document, "apiVersion")), path=path, content=content)


def pods(thing: Thing) -> tuple[PodTemplate, ...]:
    """The pods of that object; none of what is a rule, a pattern, a patch or a part."""
    if thing.is_builtin:
        way = TEMPLATES[thing.kind]
        template = "".join((thing.path, *(f"/{step}" for step in way)))
        return () if _is_incomplete(thing) else (PodTemplate(thing=thing, template=template, pod=at(thing.content, *way)),)
    templates = () if thing.rules else _templates(thing.content)
    return tuple(
        PodTemplate(thing=thing, template=thing.path + place, pod=pod) for place, pod in templates if not is_pattern(place, pod)
    )


def _is_incomplete(thing: Thing) -> bool:
    """Whether what is of Kubernetes' own kind is no whole object."""
    way = TEMPLATES[thing.kind]
    return is_patch(thing.content.get("spec")) or is_part(thing.kind, thing.content, way) or has_hole(at(thing.content, *way))


def why_none(thing: Thing) -> str:
    """Why there is no pod in an object in which one might be looked for; empty where nobody would."""
    if thing.is_builtin and has_hole(at(thing.content, *TEMPLATES[thing.kind])):
        return "an amount in it is a hole still to be filled (check what comes of it, as in helm template . | donjon check -)"
    if thing.is_builtin:
        return "a patch or a part of one (check what it is applied to, as in kustomize build . | donjon check -)"
    if thing.rules:
        return "a rule about other objects"
    if not thing.foreign:
        return ""
    patterns = any(True for _ in _templates(thing.content))
    return "what looks like a pod template in it is a pattern or a patch" if patterns else NO_TEMPLATE


def namespaces(manifest_objects: Iterable[Thing]) -> dict[str, dict[str, str]]:
    """The labels of every Namespace among these objects, by its name."""
    ours = (thing for thing in manifest_objects if thing.kind == "Namespace" and thing.version in {"", "v1"})
    return {thing.name: _labels(at(thing.content, "metadata", "labels")) for thing in ours}


def _labels(labels: Json) -> dict[str, str]:
    return {key: text(value) for key, value in labels.items()} if isinstance(labels, dict) else {}


def _templates(whole: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    """What in an object has the form of a pod template, with its place, in the order of the document."""
    waiting: list[tuple[str, Json]] = [("", whole)]
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, dict) and objects(at(value, "spec", "containers")):
            yield place, value
        elif isinstance(value, dict):
            waiting += [(f"{place}/{escape(key)}", inner) for key, inner in reversed(value.items())]
        elif isinstance(value, list):
            waiting += [(f"{place}/{index}", inner) for index, inner in reversed([*enumerate(value)])]
