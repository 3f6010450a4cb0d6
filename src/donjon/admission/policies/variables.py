"""What the validating policies find in a pod, as CEL: their variables.

Nothing here is newer than the CEL of Kubernetes 1.30, the oldest that has these policies.
"""

from donjon.admission.hostpaths import DEVICE_SUBSTRING, HOLDS_DEVICES, MAX_PATH, MAX_PATHS, NAMES_A_DEVICE
from donjon.admission.limits import BOUNDS, LIKELY, MAX_COUNTED
from donjon.admission.policies import cel
from donjon.admission.policies.pods import MAY_ANNOTATE, PodPlace, wants, wants_any
from donjon.admission.policies.wiring import MOST, SUFFIXES
from donjon.admission.settings import Settings
from donjon.kube.names import (
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
    PROVISION_ALLOWED,
    SGX_RESOURCES,
)
from donjon.kube.quantities import canonical
from donjon.kube.spelling import OTHERS, SGX

BEYOND = f"n in x.limits && {cel.amount('x.limits[n]')}.compareTo(quantity(variables.bound[n])) >= 0"
"""Whether container x asks for too much of n."""
REPEATED = f"n in x.limits && {cel.amount('x.limits[n]')}.compareTo(quantity('1')) > 0 && !({BEYOND})"
"""Whether container x asks for more than one of device n, and not for too much of it."""

STRAY = (
    f"n.contains('{SGX}') && n.matches('(^|[^a-zA-Z0-9]){SGX}([^a-zA-Z0-9]|$)')"
    f" && !(n in {cel.strings(sorted({*SGX_RESOURCES, *OTHERS}))})"
)
"""Whether n is a name of SGX that nobody offers; most names have no such letters, so what is cheap is asked first."""


def windows(spec: str) -> str:
    """Whether the pod goes nowhere but to Windows."""
    labels = cel.strings(LABELS_OS)
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


_TABLES = {
    "names": cel.strings(EPC_UNITS),
    "foreignNames": cel.strings(FOREIGN_EPC),
    "countedNames": cel.strings(BOUNDS),
    "deviceNames": cel.strings(DEVICES),
    "suffix": cel.string_map(SUFFIXES),
    "most": cel.string_map(MOST),
    "bound": cel.string_map({name: str(bound) for name, bound in BOUNDS.items()}),
}


def _containers(place: PodPlace) -> dict[str, str]:
    provider = cel.text(ANNOTATION_QUOTE_PROVIDER)
    return {
        "pod": place.spec,
        "all": "variables.pod.containers + (has(variables.pod.initContainers) ? variables.pod.initContainers : [])",
        "number": "variables.all.size()",
        "annotations": place.annotations,
        "provider": f"{provider} in variables.annotations ? string(variables.annotations[{provider}]) : ''",
        "limited": """\
variables.all.filter(c, has(c.resources) && has(c.resources.limits))
  .map(c, {'name': dyn(c.name), 'limits': dyn(c.resources.limits)})""",
    }


def _amounts(place: PodPlace) -> dict[str, str]:
    """A container has one reason concerning its EPC, the first that fits: too much, differing, a foreign name, no device."""
    epc, amount = cel.text(EPC), cel.amount("x.limits[n]")
    return {
        "tooMuch": f"variables.limited.filter(x, variables.countedNames.exists(n, {BEYOND}))",
        "counted": f"""\
variables.limited
  .filter(x, !variables.tooMuch.exists(y, y.name == x.name))
  .map(x, {{'name': dyn(x.name), 'limits': dyn(x.limits), 'bytes': dyn(variables.names
    .filter(n, n in x.limits && (n == {epc} || {amount}.isInteger()))
    .map(n, n == {epc} ? string(x.limits[n]) : string({amount}.asInteger()) + variables.suffix[n]))}})""",
        "differing": f"""\
variables.counted.filter(x, x.bytes.exists(b, {cel.amount("b")}.compareTo({cel.amount("x.bytes[0]")}) != 0))""",
        "unlikely": f"""\
variables.counted.filter(x, x.bytes.exists(b, {cel.amount("b")}.compareTo(quantity('{canonical(LIKELY)}')) >= 0))""",
        "agreed": "variables.counted.filter(x, !variables.differing.exists(y, y.name == x.name))",
        "foreign": f"variables.agreed.filter(x, {place.foreign})",
        "unwired": f"""\
variables.agreed.filter(x, !variables.foreign.exists(y, y.name == x.name) &&
  {place.unwired})""",
        "asks": f"variables.limited.exists(x, {cel.strings(SGX_RESOURCES)}"
        f".exists(n, n in x.limits && {cel.positive('x.limits[n]')}))",
        "wantsEpc": f"variables.limited.exists(x, {wants_any('names')})",
    }


