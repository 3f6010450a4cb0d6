"""The mutating policy: every name of EPC becomes `sgx.intel.com/epc`, and EPC brings its enclave device.

One JSONPatch for the whole pod, made only of steps that cannot fail: a runtime error would show the user the whole expression.
A container whose amounts cannot be counted, or disagree, stays as it came; the refusing policy speaks of it in words.
"""

from donjon.admission import cel
from donjon.admission.objects import PODS, Kind, Policy, binding, policy
from donjon.kube.json import JsonObject
from donjon.kube.names import ENCLAVE, EPC, FOREIGN_EPC
from donjon.kube.quantities import MAX, canonical

SUFFIXES = {name: canonical(unit).removeprefix("1") for name, unit in FOREIGN_EPC.items()}
"""The foreign names with the suffix that turns their number into bytes: 10 of them are `10Mi`."""
MOST = {name: MAX // unit for name, unit in FOREIGN_EPC.items()}
"""The foreign names with the largest number whose bytes an int64 holds."""

_EPC, _ENCLAVE, _FOREIGN = cel.text(EPC), cel.text(ENCLAVE), cel.listed(FOREIGN_EPC)
_CONTAINERS = "(object.spec.containers + (has(object.spec.initContainers) ? object.spec.initContainers : []))"

# `IfNeeded` asks the policy again after its own change; a wired pod does not match, so the second time costs little.
_UNWIRED = f"""\
{_CONTAINERS}.exists(c, has(c.resources) && has(c.resources.limits) && (
  {cel.any_of(f"{cel.text(name)} in c.resources.limits" for name in FOREIGN_EPC)} ||
  {_EPC} in c.resources.limits && !({_ENCLAVE} in c.resources.limits)))"""

# The API server has copied limits to requests before it asks us. Where they differ all the same, core validation says so,
# provided that we leave them alone.
_FITS = """\
n in c.resources.requests &&
        quantity(string(c.resources.requests[n])).compareTo(quantity(string(c.resources.limits[n]))) == 0 &&
        quantity(string(c.resources.limits[n])).isInteger() &&
        quantity(string(c.resources.limits[n])).asInteger() >= 0 &&
        quantity(string(c.resources.limits[n])).asInteger() <= variables.most[n]"""

# Per container the amounts it states, in bytes and its own name first; -1 for one that cannot be taken.
_AMOUNTS = f"""\
variables.containers.map(c, !(has(c.resources) && has(c.resources.limits) && has(c.resources.requests)) ? [] :
  ({_EPC} in c.resources.limits ? [string(c.resources.limits[{_EPC}])] : {_EPC} in c.resources.requests ? ['-1'] : []) +
  variables.foreign.filter(n, n in c.resources.limits).map(n,
    {_FITS}
      ? string(quantity(string(c.resources.limits[n])).asInteger()) + variables.suffix[n]
      : '-1'))"""

_AGREED = """\
lists.range(variables.containers.size()).filter(i, variables.amounts[i].size() > 0 && variables.amounts[i].all(a,
  sign(quantity(a)) >= 0 && quantity(a).compareTo(quantity(variables.amounts[i][0])) == 0))"""

_NEEDS_DEVICE = f"""\
variables.containers.map(c, has(c.resources) && has(c.resources.limits) && has(c.resources.requests) &&
  !({_ENCLAVE} in c.resources.limits) && !({_ENCLAVE} in c.resources.requests))"""

_PATHS = """\
lists.range(variables.containers.size()).map(i, i < object.spec.containers.size()
  ? '/spec/containers/' + string(i) + '/resources/'
  : '/spec/initContainers/' + string(i - object.spec.containers.size()) + '/resources/')"""

_PATCH = f"""\
variables.agreed.map(i, ['limits', 'requests'].map(f,
  variables.foreign.filter(n, n in variables.containers[i].resources.limits).map(n,
    JSONPatch{{op: 'remove', path: variables.paths[i] + f + '/' + jsonpatch.escapeKey(n)}}) +
  ({_EPC} in variables.containers[i].resources.limits ? [] :
    [JSONPatch{{op: 'add', path: variables.paths[i] + f + '/' + jsonpatch.escapeKey({_EPC}), value: variables.amounts[i][0]}}]) +
  (variables.needsDevice[i] && sign(quantity(variables.amounts[i][0])) > 0 ?
    [JSONPatch{{op: 'add', path: variables.paths[i] + f + '/' + jsonpatch.escapeKey({_ENCLAVE}), value: '1'}}] : [])
).flatten()).flatten()"""


def wire(name: str) -> tuple[JsonObject, JsonObject]:
    """The policy that wires pods, and its binding."""
    about = Policy(
        kind=Kind.MUTATING,
        name=name,
        matches=(PODS,),
        conditions={"unwired": _UNWIRED},
        variables={
            "foreign": _FOREIGN,
            "suffix": cel.mapped(SUFFIXES),
            "most": cel.mapped(MOST),
            "containers": _CONTAINERS,
            "amounts": _AMOUNTS,
            "agreed": _AGREED,
            "needsDevice": _NEEDS_DEVICE,
            "paths": _PATHS,
        },
        must_answer=True,
    )
    patch: JsonObject = {"patchType": "JSONPatch", "jsonPatch": {"expression": _PATCH}}
    return policy(about, {"reinvocationPolicy": "IfNeeded", "mutations": [patch]}), binding(about)
