"""The mutating policy: every name of EPC becomes `sgx.intel.com/epc`, and EPC brings its enclave device.

One JSONPatch for the whole pod, made only of steps that cannot fail: a runtime error would show the user the whole expression.
A container whose amounts cannot be counted, or disagree, stays as it came; the refusing policy speaks of it in words.
"""

from collections.abc import Mapping

from donjon.admission.limits import BOUNDS, MAX_CONTAINERS, MAX_COUNTED
from donjon.admission.policies import cel
from donjon.admission.policies.objects import PODS, AdmissionPolicy, PolicyKind, binding, policy
from donjon.formats.json import JsonObject
from donjon.kube.names import (
    AESM_FOLDER,
    AESM_PLACES,
    AESM_READY,
    AESM_VARIABLE,
    AESM_VOLUME,
    AESMD,
    ANNOTATION_EPC,
    ANNOTATION_QUOTE_PROVIDER,
    ENCLAVE,
    EPC,
    EPC_UNITS,
    FOREIGN_EPC,
    LABEL_AESM,
    PROVISION,
    RUN_FOLDERS,
)
from donjon.kube.quantities import canonical

SUFFIXES = {name: canonical(unit).removeprefix("1") for name, unit in FOREIGN_EPC.items()}
"""The foreign names with the suffix that turns their number into bytes: 10 of them are `10Mi`."""
MOST = {name: BOUNDS[name] - 1 for name in FOREIGN_EPC}
"""The foreign names with the largest number that is not too much: what is more stays under the name by which it is refused."""

_EPC, _ENCLAVE, _PROVISION, _FOREIGN = cel.text(EPC), cel.text(ENCLAVE), cel.text(PROVISION), cel.strings(FOREIGN_EPC)
_ANNOTATION, _PROVIDER = cel.text(ANNOTATION_EPC), cel.text(ANNOTATION_QUOTE_PROVIDER)
_MOUNT = f"Object.spec.containers.volumeMounts{{name: '{AESM_VOLUME}', mountPath: '{AESM_FOLDER}'}}"
_VARIABLE = f"Object.spec.containers.env{{name: '{AESM_VARIABLE}', value: '1'}}"
# The taints that the pod tolerates whatever their value; no name stands for all of them.
_TOLERATED = """\
(!has(object.spec.tolerations) ? [] : object.spec.tolerations
    .filter(t, has(t.operator) && t.operator == 'Exists' && (!has(t.effect) || t.effect == 'NoSchedule'))
    .map(t, has(t.key) ? t.key : ''))"""
_CONTAINERS = "(object.spec.containers + (has(object.spec.initContainers) ? object.spec.initContainers : []))"

_ASKS = f"""\
{_CONTAINERS}.exists(c, has(c.resources) && has(c.resources.limits) && (
  {cel.any_of(f"{cel.text(name)} in c.resources.limits" for name in EPC_UNITS)}))"""
# More than that would exceed the budget for CEL; the refusing policy has words for it.
_FEW_CONTAINERS = f"""\
object.spec.containers.size() + (has(object.spec.initContainers) ? object.spec.initContainers.size() : 0) <= {MAX_CONTAINERS}"""

# `IfNeeded` asks again after our own change. By then a pod with one container that asks is finished, and is seen to be so here
# for little; of others the patch is empty.
_UNFINISHED = f"""\
!(has(object.metadata.annotations) && {_ANNOTATION} in object.metadata.annotations &&
  !({_PROVIDER} in object.metadata.annotations) &&
  {_CONTAINERS}.filter(c, has(c.resources) && has(c.resources.limits) && (
    {cel.any_of(f"{cel.text(name)} in c.resources.limits" for name in EPC_UNITS)}))
  .map(c, {_EPC} in c.resources.limits && {_ENCLAVE} in c.resources.limits &&
    !{_FOREIGN}.exists(n, n in c.resources.limits) &&
    string(c.resources.limits[{_EPC}]) == object.metadata.annotations[{_ANNOTATION}]) == [true] &&
  [{_TOLERATED}].all(l, '' in l || {cel.strings(EPC_UNITS)}.all(n, n in l)) &&
  !(has(object.spec.volumes) && object.spec.volumes.exists(v, has(v.hostPath))))"""

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

# The devices that container i lacks; a container that is its own quote provider gets the provisioning one.
_LACKS = f"""\
variables.containers.map(c, !(has(c.resources) && has(c.resources.limits) && has(c.resources.requests)) ? [] :
  ([{_ENCLAVE}] + (c.name == variables.provider ? [{_PROVISION}] : []))
    .filter(n, !(n in c.resources.limits) && !(n in c.resources.requests)))"""

_PLACES = """\
lists.range(variables.containers.size()).map(i, i < object.spec.containers.size()
  ? '/spec/containers/' + string(i)
  : '/spec/initContainers/' + string(i - object.spec.containers.size()))"""

