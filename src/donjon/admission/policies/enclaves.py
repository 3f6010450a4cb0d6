"""Admission by an enclave's identity, as the API server holds it: when it calls us, and what it says while we are away.

Two calls. The first pins the digest of each image and refuses; while nobody answers it, the pod goes on as it came. The second
looks at the pod as it is in the end, in namespaces that say so by their label, and lets in nothing that nobody has looked at. Its
refusal has the API server's own words, so a policy speaks before it, in ours; an annotation that a tenant forged silences the
policy and not the call. A pod that does not ask for SGX is concerned by none of this.
"""

from donjon.admission.policies import cel
from donjon.admission.policies.objects import API_VERSION, LABELS, PODS, AdmissionPolicy, PolicyKind, binding, policy
from donjon.formats.json import Json, JsonObject
from donjon.kube.names import ANNOTATION_ENCLAVES, ENCLAVES_ENFORCED, LABEL_COMPONENT, LABEL_ENCLAVES, SGX_RESOURCES

ENCLAVES = "enclaves"
"""The component, and the end of the names of its objects."""
PIN_HOOK, HOLD_HOOK = "pin.enclaves.donjon.dev", "hold.enclaves.donjon.dev"
PIN_PATH, HOLD_PATH = "/enclaves", "/enclaves/hold"
PIN_WAITS, HOLD_WAITS = 10, 5
"""Seconds that the API server waits: the first may have to fetch an image, the second asks for what the first has just found."""
NOT_LOOKED_AT = "DJ375"
ENFORCED: JsonObject = {"matchLabels": {LABEL_ENCLAVES: ENCLAVES_ENFORCED}}
OPERATIONS, SUBRESOURCES = ("CREATE", "UPDATE"), ("", "ephemeralcontainers")

_LIMITS = "c.resources.limits"
_ASKING = f"""\
has(c.resources) && has({_LIMITS}) && {cel.strings(SGX_RESOURCES)}.exists(n, n in {_LIMITS} && string({_LIMITS}[n]) != '0')"""
_ASKS = f"""\
object.spec.containers.exists(c, {_ASKING}) ||
has(object.spec.initContainers) && object.spec.initContainers.exists(c, {_ASKING})"""


def _images(of: str) -> str:
    ephemeral = f"(has({of}.spec.ephemeralContainers) ? {of}.spec.ephemeralContainers.map(c, has(c.image) ? c.image : '') : [])"
    init = f"(has({of}.spec.initContainers) ? {of}.spec.initContainers.map(c, has(c.image) ? c.image : '') : [])"
    return f"{of}.spec.containers.map(c, has(c.image) ? c.image : '') + {init} + {ephemeral}"


CALL_CONDITIONS = {
    "asks": _ASKS,
    # Of a pod that is there, only another image is a question: nothing else of it tells what runs.
    "another": f"oldObject == null || {_images('object')} != {_images('oldObject')}",
}
"""Which requests are sent to us: those about pods that ask, and whose images are new."""


def enclave_calls(name: str, namespace: str, service: str, enforced: Json) -> tuple[JsonObject, JsonObject]:
    """The two webhook configurations; the webhook itself writes their `caBundle`. `enforced` selects namespaces."""
    where: JsonObject = {"namespace": namespace, "name": service, "port": 443}
    pinning = _hook(PIN_HOOK, {**where, "path": PIN_PATH}, waits=PIN_WAITS, must_answer=False)
    holding = _hook(HOLD_HOOK, {**where, "path": HOLD_PATH}, waits=HOLD_WAITS, must_answer=True)
    return (
        _configuration("MutatingWebhookConfiguration", name, pinning | {"reinvocationPolicy": "IfNeeded"}),
        _configuration("ValidatingWebhookConfiguration", name, holding | {"namespaceSelector": enforced}),
    )


def hold_enclaves(name: str, namespace: str, enforced: Json) -> tuple[JsonObject, JsonObject]:
    """The policy that says in our words why a pod is not let in while nobody looks at images, and its binding."""
    about = AdmissionPolicy(
        kind=PolicyKind.VALIDATING,
        name=name,
        matches=(PODS,),
        conditions={"asks": _ASKS},
        variables={},
        must_answer=True,
    )
    annotation = cel.text(ANNOTATION_ENCLAVES)
    validation: JsonObject = {
        "expression": f"has(object.metadata.annotations) && {annotation} in object.metadata.annotations",
        "message": _message(namespace),
        "reason": "Forbidden",
    }
    bound = binding(about, "Deny", "Audit")
    selected: JsonObject = {"matchPolicy": "Equivalent", "namespaceSelector": enforced, "objectSelector": {}}
    spec = bound["spec"]
    assert isinstance(spec, dict)
    return policy(about, {"validations": [validation]}), {**bound, "spec": {**spec, "matchResources": selected}}


def _message(namespace: str) -> str:
    return (
        "pod: it asks for SGX in a namespace that admits enclaves by their identity, and nobody has looked at its images "
        f"[{NOT_LOOKED_AT}]; see that what looks at them runs (kubectl get pods -n {namespace} -l {LABEL_COMPONENT}={ENCLAVES}), "
        "and make the pod again: its controller does so by itself"
    )


def _hook(name: str, service: JsonObject, *, waits: int, must_answer: bool) -> JsonObject:
    return {
        "name": name,
        "admissionReviewVersions": ["v1"],
        "clientConfig": {"service": service},
        "rules": [
            {
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "operations": list(OPERATIONS),
                "resources": ["pods", *(f"pods/{each}" for each in SUBRESOURCES if each)],
                "scope": "Namespaced",
            }
        ],
        "matchConditions": [{"name": each, "expression": text} for each, text in CALL_CONDITIONS.items()],
        "matchPolicy": "Equivalent",
        "failurePolicy": "Fail" if must_answer else "Ignore",
        # What was found in an image is kept for the next pod, and not where the request is a rehearsal.
        "sideEffects": "NoneOnDryRun",
        "timeoutSeconds": waits,
    }


def _configuration(kind: str, name: str, hook: JsonObject) -> JsonObject:
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": name, "labels": dict(LABELS)},
        "webhooks": [hook],
    }
