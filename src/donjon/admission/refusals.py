"""The validating policies: what is refused, and what is warned about, on pods and on the workloads that make them.

The API server shows only the first failed validation of the first policy, so all reasons are joined in one. Nothing here is
newer than the CEL of Kubernetes 1.30, the oldest that has these policies.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from donjon.admission import cel
from donjon.admission.intent import ASKED
from donjon.admission.mutation import MAX_COUNTED
from donjon.admission.objects import PODS, Kind, Policy, binding, policy
from donjon.admission.reasons import BOUNDS
from donjon.admission.rules import HOST_DEVICES, MAX_CONTAINERS, Rule, table
from donjon.admission.settings import Settings
from donjon.admission.wiring import SUFFIXES
from donjon.findings import Severity
from donjon.kube.json import JsonObject
from donjon.kube.names import (
    AESMD,
    ANNOTATION_QUOTE_PROVIDER,
    DEVICE_PATHS,
    ENCLAVE,
    EPC,
    EPC_PAGE,
    EPC_UNITS,
    FOREIGN_EPC,
    LABEL_PROVISION,
    PROVISION,
    PROVISION_ALLOWED,
)
from donjon.kube.quantities import canonical

_CHANGED: JsonObject = {"apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"]}
WORKLOADS: tuple[JsonObject, ...] = (
    _CHANGED | {"apiGroups": ["apps"], "resources": ["daemonsets", "deployments", "replicasets", "statefulsets"]},
    _CHANGED | {"apiGroups": ["batch"], "resources": ["cronjobs", "jobs"]},
    _CHANGED | {"apiGroups": [""], "resources": ["replicationcontrollers"]},
)

_BOUNDS = {name: str(bound) for name, bound in BOUNDS.items()}
_BEYOND = f"n in x.limits && {cel.amount('x.limits[n]')}.compareTo(quantity(variables.bound[n])) >= 0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a pod stands: in a pod, or in a workload's template."""

    spec: str  # the pod's spec
    annotations: str  # the pod's annotations
    provision: str  # whether container x asks for the provisioning device, or will
    unwired: str  # whether container x asks for EPC and will be without its device
    foreign: str  # whether container x asks for EPC under a name that nothing will translate any more


def _wants(name: str) -> str:
    """Whether container x asks for more than none of it."""
    return f"({cel.text(name)} in x.limits && {cel.positive(f'x.limits[{cel.text(name)}]')})"


def _wants_any(names: str) -> str:
    return f"variables.{names}.exists(n, n in x.limits && {cel.positive('x.limits[n]')})"


POD = Place(
    spec="dyn(object).spec",
    annotations="has(object.metadata.annotations) ? object.metadata.annotations : {}",
    provision=_wants(PROVISION),
    unwired=f"{_wants_any('names')} && !{_wants(ENCLAVE)}",
    foreign=_wants_any("foreignNames"),
)
MAY_ANNOTATE = " && x.name != variables.provider"
"""What lets a container that the annotation names have the provisioning device, as Intel's webhook does."""

# A template is not wired yet: only one that says itself that it wants no device will come out without it.
_MADE = "(object.kind == 'CronJob' ? dyn(object).spec.jobTemplate : dyn(object)).spec.template"
TEMPLATE = Place(
    spec=f"{_MADE}.spec",
    annotations=f"has({_MADE}.metadata) && has({_MADE}.metadata.annotations) ? {_MADE}.metadata.annotations : {{}}",
    provision=f"""\
({_wants(PROVISION)} ||
    x.name == variables.provider && !({cel.text(PROVISION)} in x.limits) && {_wants_any("names")})""",
    unwired=f"{_wants_any('names')} && {cel.text(ENCLAVE)} in x.limits && !{_wants(ENCLAVE)}",
    foreign="false",
)


def refuse(name: str, settings: Settings) -> tuple[JsonObject, JsonObject]:
    """The policy that refuses pods with all reasons at once, and its binding."""
    rules = [rule for rule in table(refuse_host_devices=settings.refuse_host_devices) if rule.severity is Severity.ERROR]
    about = Policy(
        kind=Kind.VALIDATING,
        name=name,
        matches=(PODS,),
        conditions={"unusual": _unusual(POD, host_devices=settings.refuse_host_devices)},
        variables=_variables(POD, settings) | _reasons(rules, settings),
        must_answer=True,
    )
    spec: JsonObject = {
        "validations": [_all_reasons("variables.reasons.join('; ')") | {"reason": "Forbidden"}],
        "auditAnnotations": [{"key": "refusal", "valueExpression": "variables.reasons.join('; ')"}],
    }
    return policy(about, spec), binding(about, "Deny", "Audit")


