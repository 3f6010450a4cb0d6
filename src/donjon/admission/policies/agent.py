"""The policy that holds the node agent to its own node and to our keys.

Whoever may patch nodes may cordon others and change their addresses; RBAC cannot say "only your own, and only this". The name
of the agent's node stands in its token, which the kubelet gets for it.
"""

from donjon.admission.codes import AGENT_RULE
from donjon.admission.policies import cel
from donjon.admission.policies.accounts import NODE_VARIABLES, NODES, Account, leash
from donjon.formats.json import JsonObject
from donjon.kube.names import CONDITION_READY, EPC, NODE_LABELS

CLAIM = "authentication.kubernetes.io/node-name"
OWN_NODE = f"""\
has(request.userInfo.extra) && '{CLAIM}' in request.userInfo.extra
  ? string(request.userInfo.extra['{CLAIM}'][0]) : ''"""
"""The node that the token names, empty where it names none."""
WHO = "'the node agent of ' + (variables.node == '' ? 'no node (its token names none)' : 'node ' + variables.node)"


def hold_to_its_node(name: str, account: Account) -> tuple[JsonObject, JsonObject]:
    """The policy about the agent's account, and its binding."""
    variables = {"node": OWN_NODE, **NODE_VARIABLES, **_VARIABLES}
    return leash(name, account, NODES, variables=variables, who=WHO, code=AGENT_RULE)


_VARIABLES = {
    "reasons": f"""\
request.operation != 'UPDATE' ? [request.operation.lowerAscii() + ' nodes, only patch one'] :
  (variables.node == request.name ? [] : ['touch node ' + request.name]) +
  (dyn(object).spec == dyn(oldObject).spec ? [] : ['change spec (taints, cordon)']) +
  variables.labels.filter(k, !(k in {cel.strings(NODE_LABELS)})).map(k, 'change label ' + k) +
  variables.metadata.map(k, 'change metadata.' + k) +
  variables.status.map(k, 'change status.' + k) +
  variables.capacity.filter(k, k != '{EPC}').map(k, 'change capacity of ' + k) +
  variables.allocatable.filter(k, k != '{EPC}').map(k, 'change allocatable of ' + k) +
  (variables.conditions ? [] : ['change conditions other than {CONDITION_READY}'])"""
}
