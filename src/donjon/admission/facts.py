"""What the validating policies find in a pod, as CEL: their variables.

Nothing here is newer than the CEL of Kubernetes 1.30, the oldest that has these policies.
"""

from dataclasses import dataclass

from donjon.admission import cel
from donjon.admission.hostpaths import HOLDS_DEVICES, MAX_PATH, MAX_PATHS, NAMED, NAMES_A_DEVICE
from donjon.admission.intent import ASKED
from donjon.admission.mutation import MAX_COUNTED
from donjon.admission.reasons import BOUNDS
from donjon.admission.settings import Settings
from donjon.admission.wiring import MOST, SUFFIXES
from donjon.kube.names import (
    ANNOTATION_MIRROR,
    ANNOTATION_QUOTE_PROVIDER,
    DEVICES,
    ENCLAVE,
    EPC,
    EPC_PAGE,
    EPC_UNITS,
    FOREIGN_EPC,
    LABEL_PROVISION,
    LABELS_OS,
    LABELS_PLATFORM,
    NODES,
    PROVISION,
    PROVISION_ALLOWED,
)
from donjon.kube.quantities import canonical

_BOUNDS = {name: str(bound) for name, bound in BOUNDS.items()}
BEYOND = f"n in x.limits && {cel.amount('x.limits[n]')}.compareTo(quantity(variables.bound[n])) >= 0"
"""Whether container x asks for too much of n."""
REPEATED = f"n in x.limits && {cel.amount('x.limits[n]')}.compareTo(quantity('1')) > 0 && !({BEYOND})"
"""Whether container x asks for more than one of device n, and not for too much of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a pod stands: in a pod, or in a workload's template."""

    spec: str  # the pod's spec
    annotations: str  # the pod's annotations
    provision: str  # whether container x asks for the provisioning device, or will
    unwired: str  # whether container x asks for EPC and will be without its device
    foreign: str  # whether container x asks for EPC under a name that nothing will translate any more
    mirrors: str  # whether it is a kubelet's account of a static pod, which that one runs whatever becomes of this


def wants(name: str) -> str:
    """Whether container x asks for more than none of it."""
    return f"({cel.text(name)} in x.limits && {cel.positive(f'x.limits[{cel.text(name)}]')})"


def wants_any(names: str) -> str:
    """Whether container x asks for more than none of any of them."""
    return f"variables.{names}.exists(n, n in x.limits && {cel.positive('x.limits[n]')})"


POD = Place(
    spec="dyn(object).spec",
    annotations="has(object.metadata.annotations) ? object.metadata.annotations : {}",
    provision=wants(PROVISION),
    unwired=f"{wants_any('names')} && !{wants(ENCLAVE)}",
    foreign=wants_any("foreignNames"),
    mirrors=f"""\
{cel.text(ANNOTATION_MIRROR)} in variables.annotations &&
  has(request.userInfo.groups) && {cel.text(NODES)} in request.userInfo.groups""",
)
MAY_ANNOTATE = " && x.name != variables.provider"
"""What lets a container that the annotation names have the provisioning device, as Intel's webhook does."""

# Only a container whose amounts can be taken, and agree, is wired, as in the mutating policy.
_WIRED = f"""\
variables.foreignNames.all(n, !(n in x.limits) ||
      {cel.amount("x.limits[n]")}.isInteger() && {cel.amount("x.limits[n]")}.asInteger() <= variables.most[n]) &&
    [variables.names.filter(n, n in x.limits).map(n, n == {cel.text(EPC)} ? string(x.limits[n]) :
      string({cel.amount("x.limits[n]")}.asInteger()) + variables.suffix[n])]
      .all(l, l.all(b, {cel.amount("b")}.compareTo({cel.amount("l[0]")}) == 0))"""

# A template is not wired yet: only one that says itself that it wants no device will come out without it.
_MADE = "(object.kind == 'CronJob' ? dyn(object).spec.jobTemplate : dyn(object)).spec.template"
TEMPLATE = Place(
    spec=f"{_MADE}.spec",
    annotations=f"has({_MADE}.metadata) && has({_MADE}.metadata.annotations) ? {_MADE}.metadata.annotations : {{}}",
    provision=f"""\
({wants(PROVISION)} ||
    x.name == variables.provider && !({cel.text(PROVISION)} in x.limits) && {wants_any("names")} && {_WIRED})""",
    unwired=f"{wants_any('names')} && {cel.text(ENCLAVE)} in x.limits && !{wants(ENCLAVE)}",
    foreign="false",
    mirrors="false",
)


def windows(spec: str) -> str:
    """Whether the pod goes nowhere but to Windows."""
    labels = cel.listed(LABELS_OS)
    return f"""\
has({spec}.os) && {spec}.os.name == 'windows' ||
    has({spec}.nodeSelector) && {labels}.exists(l, l in {spec}.nodeSelector && {spec}.nodeSelector[l] == 'windows') ||
    has({spec}.affinity) && [{_required(spec)}].exists(r, r.size() > 0 && r.all(t,
      has(t.matchExpressions) && t.matchExpressions.exists(e,
        e.key in {labels} && e.operator == 'In' && has(e.values) && e.values.all(v, v == 'windows'))))"""