def warn_on_pods(name: str, settings: Settings) -> tuple[JsonObject, JsonObject]:
    """The policy that warns whoever makes a pod, and its binding."""
    about = Policy(
        kind=Kind.VALIDATING,
        name=name,
        matches=(PODS,),
        conditions={"unusual": _unusual(POD, host_devices=True)},
        variables=_variables(POD, settings),
        must_answer=False,
    )
    return policy(about, {"validations": list(_warnings(settings))}), binding(about, "Warn")


def warn_on_workloads(name: str, settings: Settings) -> tuple[JsonObject, JsonObject]:
    """The policy that says at `kubectl apply` that a workload's pods will be refused, since nobody reads a Job's events."""
    rules = [rule for rule in table(refuse_host_devices=settings.refuse_host_devices) if rule.severity is Severity.ERROR]
    about = Policy(
        kind=Kind.VALIDATING,
        name=name,
        matches=WORKLOADS,
        # A controller that makes a Job or a ReplicaSet does not read warnings.
        conditions={"madeByHand": "!has(object.metadata.ownerReferences)", "unusual": _unusual(TEMPLATE, host_devices=True)},
        variables=_variables(TEMPLATE, settings) | _reasons(rules, settings),
        must_answer=False,
    )
    refused = "'the pods of this ' + object.kind + ' will be refused: ' + variables.reasons.join('; ')"
    return policy(about, {"validations": [_all_reasons(refused), *_warnings(settings)]}), binding(about, "Warn")


def _unusual(place: Place, *, host_devices: bool) -> str:
    """Whether the pod asks for anything of SGX and is not plainly wired; all else is for such pods, and costs a multiple.

    Plain is one enclave device, whole MiB or GiB of EPC below 10 TiB, and no more of ours: no rule has anything to say of that.
    """
    containers = f"({place.spec}.containers + (has({place.spec}.initContainers) ? {place.spec}.initContainers : []))"
    limits, epc, enclave = "c.resources.limits", cel.text(EPC), cel.text(ENCLAVE)
    rare = cel.any_of(f"{cel.text(name)} in {limits}" for name in (*FOREIGN_EPC, PROVISION))
    plain = (
        f"{epc} in {limits} && {enclave} in {limits} && string({limits}[{enclave}]) == '1' &&\n"
        f"    string({limits}[{epc}]).matches('^([0-9]{{1,7}}Mi|[0-9]{{1,4}}Gi)$')"
    )
    whole = f"""\
has({place.spec}.nodeName) || {_windows(place.spec)} || {containers}.size() > {MAX_CONTAINERS} ||
    {cel.text(ANNOTATION_QUOTE_PROVIDER)} in ({place.annotations}) ||{_DAEMONS[place is POD]}
    {containers}.exists(p, has(p.securityContext) && has(p.securityContext.privileged) && p.securityContext.privileged)"""
    asks = f"""\
{containers}.exists(c, has(c.resources) && has({limits}) && (
  {rare} ||
  ({epc} in {limits} || {enclave} in {limits}) && (!({plain}) ||
    {whole})))"""
    return f"{asks} ||\n{_devices(place.spec)}" if host_devices else asks


_DAEMONS = {True: "", False: " object.kind == 'DaemonSet' ||"}


def _windows(spec: str) -> str:
    return f"""\
has({spec}.os) && {spec}.os.name == 'windows' ||
    has({spec}.nodeSelector) && 'kubernetes.io/os' in {spec}.nodeSelector &&
      {spec}.nodeSelector['kubernetes.io/os'] == 'windows'"""


def _devices(spec: str) -> str:
    """Whether it mounts a device of ours from the host."""
    return f"has({spec}.volumes) && {spec}.volumes.exists(v, {_IS_DEVICE})"


_IS_DEVICE = f"has(v.hostPath) && v.hostPath.path.matches({cel.text('^(' + '|'.join(DEVICE_PATHS) + ')')})"


