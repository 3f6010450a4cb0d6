"""What the policies about our own service accounts share: whose they are, how they refuse, and what a request changes in a node.

The right to patch nodes is the right to cordon them and to change their addresses. RBAC cannot say "only these keys": each
account of ours that has it is held by a policy that lists, as reasons, whatever else a request would do.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from donjon.admission.policies import cel
from donjon.admission.policies.objects import AdmissionPolicy, PolicyKind, binding, policy
from donjon.formats.json import JsonObject
from donjon.kube.names import CONDITION_READY

NODES: JsonObject = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["nodes", "nodes/*"]}

# The server itself writes these with every change.
_BOOKKEEPING = ("generation", "managedFields", "resourceVersion")
_STATUS_FIELDS = ("capacity", "allocatable", "conditions")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A service account of ours."""

    namespace: str
    name: str

    @property
    def username(self) -> str:
        """The account as the API server calls it."""
        return f"system:serviceaccount:{self.namespace}:{self.name}"


def leash(
    name: str, account: Account, matches: JsonObject, *, variables: Mapping[str, str], who: str, code: str
) -> tuple[JsonObject, JsonObject]:
    """The policy that refuses that account whatever `variables.reasons` lists, and its binding; `who` is its subject, in CEL."""
    about = AdmissionPolicy(
        kind=PolicyKind.VALIDATING,
        name=name,
        matches=(matches,),
        conditions={"account": f"request.userInfo.username == {cel.text(account.username)}"},
        variables=variables,
        must_answer=True,
    )
    reasons = cel.shorten("variables.reasons.join(', ')")
    message = f"{who} + ' may not ' + {reasons} + ' [{code}]'"
    validation: JsonObject = {"expression": "variables.reasons.size() == 0", "messageExpression": message, "reason": "Forbidden"}
    return policy(about, {"validations": [validation]}), binding(about, "Deny", "Audit")


def part(owner: str, field: str) -> str:
    """A map that may be missing."""
    return f"(has({owner}.{field}) ? {owner}.{field} : {{}})"


def _differences(left: str, right: str, *, may: tuple[str, ...] = ()) -> str:
    """The keys whose values differ between two maps, without those that may."""
    exempt = cel.strings(may)
    return f"""\
{left}.map(k, string(k)).filter(k, !(k in {exempt}) && !(k in {right} && {right}[k] == {left}[k])) +
{right}.map(k, string(k)).filter(k, !(k in {exempt}) && !(k in {left}))"""


def conditions(status: str, which: str) -> str:
    """The conditions of a node's status for which `which` holds of `c.type`."""
    return f"(has({status}.conditions) ? {status}.conditions : []).filter(c, c.type {which} '{CONDITION_READY}')"


def _resources(field: str) -> str:
    return _differences(part("variables.new", field), part("variables.old", field))


NODE_VARIABLES: Mapping[str, str] = {
    "new": "dyn(object).status",
    "old": "dyn(oldObject).status",
    "newLabels": part("dyn(object).metadata", "labels"),
    "oldLabels": part("dyn(oldObject).metadata", "labels"),
    "labels": _differences("variables.newLabels", "variables.oldLabels"),
    "metadata": _differences("dyn(object).metadata", "dyn(oldObject).metadata", may=("labels", *_BOOKKEEPING)),
    "status": _differences("variables.new", "variables.old", may=_STATUS_FIELDS),
    "capacity": _resources("capacity"),
    "allocatable": _resources("allocatable"),
    "conditions": f"{conditions('variables.new', '!=')} == {conditions('variables.old', '!=')}",
}
"""What a request would change in a node: keys of labels, metadata, status and resources, and whether others' conditions stay."""
