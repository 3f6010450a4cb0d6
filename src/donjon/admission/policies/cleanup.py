"""The policy that lets the account of the uninstall hook take away what the agents wrote, on every node, and do nothing else.

It is installed with the agents and goes last, so it holds the account also where Helm died between the hook and the end.
"""

from donjon.admission.codes import CLEANUP_RULE
from donjon.admission.policies import cel
from donjon.admission.policies.accounts import NODE_VARIABLES, NODES, Account, conditions, leash, part
from donjon.formats.json import JsonObject
from donjon.kube.names import CONDITION_READY, EPC, NODE_LABELS


def hold_to_taking_away(name: str, account: Account) -> tuple[JsonObject, JsonObject]:
    """The policy about the cleanup's account, and its binding."""
    variables = {**NODE_VARIABLES, **_VARIABLES}
    return leash(name, account, NODES, variables=variables, who="'the cleanup account'", code=CLEANUP_RULE)


def _resource_reasons(field: str) -> str:
    """What a resource list would have changed, EPC that is gone left out."""
    return f"variables.{field}.filter(k, k != '{EPC}' || k in {part('variables.new', field)}).map(k, 'change {field} of ' + k)"


_READY_NOW, _READY_BEFORE = conditions("variables.new", "=="), conditions("variables.old", "==")

_VARIABLES = {
    "reasons": f"""\
request.operation != 'UPDATE' ? [request.operation.lowerAscii() + ' nodes, only patch them'] :
  (dyn(object).spec == dyn(oldObject).spec ? [] : ['change spec (taints, cordon)']) +
  variables.labels.filter(k, !(k in {cel.strings(NODE_LABELS)}) || k in variables.newLabels).map(k, 'change label ' + k) +
  variables.metadata.map(k, 'change metadata.' + k) +
  variables.status.map(k, 'change status.' + k) +
  {_resource_reasons("capacity")} +
  {_resource_reasons("allocatable")} +
  (variables.conditions ? [] : ['change conditions other than {CONDITION_READY}']) +
  ({_READY_NOW}.all(c, {_READY_BEFORE}.exists(o, o == c)) ? [] : ['write {CONDITION_READY}'])"""
}