# -1 for what cannot be counted: it disagrees, is a fraction, or so large that CEL may take it for no integer.
_BYTES = f"""\
lists.range(variables.containers.size()).map(i, variables.amounts[i].size() == 0 ? 0 :
  i in variables.agreed && quantity(variables.amounts[i][0]).isInteger() &&
    quantity(variables.amounts[i][0]).compareTo(quantity('{canonical(MAX_COUNTED)}')) < 0
    ? quantity(variables.amounts[i][0]).asInteger() : -1)"""

# As Kubernetes counts: containers and what stays beside them add up, the others run one by one before them.
_TOTAL = """\
variables.bytes.exists(b, b < 0) ? 0 :
  ([variables.bytes.slice(0, object.spec.containers.size()).sum() + variables.beside.sum()] +
  lists.range(variables.beside.size()).map(i,
    variables.bytes[object.spec.containers.size() + i] + variables.beside.slice(0, i).sum())).max()"""
_BESIDE = """\
lists.range(variables.containers.size() - object.spec.containers.size()).map(i,
  variables.containers[object.spec.containers.size() + i].?restartPolicy.orValue('') == 'Always'
    ? variables.bytes[object.spec.containers.size() + i] : 0)"""


def _canonical(number: str) -> str:
    """The canonical form of a positive whole number."""
    form = f"string({number})"
    for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi"), start=1):
        unit = 1 << (10 * power)
        form = f"{number} % {unit} == 0 ? string({number} / {unit}) + '{suffix}' :\n  {form}"
    return form


_RESOURCES = f"""\
variables.agreed.map(i, ['limits', 'requests'].map(f,
  variables.foreign.filter(n, n in variables.containers[i].resources.limits).map(n,
    JSONPatch{{op: 'remove', path: variables.places[i] + '/resources/' + f + '/' + jsonpatch.escapeKey(n)}}) +
  ({_EPC} in variables.containers[i].resources.limits ? [] :
    [JSONPatch{{op: 'add', path: variables.places[i] + '/resources/' + f + '/' + jsonpatch.escapeKey({_EPC}),
      value: variables.amounts[i][0]}}]) +
  (i in variables.wanting ? variables.lacks[i].map(n,
    JSONPatch{{op: 'add', path: variables.places[i] + '/resources/' + f + '/' + jsonpatch.escapeKey(n), value: '1'}}) : [])
).flatten()).flatten()"""

_ANNOTATED = f"""\
variables.total == 0 || {_ANNOTATION} in variables.annotations && variables.annotations[{_ANNOTATION}] == variables.printed ? [] :
  (has(object.metadata.annotations) ? [] : [JSONPatch{{op: 'add', path: '/metadata/annotations', value: {{}}}}]) +
  [JSONPatch{{op: 'add', path: '/metadata/annotations/' + jsonpatch.escapeKey({_ANNOTATION}), value: variables.printed}}]"""

_TOLERATING = """\
(variables.untolerated.size() == 0 || has(object.spec.tolerations) ? [] :
    [JSONPatch{op: 'add', path: '/spec/tolerations', value: []}]) +
  variables.untolerated.map(n, JSONPatch{op: 'add', path: '/spec/tolerations/-',
    value: Object.spec.tolerations{key: n, operator: 'Exists', effect: 'NoSchedule'}})"""
_UNTOLERATED = f"'' in variables.tolerated ? [] : {cel.strings(EPC_UNITS)}.filter(n, !(n in variables.tolerated))"

# The names of the volumes that are all of the host's /run, and the containers that have one of them at its own place.
_RUN = f"""\
!has(object.spec.volumes) ? [] :
  object.spec.volumes.filter(v, has(v.hostPath) && v.hostPath.path in {cel.strings(RUN_FOLDERS)}).map(v, v.name)"""
_HAVE_RUN = f"""\
variables.run.size() == 0 ? [] : variables.wanting.filter(i, has(variables.containers[i].volumeMounts) &&
  variables.containers[i].volumeMounts.exists(m, m.mountPath in {cel.strings(RUN_FOLDERS)} && m.name in variables.run))"""
_UNMOUNTED = f"""\
variables.wanting.filter(i, !(i in variables.haveRun) && (!has(variables.containers[i].volumeMounts) ||
  !variables.containers[i].volumeMounts.exists(m, m.mountPath in {cel.strings(AESM_PLACES)})))"""
_UNNAMED = f"""\
variables.wanting.filter(i, !has(variables.containers[i].env) ||
  !variables.containers[i].env.exists(e, e.name == '{AESM_VARIABLE}'))"""
