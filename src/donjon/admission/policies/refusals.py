"""The validating policies: what is refused, and what is warned about, on pods, those that run, and the workloads that make them.

The API server shows only the first failed validation of the first policy, so all reasons are joined in one. Nothing here is
newer than the CEL of Kubernetes 1.30, the oldest that has these policies.
"""

from collections.abc import Iterable

from donjon.admission.limits import MAX_CONTAINERS
from donjon.admission.policies.conditions import annotated, strays, unusual
from donjon.admission.policies.objects import PODS, AdmissionPolicy, PolicyKind, binding, policy
from donjon.admission.policies.pods import POD, TEMPLATE, PodPlace
from donjon.admission.policies.sentences import holds, reasons, sentence_expression
from donjon.admission.policies.variables import variables
from donjon.admission.rule import Scope
from donjon.admission.rules import PRIVILEGED, table
from donjon.admission.settings import Settings
from donjon.findings import Severity
from donjon.formats.json import Json, JsonObject

_CHANGED: JsonObject = {"apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"]}
WORKLOADS: tuple[JsonObject, ...] = (
    _CHANGED | {"apiGroups": ["apps"], "resources": ["daemonsets", "deployments", "replicasets", "statefulsets"]},
    _CHANGED | {"apiGroups": ["batch"], "resources": ["cronjobs", "jobs"]},
    _CHANGED | {"apiGroups": [""], "resources": ["replicationcontrollers"]},
)
DEBUGGING: JsonObject = {
    "apiGroups": [""],
    "apiVersions": ["v1"],
    "operations": ["UPDATE"],
    "resources": ["pods/ephemeralcontainers"],
}
"""What `kubectl debug` asks for on a pod that runs."""
_PRIVILEGED = "has(c.securityContext) && has(c.securityContext.privileged) && c.securityContext.privileged"


def refuse(name: str, settings: Settings) -> tuple[JsonObject, JsonObject]:
    """The policy that refuses pods with all reasons at once, and its binding."""
    rules = [rule for rule in table(refuse_host_devices=settings.refuse_host_devices) if rule.severity is Severity.ERROR]
    about = AdmissionPolicy(
        kind=PolicyKind.VALIDATING,
        name=name,
        matches=(PODS,),
        conditions={"unusual": unusual(POD, host_devices=settings.refuse_host_devices)},
        variables=variables(POD, settings) | reasons(rules, settings),
        must_answer=True,
    )
    spec: JsonObject = {
        "validations": [_all_reasons("variables.reasons.join('; ')") | {"reason": "Forbidden"}],
        "auditAnnotations": [{"key": "refusal", "valueExpression": "variables.reasons.join('; ')"}],
    }
    return policy(about, spec), binding(about, "Deny", "Audit")


def warn_on_pods(name: str, settings: Settings) -> tuple[JsonObject, JsonObject]:
    """The policy that warns whoever makes a pod, and its binding."""
    about = AdmissionPolicy(
        kind=PolicyKind.VALIDATING,
        name=name,
        matches=(PODS,),
        conditions={"unusual": _worth_a_look(POD)},
        variables=variables(POD, settings),
        must_answer=False,
    )
    return policy(about, {"validations": list(_warnings(settings))}), binding(about, "Warn")


def warn_on_workloads(name: str, settings: Settings) -> tuple[JsonObject, JsonObject]:
    """The policy that says at `kubectl apply` that a workload's pods will be refused, since nobody reads a Job's events."""
    rules = [rule for rule in table(refuse_host_devices=settings.refuse_host_devices) if rule.severity is Severity.ERROR]
    about = AdmissionPolicy(
        kind=PolicyKind.VALIDATING,
        name=name,
        matches=WORKLOADS,
        # A controller that makes a Job or a ReplicaSet does not read warnings.
        conditions={"madeByHand": "!has(object.metadata.ownerReferences)", "unusual": _worth_a_look(TEMPLATE)},
        variables=variables(TEMPLATE, settings) | reasons(rules, settings),
        must_answer=False,
    )
    message = "'the pods of this ' + object.kind + ' will be refused: ' + variables.reasons.join('; ')"
    return policy(about, {"validations": [_all_reasons(message), *_warnings(settings)]}), binding(about, "Warn")


def watch_debugging(name: str, settings: Settings) -> tuple[JsonObject, JsonObject]:
    """The policy that looks at containers put beside those of a running pod, and its binding; it is not asked about new pods.

    Such a container can ask for no resource, so all that it can be is privileged.
    """
    (rule,) = (rule for rule in table(refuse_host_devices=settings.refuse_host_devices) if rule.code == PRIVILEGED)
    is_refusal = rule.severity is Severity.ERROR
    all_variables = variables(POD, settings) | {
        "privileged": f"""\
object.spec.ephemeralContainers.filter(c, {_PRIVILEGED} &&
  !(has(oldObject.spec.ephemeralContainers) && oldObject.spec.ephemeralContainers.exists(o, o.name == c.name)))
  .map(c, {{'name': dyn(c.name)}})"""
    }
    about = AdmissionPolicy(
        kind=PolicyKind.VALIDATING,
        name=name,
        matches=(DEBUGGING,),
        conditions={
            "privileged": f"has(object.spec.ephemeralContainers) && object.spec.ephemeralContainers.exists(c, {_PRIVILEGED})"
        },
        variables={each: all_variables[each] for each in ("pod", "all", "limited", "asks", "privileged")},
        must_answer=is_refusal,
    )
    validation: JsonObject = {"expression": f"!({holds(rule)})", "messageExpression": sentence_expression(rule)}
    validations: list[Json] = [validation | {"reason": "Forbidden"} if is_refusal else validation]
    return policy(about, {"validations": validations}), binding(about, *(("Deny", "Audit") if is_refusal else ("Warn",)))


def _worth_a_look(place: PodPlace) -> str:
    return f"{unusual(place, host_devices=True)} ||\n{strays(place)} ||\n{annotated(place)}"


def _warnings(settings: Settings) -> Iterable[JsonObject]:
    for rule in table(refuse_host_devices=settings.refuse_host_devices):
        if rule.severity is Severity.WARNING:
            few = "" if rule.scope is Scope.ANY else f"variables.number <= {MAX_CONTAINERS} && "
            yield {"expression": f"!({few}{holds(rule)})", "messageExpression": sentence_expression(rule)}


def _all_reasons(message: str) -> JsonObject:
    unsaid = "refused by Donjon, and its reasons could not be shown; donjon check FILE says them"
    return {"expression": "variables.reasons.size() == 0", "message": unsaid, "messageExpression": message}
