"""APIServices, which say who serves a group of the API, and how metrics-server's own is taken over and given back.

What it said before stands in an annotation of it, so that whoever gives it back needs nothing else.
Source: kube-aggregator, `pkg/apis/apiregistration/v1/types.go`.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from donjon.errors import Unavailable
from donjon.formats.json import Json, JsonObject, at
from donjon.kube.names import ANNOTATION_HANDED_OVER

_FIELDS = ("service", "caBundle", "insecureSkipTLSVerify")
"""What of the spec says who serves it, and whom to trust there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePort:
    """A Service, and one port of it."""

    namespace: str
    name: str
    port: int = 443

    @property
    def host(self) -> str:
        """The name for which its certificate is, as the API server calls it."""
        return f"{self.name}.{self.namespace}.svc"


def service_of(registration: JsonObject) -> ServicePort:
    """Where it leads; to nobody's Service where it says none."""
    reference = at(registration, "spec", "service")
    namespace, name, port = (at(reference, field) for field in ("namespace", "name", "port"))
    where = {"port": port} if isinstance(port, int) else {}
    return ServicePort(namespace=str(namespace or ""), name=str(name or ""), **where)


def leads_to(registration: JsonObject, service: ServicePort) -> bool:
    """Whether it leads to that Service."""
    reference = at(registration, "spec", "service")
    return (at(reference, "namespace"), at(reference, "name")) == (service.namespace, service.name)


def bundle_of(registration: JsonObject) -> bytes:
    """Whom the API server trusts there, in PEM; none where it is nonsense."""
    text = at(registration, "spec", "caBundle")
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        return b""


def lead(registration: JsonObject, service: ServicePort, bundle: bytes) -> JsonObject:
    """The same, leading to that Service, with that bundle."""
    reference: JsonObject = {"namespace": service.namespace, "name": service.name, "port": service.port}
    ours: JsonObject = {"service": reference, "caBundle": base64.b64encode(bundle).decode()}
    return {**registration, "spec": _without_fields(registration) | ours}


def take_over(registration: JsonObject, service: ServicePort, bundle: bytes) -> JsonObject:
    """The same, leading to that Service, with what it said before in its annotation."""
    spec = _members(registration, "spec")
    before = json.dumps({key: spec[key] for key in _FIELDS if key in spec}, sort_keys=True)
    return lead(_with_annotation(registration, before), service, bundle)


def give_back(registration: JsonObject) -> JsonObject:
    """The same as it was before it was taken over; raises `Unavailable` DJ726 where nothing says how it was."""
    before = before_of(registration)
    if not before.get("service"):
        raise Unavailable("DJ726", f"{at(registration, 'metadata', 'name')}: its annotation {ANNOTATION_HANDED_OVER} is lost")
    return {**_with_annotation(registration, None), "spec": _without_fields(registration) | before}


def before_of(registration: JsonObject) -> JsonObject:
    """What it said before it was taken over; nothing where it was not, or nobody can read it."""
    text = at(registration, "metadata", "annotations", ANNOTATION_HANDED_OVER)
    try:
        before = cast("Json", json.loads(text)) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return {}
    return {key: before[key] for key in _FIELDS if key in before} if isinstance(before, dict) else {}


def _without_fields(registration: JsonObject) -> JsonObject:
    return {key: value for key, value in _members(registration, "spec").items() if key not in _FIELDS}


def _with_annotation(registration: JsonObject, text: str | None) -> JsonObject:
    metadata = _members(registration, "metadata")
    annotations = {**_members(metadata, "annotations")}
    annotations.pop(ANNOTATION_HANDED_OVER, None)
    own: JsonObject = annotations | ({} if text is None else {ANNOTATION_HANDED_OVER: text})
    return {**registration, "metadata": {**metadata, "annotations": own}}


def _members(value: Mapping[str, Json], name: str) -> Mapping[str, Json]:
    inner = value.get(name)
    return inner if isinstance(inner, dict) else {}