def _variables(place: Place, settings: Settings) -> dict[str, str]:
    """Who is concerned by what: lists of containers, each as a map of its name and its limits.

    A container has one reason concerning its EPC, the first that fits: too much, amounts that differ, a foreign name, no device.
    """
    epc, label = cel.text(EPC), cel.text(LABEL_PROVISION)
    own = f"x.limits[{epc}]"
    provider = cel.text(ANNOTATION_QUOTE_PROVIDER)
    may_annotate = MAY_ANNOTATE if settings.provision_by_annotation else ""
    return {
        "names": cel.listed(EPC_UNITS),
        "foreignNames": cel.listed(FOREIGN_EPC),
        "countedNames": cel.listed(BOUNDS),
        "suffix": cel.mapped(SUFFIXES),
        "bound": cel.mapped(_BOUNDS),
        "pod": place.spec,
        "all": "variables.pod.containers + (has(variables.pod.initContainers) ? variables.pod.initContainers : [])",
        "number": "variables.all.size()",
        "annotations": place.annotations,
        "provider": f"{provider} in variables.annotations ? string(variables.annotations[{provider}]) : ''",
        "limited": """\
variables.all.filter(c, has(c.resources) && has(c.resources.limits))
  .map(c, {'name': dyn(c.name), 'limits': dyn(c.resources.limits)})""",
        "tooMuch": f"variables.limited.filter(x, variables.countedNames.exists(n, {_BEYOND}))",
        "counted": f"""\
variables.limited
  .filter(x, !variables.tooMuch.exists(y, y.name == x.name))
  .map(x, {{'name': dyn(x.name), 'limits': dyn(x.limits), 'bytes': dyn(variables.names
    .filter(n, n in x.limits && (n == {epc} || {cel.amount("x.limits[n]")}.isInteger()))
    .map(n, n == {epc} ? string(x.limits[n]) : string({cel.amount("x.limits[n]")}.asInteger()) + variables.suffix[n]))}})""",
        "differing": f"""\
variables.counted.filter(x, x.bytes.exists(b, {cel.amount("b")}.compareTo({cel.amount("x.bytes[0]")}) != 0))""",
        "agreed": "variables.counted.filter(x, !variables.differing.exists(y, y.name == x.name))",
        "foreign": f"variables.agreed.filter(x, {place.foreign})",
        "unwired": f"""\
variables.agreed.filter(x, !variables.foreign.exists(y, y.name == x.name) &&
  {place.unwired})""",
        "asks": f"variables.limited.exists(x, {cel.listed(ASKED)}.exists(n, n in x.limits && {cel.positive('x.limits[n]')}))",
        "wantsEpc": f"variables.limited.exists(x, {_wants_any('names')})",
        "provision": f"variables.limited.filter(x, {place.provision}{may_annotate})",
        "account": """\
request.namespace + ':' +
  (has(variables.pod.serviceAccountName) ? string(variables.pod.serviceAccountName) : 'default')""",
        "mayProvision": f"""\
variables.account in {cel.listed(settings.provision_accounts)} ||
  has(namespaceObject.metadata.labels) && {label} in namespaceObject.metadata.labels &&
  namespaceObject.metadata.labels[{label}] == {cel.text(PROVISION_ALLOWED)}""",
        "nodeName": "has(variables.pod.nodeName) ? string(variables.pod.nodeName) : ''",
        "windows": _windows("variables.pod"),
        "devices": f"""\
has(variables.pod.volumes) ? variables.pod.volumes.filter(v,
  {_IS_DEVICE}).map(v, string(v.hostPath.path)) : []""",
        "privileged": """\
variables.all.filter(c, has(c.securityContext) && has(c.securityContext.privileged) && c.securityContext.privileged)
  .map(c, {'name': dyn(c.name), 'limits': dyn({})})""",
        "ownEpc": f"variables.limited.filter(x, {_wants(EPC)})",
        "belowPage": f"""\
variables.ownEpc.filter(x, {cel.amount(own)}.compareTo(quantity('{EPC_PAGE}')) < 0)""",
        "unaccounted": f"""\
variables.limited.filter(x, {_wants(ENCLAVE)} &&
  !{_wants_any("names")})""",
        # What is larger may be no integer here, and its last page does not matter.
        "unaligned": f"""\
variables.ownEpc.filter(x, {cel.amount(own)}.compareTo(quantity('{EPC_PAGE}')) > 0 &&
  {cel.amount(own)}.compareTo(quantity('{canonical(MAX_COUNTED)}')) < 0 &&
  {cel.amount(own)}.isInteger() && {cel.amount(own)}.asInteger() % {EPC_PAGE} != 0)""",
    }