def _required(spec: str) -> str:
    """The terms of its required node affinity."""
    affinity = f"{spec}.affinity.nodeAffinity"
    return f"""\
(has({spec}.affinity) && has({affinity}) && has({affinity}.requiredDuringSchedulingIgnoredDuringExecution)
      ? {affinity}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms : [])"""


def variables(place: Place, settings: Settings) -> dict[str, str]:
    """Who is concerned by what: lists of containers, each as a map of its name and its limits.

    A container has one reason concerning its EPC, the first that fits: too much, amounts that differ, a foreign name, no device.
    """
    epc, label, platform = cel.text(EPC), cel.text(LABEL_PROVISION), cel.listed(LABELS_PLATFORM)
    own = f"x.limits[{epc}]"
    provider = cel.text(ANNOTATION_QUOTE_PROVIDER)
    may_annotate = MAY_ANNOTATE if settings.provision_by_annotation else ""
    return {
        "names": cel.listed(EPC_UNITS),
        "foreignNames": cel.listed(FOREIGN_EPC),
        "countedNames": cel.listed(BOUNDS),
        "deviceNames": cel.listed(DEVICES),
        "suffix": cel.mapped(SUFFIXES),
        "most": cel.mapped(MOST),
        "bound": cel.mapped(_BOUNDS),
        "pod": place.spec,
        "all": "variables.pod.containers + (has(variables.pod.initContainers) ? variables.pod.initContainers : [])",
        "number": "variables.all.size()",
        "annotations": place.annotations,
        "provider": f"{provider} in variables.annotations ? string(variables.annotations[{provider}]) : ''",
        "limited": """\
variables.all.filter(c, has(c.resources) && has(c.resources.limits))
  .map(c, {'name': dyn(c.name), 'limits': dyn(c.resources.limits)})""",
        "tooMuch": f"variables.limited.filter(x, variables.countedNames.exists(n, {BEYOND}))",
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
        "wantsEpc": f"variables.limited.exists(x, {wants_any('names')})",
        "provision": f"variables.limited.filter(x, {place.provision}{may_annotate})",
        "account": """\
request.namespace + ':' +
  (has(variables.pod.serviceAccountName) ? string(variables.pod.serviceAccountName) : 'default')""",
        "mayProvision": f"""\
variables.account in {cel.listed(settings.provision_accounts)} ||
  has(namespaceObject.metadata.labels) && {label} in namespaceObject.metadata.labels &&
  namespaceObject.metadata.labels[{label}] == {cel.text(PROVISION_ALLOWED)}""",
        "nodeName": "has(variables.pod.nodeName) ? string(variables.pod.nodeName) : ''",
        "mirrors": place.mirrors,
        "windows": windows("variables.pod"),
        "required": _required("variables.pod"),
        "anywhere": f"""\
!(has(variables.pod.nodeSelector) && variables.pod.nodeSelector.exists(l, !(l in {platform})) ||
  variables.required.size() > 0 && variables.required.all(t, has(t.matchFields) ||
    has(t.matchExpressions) && t.matchExpressions.exists(e, !(e.key in {platform}))))""",
        "hostPaths": f"""\
!has(variables.pod.volumes) ? [] : variables.pod.volumes.filter(v, has(v.hostPath) && v.hostPath.path.size() < {MAX_PATH})
  .map(v, v.hostPath.path)""",
        "naming": f"""\
[variables.hostPaths.filter(p, p.contains('{NAMED}'))].map(l, l.size() > {MAX_PATHS} ? l :
  l.filter(p, p.matches({cel.text(NAMES_A_DEVICE)})))[0]""",
        "holding": f"""\
!variables.asks ? [] : variables.hostPaths.size() > {MAX_PATHS} ? variables.hostPaths :
  variables.hostPaths.filter(p, p.matches({cel.text(HOLDS_DEVICES)}))""",
        # In the pod's own order.
        "devices": """\
variables.naming.size() == 0 || variables.holding.size() == variables.hostPaths.size() ? variables.holding :
  variables.holding.size() == 0 ? variables.naming :
  variables.hostPaths.filter(p, p in variables.naming || p in variables.holding)""",
        "privileged": """\
variables.all.filter(c, has(c.securityContext) && has(c.securityContext.privileged) && c.securityContext.privileged)
  .map(c, {'name': dyn(c.name), 'limits': dyn({})})""",
        "ownEpc": f"variables.limited.filter(x, {wants(EPC)})",
        "belowPage": f"""\
variables.ownEpc.filter(x, {cel.amount(own)}.compareTo(quantity('{EPC_PAGE}')) < 0)""",
        "unaccounted": f"""\
variables.limited.filter(x, {wants(ENCLAVE)} &&
  !{wants_any("names")})""",
        "repeated": f"variables.limited.filter(x, variables.deviceNames.exists(n, {REPEATED}))",
        # What is larger may be no integer here, and its last page does not matter.
        "unaligned": f"""\
variables.ownEpc.filter(x, {cel.amount(own)}.compareTo(quantity('{EPC_PAGE}')) > 0 &&
  {cel.amount(own)}.compareTo(quantity('{canonical(MAX_COUNTED)}')) < 0 &&
  {cel.amount(own)}.isInteger() && {cel.amount(own)}.asInteger() % {EPC_PAGE} != 0)""",
    }
