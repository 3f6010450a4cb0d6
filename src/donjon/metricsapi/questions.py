"""What a request asks, by its path and query, and the right that it needs.

Source: k8s.io/apiserver `request.RequestInfoFactory`, k8s.io/custom-metrics-apiserver `apiserver/installer`; for the schema,
k8s.io/kube-aggregator `pkg/controllers/openapi` and `openapiv3`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from urllib.parse import parse_qsl, unquote

from donjon.errors import Malformed
from donjon.findings.codes import ONLY_READ
from donjon.formats.json import JsonObject
from donjon.metricsapi.discovery import Group
from donjon.metricsapi.series import EXTERNAL, Series

MAX_PARAMETERS = 32
ALL = "*"
_GROUP = 3  # segments of /apis/GROUP/VERSION
_SCHEMAS = "/openapi/v3"
_OF_SCHEMAS = ("/openapi/v2", f"{_SCHEMAS}/apis/{Group.RESOURCE.domain}", f"{_SCHEMAS}/apis/{Group.RESOURCE.value}")
_NOT_WATCHED = frozenset({"", "0", "false"})  # as the API server reads the parameter `watch`
_NAME = re.compile(r"[a-z0-9][-a-z0-9.]{0,252}", re.ASCII)
"""Of a namespace, pod or node. What is none is refused: `.` or an encoded slash would be one path to who is asked for the right,
and another to who answers."""


class Kind(Enum):
    """What is asked for."""

    RESOURCES = auto()  # the group's own resources
    NODES = auto()  # metrics-server's, as they are
    PODS = auto()  # metrics-server's, with EPC
    CUSTOM = auto()
    EXTERNAL = auto()
    SCHEMA = auto()  # metrics-server's OpenAPI, as it is
    SCHEMAS = auto()  # which documents of it there are


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request; `right` is what the API server is asked for, the attributes of a SubjectAccessReview's spec."""

    kind: Kind
    group: Group
    path: str
    right: JsonObject
    namespace: str = ""
    name: str = ""  # of the pod or node; `ALL` or nothing stands for all
    series: Series | None = None
    parameters: Mapping[str, str]


def ask(raw_path: str, query: str) -> Question:
    """The question; raises `Malformed` DJ725 for what these APIs do not have, DJ724 for a watch."""
    if raw_path in {_SCHEMAS, *_OF_SCHEMAS}:
        kind = Kind.SCHEMAS if raw_path == _SCHEMAS else Kind.SCHEMA
        return Question(kind=kind, group=Group.RESOURCE, path=raw_path, right=_path_right(raw_path), parameters={})
    segments = tuple(unquote(each) for each in raw_path.strip("/").split("/"))
    group = next((each for each in Group if ("apis", each.domain, each.version) == segments[:_GROUP]), None)
    if group is None:
        raise _none(raw_path)
    parameters = _parameters(query)
    rest, path = segments[_GROUP:], f"/{'/'.join(segments)}"
    if not rest:
        return Question(kind=Kind.RESOURCES, group=group, path=path, right=_path_right(path), parameters=parameters)
    question = _OF_GROUP[group](path, rest, parameters)
    names = [each for each in (question.namespace, question.name) if each]
    if not all(_NAME.fullmatch(each) or (each == ALL and group is Group.CUSTOM) for each in names):
        raise _none(raw_path)
    if parameters.get("watch", "").lower() not in _NOT_WATCHED:
        raise Malformed(ONLY_READ, f"{path[:200]}: it cannot be watched")
    return question


def _resource(path: str, rest: tuple[str, ...], parameters: Mapping[str, str]) -> Question:
    match rest:
        case ("nodes", *names) if len(names) <= 1:
            kind, namespace = Kind.NODES, ""
        case ("pods",):
            kind, namespace, names = Kind.PODS, "", []
        case ("namespaces", namespace, "pods", *names) if namespace and len(names) <= 1:
            kind = Kind.PODS
        case _:
            raise _none(path)
    name = names[0] if names else ""
    resource = "nodes" if kind is Kind.NODES else "pods"
    right = _right(Group.RESOURCE, resource, "get" if name else "list", namespace=namespace, name=name)
    return Question(
        kind=kind, group=Group.RESOURCE, path=path, right=right, namespace=namespace, name=name, parameters=parameters
    )


def _custom(path: str, rest: tuple[str, ...], parameters: Mapping[str, str]) -> Question:
    match rest:
        case ("namespaces", namespace, "pods", name, metric) if metric in set(Series) and namespace and name:
            right = _right(Group.CUSTOM, "pods", "get", namespace=namespace, name=name, subresource=metric)
            return Question(
                kind=Kind.CUSTOM,
                group=Group.CUSTOM,
                path=path,
                right=right,
                namespace=namespace,
                name=name,
                series=Series(metric),
                parameters=parameters,
            )
        case _:
            raise _none(path)


def _external(path: str, rest: tuple[str, ...], parameters: Mapping[str, str]) -> Question:
    match rest:
        case ("namespaces", namespace, metric) if metric in set(EXTERNAL) and namespace:
            right = _right(Group.EXTERNAL, metric, "list", namespace=namespace)
            return Question(
                kind=Kind.EXTERNAL,
                group=Group.EXTERNAL,
                path=path,
                right=right,
                namespace=namespace,
                series=Series(metric),
                parameters=parameters,
            )
        case _:
            raise _none(path)


def _right(group: Group, resource: str, verb: str, **beside: str) -> JsonObject:
    attributes: JsonObject = {"group": group.domain, "version": group.version, "resource": resource, "verb": verb}
    return {"resourceAttributes": attributes | {key: each for key, each in beside.items() if each}}


def _path_right(path: str) -> JsonObject:
    return {"nonResourceAttributes": {"path": path, "verb": "get"}}


def _parameters(query: str) -> Mapping[str, str]:
    try:
        return dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), max_num_fields=MAX_PARAMETERS))
    except ValueError as error:
        raise Malformed("DJ729", f"query: {error}") from error


def _none(path: str) -> Malformed:
    return Malformed("DJ725", f"{path[:200]}: no such resource here")


_OF_GROUP = {Group.RESOURCE: _resource, Group.CUSTOM: _custom, Group.EXTERNAL: _external}
