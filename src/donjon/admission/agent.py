"""The policy that holds the node agent to its own node and to our keys.

Whoever may patch nodes may cordon others and change their addresses; RBAC cannot say "only your own, and only this". The name
of the agent's node stands in its token, which the kubelet gets for it. The account of the uninstall hook is another one, so
this policy does not concern it.
"""

from dataclasses import dataclass

from donjon.admission import cel
from donjon.admission.objects import Kind, Policy, binding, policy
from donjon.admission.rules import AGENT_RULE
from donjon.kube.json import JsonObject
from donjon.kube.names import CONDITION_READY, EPC, NODE_LABELS

NODES: JsonObject = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["nodes", "nodes/*"]}
CLAIM = "authentication.kubernetes.io/node-name"

# The server itself writes these with every change.
_BOOKKEEPING = ("generation", "managedFields", "resourceVersion")
_PATCHED = ("capacity", "allocatable", "conditions")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The service account of the node agent."""

    namespace: str
    name: str

    @property
    def username(self) -> str:
        """The account as the API server calls it."""
        return f"system:serviceaccount:{self.namespace}:{self.name}"


def hold_to_its_node(name: str, account: Account) -> tuple[JsonObject, JsonObject]:
    """The policy about the agent's account, and its binding."""
    about = Policy(
        kind=Kind.VALIDATING,
        name=name,
        matches=(NODES,),
        conditions={"nodeAgent": f"request.userInfo.username == {cel.text(account.username)}"},
        variables=_VARIABLES,
        must_answer=True,
    )
    said = (
        "'the node agent of ' + (variables.node == '' ? 'no node (its token names none)' : 'node ' + variables.node) + "
        f"' may not ' + {_REASONS} + ' [{AGENT_RULE}]'"
    )
    validation: JsonObject = {"expression": "variables.reasons.size() == 0", "messageExpression": said, "reason": "Forbidden"}
    return policy(about, {"validations": [validation]}), binding(about, "Deny", "Audit")


_REASONS = cel.shortened("variables.reasons.join(', ')")


def _part(owner: str, field: str) -> str:
    return f"(has({owner}.{field}) ? {owner}.{field} : {{}})"


def _changed(left: str, right: str, *, may: tuple[str, ...]) -> str:
    """The keys whose values differ between two maps, without those that may."""
    allowed = cel.listed(may)
    return f"""\
{left}.map(k, string(k)).filter(k, !(k in {allowed}) && !(k in {right} && {right}[k] == {left}[k])) +
{right}.map(k, string(k)).filter(k, !(k in {allowed}) && !(k in {left}))"""


def _conditions(status: str) -> str:
    return f"(has({status}.conditions) ? {status}.conditions : []).filter(c, c.type != '{CONDITION_READY}')"


def _resources(field: str) -> str:
    return _changed(_part("variables.new", field), _part("variables.old", field), may=(EPC,))


_VARIABLES = {
    "node": f"""\
has(request.userInfo.extra) && '{CLAIM}' in request.userInfo.extra
  ? string(request.userInfo.extra['{CLAIM}'][0]) : ''""",
    "new": "dyn(object).status",
    "old": "dyn(oldObject).status",
    "newLabels": _part("dyn(object).metadata", "labels"),
    "oldLabels": _part("dyn(oldObject).metadata", "labels"),
    "labels": _changed("variables.newLabels", "variables.oldLabels", may=NODE_LABELS),
    "metadata": _changed("dyn(object).metadata", "dyn(oldObject).metadata", may=("labels", *_BOOKKEEPING)),
    "status": _changed("variables.new", "variables.old", may=_PATCHED),
    "capacity": _resources("capacity"),
    "allocatable": _resources("allocatable"),
    "conditions": f"{_conditions('variables.new')} == {_conditions('variables.old')}",
    "reasons": """\
request.operation != 'UPDATE' ? [request.operation.lowerAscii() + ' nodes, only patch one'] :
  (variables.node == request.name ? [] : ['touch node ' + request.name]) +
  (dyn(object).spec == dyn(oldObject).spec ? [] : ['change spec (taints, cordon)']) +
  variables.labels.map(k, 'change label ' + k) +
  variables.metadata.map(k, 'change metadata.' + k) +
  variables.status.map(k, 'change status.' + k) +
  variables.capacity.map(k, 'change capacity of ' + k) +
  variables.allocatable.map(k, 'change allocatable of ' + k) +
  (variables.conditions ? [] : ['change conditions other than SGXReady'])""",
}
