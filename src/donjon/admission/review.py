"""An AdmissionReview, from bytes to bytes: what the API server asks its webhook, and what it is answered.

The answer is always yes, with the patch that wires the pod. What may not be made, the API server's own policies refuse, in words
and whether this program runs or not; a second voice here would only say it twice. Source: Kubernetes admission.k8s.io/v1.
"""

import base64
import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import cast

from donjon.admission.intent import FIELDS
from donjon.admission.nodes import LargestNode
from donjon.admission.rules import BEYOND_NODES
from donjon.admission.settings import AdmissionContext, Settings
from donjon.admission.verdict import AdmissionVerdict, decide
from donjon.errors import Malformed
from donjon.formats.json import Json, JsonObject, at
from donjon.kube.names import LABEL_PROVISION, NODES, PROVISION_ALLOWED

MAX_SIZE = 8 << 20  # bytes of a body; a pod of the 1.5 MiB that etcd takes is several times that once its fields' owners are told
MAX_SIGNS = 500_000  # that begin values in a body, which take many times the memory of their text; such a pod has 400,000
MOST_CONTAINERS = 12_000  # of a pod; etcd takes 10,000
MAX_DEPTH = 100  # of objects and lists in one another; a pod of Kubernetes 1.36 has fewer than 20
MAX_UID = 128  # characters; the API server's own have 36
MAX_EXCERPT = 60  # characters of what someone else wrote, in a message

API_VERSION, KIND = "admission.k8s.io/v1", "AdmissionReview"
NEW, WHOLE = ("CREATE",), ("",)
"""The operation, and the part, of a review about a new pod."""
_POD: JsonObject = {"group": "", "version": "v1", "kind": "Pod"}
_PODS: JsonObject = {"group": "", "version": "v1", "resource": "pods"}


class ReviewOutcome(StrEnum):
    """What becomes of a pod, by our own account."""

    WIRED = "wired"
    UNTOUCHED = "untouched"
    DENIED = "refused"  # by the policies, after us


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewRequest:
    """A pod that is to be made, as the API server asks about it."""

    uid: str
    namespace: str
    name: str
    by_kubelet: bool
    pod: JsonObject
    is_dry_run: bool = False
    old_pod: JsonObject = field(default_factory=dict)  # as it was before, where it is changed


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewResponse:
    """The answer, and what led to it."""

    request: ReviewRequest
    verdict: AdmissionVerdict
    body: bytes

    @property
    def outcome(self) -> ReviewOutcome:
        """What becomes of the pod."""
        if self.verdict.is_refused:
            return ReviewOutcome.DENIED
        return ReviewOutcome.WIRED if self.verdict.patch else ReviewOutcome.UNTOUCHED


def review(data: bytes, settings: Settings, largest_node: LargestNode | None = None) -> ReviewResponse:
    """The answer to a body; raises `Malformed` DJ140 to DJ143 for one that is no question about a pod.

    Of what is to be warned about, the answer says what no policy can, since it needs to know the nodes.
    """
    request = parse(data)
    # Which namespaces may have the provisioning key, the policies know; here that rule stays silent.
    around = AdmissionContext(
        namespace=request.namespace,
        labels={LABEL_PROVISION: PROVISION_ALLOWED},
        by_kubelet=request.by_kubelet,
        largest_node=largest_node,
    )
    verdict = decide(request.pod, around, settings)
    warnings = [finding.sentence() for finding in verdict.findings if finding.code == BEYOND_NODES.code]
    return ReviewResponse(request=request, verdict=verdict, body=_encode(request.uid, verdict, warnings))


def parse(data: bytes, operations: Collection[str] = NEW, subresources: Collection[str] = WHOLE) -> ReviewRequest:
    """The question in a body, about one of these operations on a pod or on one of these parts of it.

    Raises `Malformed`: DJ140 beyond a bound, DJ141 for no JSON, DJ142 for no AdmissionReview v1, DJ143 for one of another thing.
    """
    document = _document(data)
    if at(document, "apiVersion") != API_VERSION or at(document, "kind") != KIND:
        actual = f"{_excerpt(at(document, 'apiVersion'))} {_excerpt(at(document, 'kind'))}"
        raise Malformed("DJ142", f"body: it is a {actual}, expected {API_VERSION} {KIND}")
    request = _object(document, "request")
    uid = _text(request, "uid")
    if not 0 < len(uid) <= MAX_UID:
        raise Malformed("DJ142", f"request.uid: {len(uid)} characters, expected 1 to {MAX_UID}")
    _check_subject(request, operations, subresources)
    name = at(request, "name") or at(request, "object", "metadata", "generateName")
    groups = at(request, "userInfo", "groups")
    return ReviewRequest(
        uid=uid,
        namespace=_text(request, "namespace"),
        name=name if isinstance(name, str) else "",
        by_kubelet=isinstance(groups, list) and NODES in groups,
        pod=_pod(request),
        is_dry_run=at(request, "dryRun") is True,
        old_pod=old if isinstance(old := at(request, "oldObject"), dict) else {},
    )