_CONCERNED: Mapping[str, str] = {
    "DJ101": "unwired",
    "DJ102": "foreign",
    "DJ103": "tooMuch",
    "DJ104": "provision",
    "DJ106": "differing",
    "DJ107": "belowPage",
    "DJ108": "unaccounted",
    "DJ109": "unaligned",
    "DJ115": "privileged",
}
"""The rules about containers with the variable that lists those concerned."""

_HOLDS: Mapping[str, str] = {
    "DJ104": "variables.provision.size() > 0 && !variables.mayProvision",
    "DJ105": "variables.asks && variables.nodeName != ''",
    "DJ111": "variables.asks && variables.windows",
    "DJ112": f"""\
variables.wantsEpc && variables.provider != '' && variables.provider != '{AESMD}' &&
  !variables.all.exists(c, c.name == variables.provider)""",
    "DJ113": f"variables.number > {MAX_CONTAINERS} && (variables.devices.size() == 0 || variables.asks)",
    "DJ114": "variables.devices.size() > 0",
    "DJ115": "variables.asks && variables.privileged.size() > 0",
    "DJ116": """\
object.kind == 'DaemonSet' && variables.wantsEpc && !(has(variables.pod.nodeSelector) || has(variables.pod.affinity))""",
}
"""When the rules hold that do not simply hold where a container is concerned."""


def _holds(rule: Rule) -> str:
    return _HOLDS.get(rule.code) or f"variables.{_CONCERNED[rule.code]}.size() > 0"


def _reasons(rules: Iterable[Rule], settings: Settings) -> dict[str, str]:
    """One variable more: the list of the sentences of all rules that hold; of too many containers that alone is said.

    A pod that does not ask may have any number of them; it comes here for nothing but the host's devices.
    """
    told = {rule.code: f"({_holds(rule)} ?\n  [{_said(rule, settings.wired_by)}] : [])" for rule in rules}
    alone = told.pop("DJ113")
    if HOST_DEVICES in told:
        alone = f"{alone} +\n{told[HOST_DEVICES]}"
    return {"reasons": f"variables.number > {MAX_CONTAINERS} ? {alone} :\n" + " +\n".join(told.values())}


def _said(rule: Rule, wired_by: str = "") -> str:
    """The rule's sentence as an expression, its holes filled."""
    concerned = f"variables.{_CONCERNED.get(rule.code, 'limited')}"
    quantities, counted = (
        f"variables.{names}.filter(n, {meant}).map(n, n + ': ' + string(x.limits[n])).join(' and ')"
        for names, meant in (("names", "n in x.limits"), ("countedNames", _BEYOND))
    )
    holes = {
        "containers": cel.shortened(f"{concerned}.map(x, string(x.name)).join(', ')"),
        "quantities": cel.shortened(f"{concerned}.map(x, {quantities}).join(', ')"),
        "counted": cel.shortened(f"{concerned}.map(x, {counted}).join(', ')"),
        "namespace": "request.namespace",
        "node": "variables.nodeName",
        "provider": cel.shortened(cel.one_line("variables.provider")),
        "number": "string(variables.number)",
        "devices": cel.shortened(cel.one_line("variables.devices.join(', ')")),
        "wiring": cel.text(wired_by),
    }
    return cel.sentence(rule.sentence, holes)


def _warnings(settings: Settings) -> Iterable[JsonObject]:
    for rule in table(refuse_host_devices=settings.refuse_host_devices):
        if rule.severity is Severity.WARNING:
            few = "" if rule.code == HOST_DEVICES else f"variables.number <= {MAX_CONTAINERS} && "
            yield {"expression": f"!({few}{_holds(rule)})", "messageExpression": _said(rule)}


def _all_reasons(message: str) -> JsonObject:
    unsaid = "refused by Donjon, and its reasons could not be shown; donjon check FILE says them"
    return {"expression": "variables.reasons.size() == 0", "message": unsaid, "messageExpression": message}
