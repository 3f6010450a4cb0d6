"""Where a pod stands, by itself or in a workload's template, as CEL: what one policy says of both, and what each says alone."""

from dataclasses import dataclass

from donjon.admission.policies import cel
from donjon.kube.names import ANNOTATION_MIRROR, ENCLAVE, EPC, NODES, PROVISION


@dataclass(frozen=True, slots=True, kw_only=True)
class PodPlace:
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


POD = PodPlace(
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
_IS_WIRED = f"""\
variables.foreignNames.all(n, !(n in x.limits) ||
      {cel.amount("x.limits[n]")}.isInteger() && {cel.amount("x.limits[n]")}.asInteger() <= variables.most[n]) &&
    [variables.names.filter(n, n in x.limits).map(n, n == {cel.text(EPC)} ? string(x.limits[n]) :
      string({cel.amount("x.limits[n]")}.asInteger()) + variables.suffix[n])]
      .all(l, l.all(b, {cel.amount("b")}.compareTo({cel.amount("l[0]")}) == 0))"""

# A template is not wired yet: only one that says itself that it wants no device will come out without it.
_TEMPLATE = "(object.kind == 'CronJob' ? dyn(object).spec.jobTemplate : dyn(object)).spec.template"
TEMPLATE = PodPlace(
    spec=f"{_TEMPLATE}.spec",
    annotations=f"has({_TEMPLATE}.metadata) && has({_TEMPLATE}.metadata.annotations) ? {_TEMPLATE}.metadata.annotations : {{}}",
    provision=f"""\
({wants(PROVISION)} ||
    x.name == variables.provider && !({cel.text(PROVISION)} in x.limits) && {wants_any("names")} && {_IS_WIRED})""",
    unwired=f"{wants_any('names')} && {cel.text(ENCLAVE)} in x.limits && !{wants(ENCLAVE)}",
    foreign="false",
    mirrors="false",
)
