"""What looks like a pod and is none: patterns and patches of pods, parts of an object, forms with holes still to be filled.

Those who write rules about pods write them in the form of pods (Kyverno's `pattern`, with `?*` for an image and `X(hostPath)` for
a key), and so do those who change them (kustomize's patches, `$patch: delete`). None will ever be made as it stands there.
"""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from donjon.formats.json import Json, JsonObject, at, objects
from donjon.kube.objects import containers_of

RULES_ABOUT_PODS = ("kyverno.io", "gatekeeper.sh", "openpolicyagent.org", "kubewarden.io")
"""The domains of those whose objects are rules, whatever form these have."""

_ANCHOR = re.compile(r"[=X+^<!]?\((?P<key>[-\w./~*? ]+)\)")
"""A key with Kyverno's anchors, or its negation; what stands in parentheses is the key."""

_DIRECTIVE = re.compile(r"\$(patch|retainKeys|(setElementOrder|deleteFromPrimitiveList)/.*)", re.DOTALL)
"""A key of a strategic merge patch (k8s.io/apimachinery pkg/util/strategicpatch)."""

_PATCH = re.compile(r"patch|pattern|overlay|overrid", re.IGNORECASE)
_HOLE = re.compile(r"[*?!|<>]|\{\{|\$\{|\$\(")
"""What no image, name or amount has: a wildcard or an operator of a pattern, or a hole that a template or a parameter fills."""

_FILLING = re.compile(r"\{\{|\$\{|\$\(")
"""A hole alone: a wildcard among the amounts of Kubernetes' own kinds is a mistake."""

_SELECTOR = ("spec", "selector")
_NECESSARY: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Deployment": _SELECTOR,
        "StatefulSet": _SELECTOR,
        "DaemonSet": _SELECTOR,
        "ReplicaSet": _SELECTOR,
        "CronJob": ("spec", "schedule"),
        "Job": ("spec", "template"),
    }
)
"""What Kubernetes demands of the whole of a kind, so that what lacks it is at best a part."""


def is_rule(version: str) -> bool:
    """Whether an object of that apiVersion is a rule about others."""
    group = version.partition("/")[0]
    return any(group == domain or group.endswith(f".{domain}") for domain in RULES_ABOUT_PODS)


def without_anchor(key: str) -> str:
    """The key that is meant by one with an anchor."""
    match = _ANCHOR.fullmatch(key)
    return match["key"] if match else key


def is_pattern(place: str, template: JsonObject) -> bool:
    """Whether what stands at that place of a foreign object, in the form of a pod template, is a pattern or a patch of one."""
    by_key = is_patch(template) or _has_key(template, _ANCHOR)
    return by_key or _PATCH.search(place) is not None or any(map(_HOLE.search, _words(template)))


def has_hole(template: Json) -> bool:
    """Whether an amount in what stands where a pod does is a hole, so that the pod will never be made as it stands there."""
    return any(map(_FILLING.search, (word for container in containers_of(template) for word in _amounts(container))))


def is_patch(value: Json) -> bool:
    """Whether a key in it is one of a strategic merge patch."""
    return _has_key(value, _DIRECTIVE)


def _has_key(value: Json, form: re.Pattern[str]) -> bool:
    stack = [value]
    while stack:
        here = stack.pop()
        if isinstance(here, dict):
            if any(map(form.fullmatch, here)):
                return True
            stack += here.values()
        elif isinstance(here, list):
            stack += here
    return False


def _words(template: JsonObject) -> Iterator[str]:
    """The words of its containers that stand fast in a template that pods are made from."""
    for container in objects(at(template, "spec", "containers")):
        yield from (word for word in (container.get("name"), container.get("image")) if isinstance(word, str))
        yield from _amounts(container)


def _amounts(container: JsonObject) -> Iterator[str]:
    """What it has of amounts that are words."""
    limits, requests = at(container, "resources", "limits"), at(container, "resources", "requests")
    amounts = (amount for each in (limits, requests) if isinstance(each, dict) for amount in each.values())
    return (amount for amount in amounts if isinstance(amount, str))


def is_part(kind: str, content: JsonObject, way: tuple[str, ...]) -> bool:
    """Whether an object of Kubernetes' own kind lacks so much that it must be a patch; `way` leads to its pod template.

    A mistake lacks less: what has an image, or an empty or malformed spec, is told what is wrong with it.
    """
    necessary = _NECESSARY.get(kind)
    if necessary is None or at(content, *necessary) is not None or content.get("spec") == {}:
        return False
    containers = at(content, *way, "spec", "containers")
    if containers is None:
        return _is_open(content, (*way, "spec"))
    entries = containers if isinstance(containers, list) else []
    return bool(entries) and all(isinstance(each, dict) and "image" not in each for each in entries)


def _is_open(content: JsonObject, way: tuple[str, ...]) -> bool:
    """Whether that way ends early, or leads to an object, and never to something else."""
    return all(isinstance(at(content, *way[:length]), (dict, type(None))) for length in range(1, len(way) + 1))


def is_json_patch(document: Json) -> bool:
    """Whether a whole document is a list of changes as RFC 6902 has them, such as kustomize reads from files of their own."""
    steps = objects(document)
    return (
        isinstance(document, list) and 0 < len(steps) == len(document) and all("op" in step and "path" in step for step in steps)
    )
