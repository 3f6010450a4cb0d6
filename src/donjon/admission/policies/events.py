"""The policy that holds the node agent's Events to its own name, its own node, and the reasons that it has.

Events are read by people and by `donjon why`: whoever has one agent's token could tell of any pod, as any component. Which node
a pod is on no policy can look up, so that is for the reader: `donjon.diagnosis.running` believes an Event from the pod's own node
alone.

An Event has two forms (core/v1 and events.k8s.io/v1), which the API server turns into one another before it asks.
"""

from donjon.admission.codes import EVENT_RULE
from donjon.admission.policies import cel
from donjon.admission.policies.accounts import Account, leash
from donjon.admission.policies.agent import OWN_NODE, WHO
from donjon.formats.json import JsonObject
from donjon.kube.names import EVENT_COMPONENT, EVENT_REASONS

_EVENTS: JsonObject = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["events"]}


def hold_to_its_events(name: str, account: Account) -> tuple[JsonObject, JsonObject]:
    """The policy about the agent's Events, and its binding."""
    return leash(name, account, _EVENTS, variables=_VARIABLES, who=WHO, code=EVENT_RULE)


def _text(owner: str, field: str) -> str:
    return f"(has({owner}.{field}) ? string({owner}.{field}) : '')"


_COMPONENT = cel.text(EVENT_COMPONENT)

_VARIABLES = {
    "node": OWN_NODE,
    "event": "dyn(object)",
    "source": "has(variables.event.source) ? variables.event.source : {}",
    "components": f"[{_text('variables.event', 'reportingComponent')}, {_text('variables.source', 'component')}]",
    "hosts": f"[{_text('variables.event', 'reportingInstance')}, {_text('variables.source', 'host')}]",
    "reason": _text("variables.event", "reason"),
    "about": "variables.event.involvedObject",
    "kind": _text("variables.about", "kind"),
    "name": _text("variables.about", "name"),
    "version": _text("variables.about", "apiVersion"),
    "reasons": f"""\
request.operation != 'CREATE' ? [request.operation.lowerAscii() + ' Events, only create one'] :
  (variables.node != '' && variables.hosts.all(h, h == variables.node) ? [] : ['write an Event of another node']) +
  (variables.components.all(c, c == {_COMPONENT}) ? [] : ['write an Event of another component than {EVENT_COMPONENT}']) +
  (variables.reason in {cel.strings(EVENT_REASONS)} ? [] : ['give the reason ' + {cel.one_line("variables.reason")}]) +
  (variables.version == 'v1' && (variables.kind == 'Pod' || variables.kind == 'Node' && variables.name == variables.node) ? [] :
    ['write about ' + variables.kind + ' ' + variables.name])""",
}