_LACKS_VOLUME = f"""\
variables.unmounted.size() > 0 && !(has(object.spec.volumes) && object.spec.volumes.exists(v, v.name == '{AESM_VOLUME}'))"""
_BRINGS_AESM = f"variables.containers.exists(c, c.name == '{AESMD}')"
_BESIDE_AESM = f"""\
variables.wanting.size() > 1 && variables.wanting.exists(i, variables.containers[i].name == '{AESMD}')"""
_OF_THE_NODE = f"""\
variables.provider == '{AESMD}' && variables.lacksVolume && !variables.besideAesm || variables.haveRun.size() > 0 ||
  has(object.spec.volumes) && object.spec.volumes.exists(v, has(v.hostPath) && v.hostPath.path in {cel.strings(AESM_PLACES)})"""


def _into(field: str, indices: str, entry: str) -> str:
    """Append to a list of each of those containers, made where it is missing."""
    return f"""\
variables.{indices}.map(i,
      (has(variables.containers[i].{field}) ? [] : [JSONPatch{{op: 'add', path: variables.places[i] + '/{field}', value: []}}]) +
      [JSONPatch{{op: 'add', path: variables.places[i] + '/{field}/-', value: {entry}}}]).flatten()"""


_QUOTING = f"""\
(variables.provider != '{AESMD}' ? [] :
    (!variables.lacksVolume ? [] :
      (has(object.spec.volumes) ? [] : [JSONPatch{{op: 'add', path: '/spec/volumes', value: []}}]) +
      [variables.besideAesm
        ? JSONPatch{{op: 'add', path: '/spec/volumes/-', value: Object.spec.volumes{{name: '{AESM_VOLUME}',
            emptyDir: Object.spec.volumes.emptyDir{{medium: 'Memory'}}}}}}
        : JSONPatch{{op: 'add', path: '/spec/volumes/-', value: Object.spec.volumes{{name: '{AESM_VOLUME}',
            hostPath: Object.spec.volumes.hostPath{{path: '{AESM_FOLDER}', type: 'DirectoryOrCreate'}}}}}}]) +
    {_into("volumeMounts", "unmounted", _MOUNT)} +
    {_into("env", "unnamed", _VARIABLE)}) +
  (!variables.ofTheNode || variables.bringsAesm ||
      has(object.spec.nodeSelector) && '{LABEL_AESM}' in object.spec.nodeSelector ? [] :
    (has(object.spec.nodeSelector) ? [] : [JSONPatch{{op: 'add', path: '/spec/nodeSelector', value: {{}}}}]) +
    [JSONPatch{{op: 'add', path: '/spec/nodeSelector/' + jsonpatch.escapeKey('{LABEL_AESM}'), value: '{AESM_READY}'}}])"""

# JSONPatch is known to the mutation's own expression alone, not to variables.
_PATCH = f"""\
{_RESOURCES} +
(variables.wanting.size() == 0 ? [] :
  ({_ANNOTATED}) +
  {_TOLERATING} +
  {_QUOTING})"""


WIRE_CONDITIONS: Mapping[str, str] = {"asks": _ASKS, "counted": _FEW_CONTAINERS, "unfinished": _UNFINISHED}
"""Which pods are wired: those that ask and are not done yet."""


def wire(name: str) -> tuple[JsonObject, JsonObject]:
    """The policy that wires pods, and its binding."""
    about = AdmissionPolicy(
        kind=PolicyKind.MUTATING,
        name=name,
        matches=(PODS,),
        conditions=WIRE_CONDITIONS,
        variables={
            "foreign": _FOREIGN,
            "suffix": cel.string_map(SUFFIXES),
            "most": cel.string_map(MOST),
            "containers": _CONTAINERS,
            "annotations": "has(object.metadata.annotations) ? object.metadata.annotations : {}",
            "provider": f"{_PROVIDER} in variables.annotations ? variables.annotations[{_PROVIDER}] : ''",
            "amounts": _AMOUNTS,
            "agreed": _AGREED,
            "wanting": "variables.agreed.filter(i, sign(quantity(variables.amounts[i][0])) > 0)",
            "lacks": _LACKS,
            "places": _PLACES,
            "bytes": _BYTES,
            "beside": _BESIDE,
            "total": _TOTAL,
            "printed": _canonical("variables.total"),
            "tolerated": _TOLERATED,
            "untolerated": _UNTOLERATED,
            "run": _RUN,
            "haveRun": _HAVE_RUN,
            "unmounted": _UNMOUNTED,
            "unnamed": _UNNAMED,
            "lacksVolume": _LACKS_VOLUME,
            "besideAesm": _BESIDE_AESM,
            "bringsAesm": _BRINGS_AESM,
            "ofTheNode": _OF_THE_NODE,
        },
        must_answer=True,
    )
    patch: JsonObject = {"patchType": "JSONPatch", "jsonPatch": {"expression": _PATCH}}
    return policy(about, {"reinvocationPolicy": "IfNeeded", "mutations": [patch]}), binding(about)