def _provisioning(place: PodPlace, settings: Settings) -> dict[str, str]:
    label = cel.text(LABEL_PROVISION)
    may_annotate = MAY_ANNOTATE if settings.provision_by_annotation else ""
    return {
        "provision": f"variables.limited.filter(x, {place.provision}{may_annotate})",
        "account": """\
request.namespace + ':' +
  (has(variables.pod.serviceAccountName) ? string(variables.pod.serviceAccountName) : 'default')""",
        "mayProvision": f"""\
variables.account in {cel.strings(settings.provision_accounts)} ||
  has(namespaceObject.metadata.labels) && {label} in namespaceObject.metadata.labels &&
  namespaceObject.metadata.labels[{label}] == {cel.text(PROVISION_ALLOWED)}""",
    }


def _placing(place: PodPlace) -> dict[str, str]:
    platform = cel.strings(LABELS_PLATFORM)
    return {
        "nodeName": "has(variables.pod.nodeName) ? string(variables.pod.nodeName) : ''",
        "mirrors": place.mirrors,
        "windows": windows("variables.pod"),
        "required": _required("variables.pod"),
        "anywhere": f"""\
!(has(variables.pod.nodeSelector) && variables.pod.nodeSelector.exists(l, !(l in {platform})) ||
  variables.required.size() > 0 && variables.required.all(t, has(t.matchFields) ||
    has(t.matchExpressions) && t.matchExpressions.exists(e, !(e.key in {platform}))))""",
    }


_HOST = {
    "hostPaths": f"""\
!has(variables.pod.volumes) ? [] : variables.pod.volumes.filter(v, has(v.hostPath) && v.hostPath.path.size() < {MAX_PATH})
  .map(v, v.hostPath.path)""",
    "naming": f"""\
[variables.hostPaths.filter(p, p.contains('{DEVICE_SUBSTRING}'))].map(l, l.size() > {MAX_PATHS} ? l :
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
}
"""What a pod has of its host."""

_OWN = cel.amount(f"x.limits[{cel.text(EPC)}]")
_UNLIKELY = {
    "ownEpc": f"variables.limited.filter(x, {wants(EPC)})",
    "belowPage": f"""\
variables.ownEpc.filter(x, {_OWN}.compareTo(quantity('{EPC_PAGE}')) < 0)""",
    "unaccounted": f"""\
variables.limited.filter(x, {wants(ENCLAVE)} &&
  !{wants_any("names")})""",
    "strays": f"variables.limited.filter(x, x.limits.exists(n, {STRAY}))",
    "repeated": f"variables.limited.filter(x, variables.deviceNames.exists(n, {REPEATED}))",
    # What is larger may be no integer here, and its last page does not matter.
    "unaligned": f"""\
variables.ownEpc.filter(x, {_OWN}.compareTo(quantity('{EPC_PAGE}')) > 0 &&
  {_OWN}.compareTo(quantity('{canonical(MAX_COUNTED)}')) < 0 &&
  {_OWN}.isInteger() && {_OWN}.asInteger() % {EPC_PAGE} != 0)""",
}
"""What is asked for in an unlikely way."""


def variables(place: PodPlace, settings: Settings) -> dict[str, str]:
    """Who is concerned by what: lists of containers, each as a map of its name and its limits."""
    return {
        **_TABLES,
        **_containers(place),
        **_amounts(place),
        **_provisioning(place, settings),
        **_placing(place),
        **_HOST,
        **_UNLIKELY,
    }