def _pod(request: JsonObject) -> JsonObject:
    pod = _object(request, "object")
    containers = (at(pod, "spec", each) for each in FIELDS)
    number = sum(len(each) for each in containers if isinstance(each, list))
    if number > MOST_CONTAINERS:
        raise Malformed("DJ140", f"request.object: {number} containers, expected at most {MOST_CONTAINERS}")
    return pod


def _check_subject(request: JsonObject, operations: Collection[str], subresources: Collection[str]) -> None:
    """Raise where the webhook was asked about something that its configuration does not name."""
    for member, expected in (("kind", _POD), ("resource", _PODS)):
        if at(request, member) != expected:
            raise Malformed("DJ143", f"request.{member}: it is {_excerpt(at(request, member))}, expected {_excerpt(expected)}")
    for member, among in (("operation", operations), ("subResource", subresources)):
        if (at(request, member) or "") not in among:
            names = " or ".join(_excerpt(each) if each else "none" for each in among)
            raise Malformed("DJ143", f"request.{member}: it is {_excerpt(at(request, member))}, expected {names}")


def _document(data: bytes) -> Json:
    if len(data) > MAX_SIZE:
        raise Malformed("DJ140", f"body: more than {MAX_SIZE} bytes")
    if _count_separators(data) > MAX_SIGNS:
        raise Malformed("DJ140", f"body: more than {MAX_SIGNS} commas and brackets")
    try:
        document = cast(
            "Json", json.loads(data.decode("utf-8"), object_pairs_hook=_each_key_once, parse_constant=_no_such_number)
        )
    except UnicodeDecodeError as error:
        raise Malformed("DJ141", f"body: byte {error.start} is no UTF-8") from error
    except ValueError as error:  # Of the JSON, or an integer of more digits than Python reads.
        raise Malformed("DJ141", f"body: no JSON: {error}") from error
    except RecursionError as error:
        raise Malformed("DJ140", f"body: nested more than {MAX_DEPTH} deep") from error
    _check_depth(document)
    return document


_BEGINS = (b",", b"[", b"{")
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)


def _count_separators(data: bytes) -> int:
    """How many signs in JSON begin a value or stand before one; none where there are few. It stops where there are too many.

    Those within strings count only where that matters, since to leave them out takes time.
    """
    if sum(map(data.count, _BEGINS)) <= MAX_SIGNS:
        return 0
    count = end = 0
    for string in _STRING.finditer(data):
        count += sum(data.count(sign, end, string.start()) for sign in _BEGINS)
        if count > MAX_SIGNS:
            return count
        end = string.end()
    return count + sum(data.count(sign, end) for sign in _BEGINS)


def _each_key_once(pairs: list[tuple[str, Json]]) -> JsonObject:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Malformed("DJ141", f"body: {_excerpt(_second(pairs))} stands twice in one object")
    return members


def _second(pairs: list[tuple[str, Json]]) -> str:
    """The first key that was there before; each is looked at once, for there may be hundreds of thousands."""
    met: set[str] = set()
    for key, _ in pairs:
        if key in met:
            return key
        met.add(key)
    return ""


def _no_such_number(word: str) -> Json:
    raise Malformed("DJ141", f"body: {word} is no JSON")


def _check_depth(document: Json) -> None:
    """Raise for what is nested too deep; level by level, since going down it would be what we guard against."""
    level: list[Json] = [document]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for each in level
            if isinstance(each, (dict, list))
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return
    raise Malformed("DJ140", f"body: nested more than {MAX_DEPTH} deep")


def _object(owner: Json, field: str) -> JsonObject:
    value = at(owner, field)
    if not isinstance(value, dict):
        raise Malformed("DJ142", f"{field}: it is {_excerpt(value)}, expected an object")
    return value


def _text(owner: JsonObject, field: str) -> str:
    value = owner.get(field)
    if not isinstance(value, str):
        raise Malformed("DJ142", f"request.{field}: it is {_excerpt(value)}, expected a string")
    return value


def _excerpt(value: Json) -> str:
    """A value in a message; what is large is only named, since to print it may take long."""
    match value:
        case None:
            return "missing"
        case str():
            return repr(value if len(value) <= MAX_EXCERPT else f"{value[:MAX_EXCERPT]}…")
        case dict() if len(value) <= len(_POD) and all(isinstance(each, str) for each in value.values()):
            return "/".join(_excerpt(each) for each in value.values())
        case bool() | dict() | list():
            return type(value).__name__
        case _:
            return "a number"


def _encode(uid: str, verdict: AdmissionVerdict, warnings: Sequence[str]) -> bytes:
    patch = [each.as_dict() for each in verdict.patch]
    response: JsonObject = {"uid": uid, "allowed": True}
    if warnings:
        response["warnings"] = list(warnings)
    if patch:
        response |= {"patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(patch).encode()).decode()}
    return json.dumps({"apiVersion": API_VERSION, "kind": KIND, "response": response}).encode()
