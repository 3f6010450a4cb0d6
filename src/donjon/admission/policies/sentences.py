"""The rules of the table as CEL: when each holds, and its sentence with the holes filled."""

from collections.abc import Iterable, Mapping

from donjon.admission.policies import cel
from donjon.admission.policies.variables import BEYOND, REPEATED
from donjon.admission.rules import BY_HAND, HOST_DEVICES, MAX_CONTAINERS, AdmissionRule
from donjon.admission.settings import Settings
from donjon.kube.names import AESMD, ENCLAVE

_CONCERNED: Mapping[str, str] = {
    "DJ101": "unwired",
    "DJ102": "foreign",
    "DJ103": "tooMuch",
    "DJ104": "provision",
    "DJ106": "differing",
    "DJ107": "belowPage",
    "DJ108": "unaccounted",
    "DJ109": "unaligned",
    "DJ115": "privileged",
    "DJ117": "repeated",
}
"""The rules about containers with the variable that lists those concerned."""

_HOLDS: Mapping[str, str] = {
    "DJ104": "variables.provision.size() > 0 && !variables.mayProvision",
    "DJ105": "variables.asks && variables.nodeName != '' && !variables.mirrors",
    "DJ111": "variables.asks && variables.windows",
    "DJ112": f"""\
variables.wantsEpc && variables.provider != '' && variables.provider != '{AESMD}' &&
  !variables.all.exists(c, c.name == variables.provider)""",
    "DJ113": f"variables.number > {MAX_CONTAINERS} && (variables.devices.size() == 0 || variables.asks)",
    "DJ114": "variables.devices.size() > 0",
    "DJ115": "variables.asks && variables.privileged.size() > 0",
    "DJ116": "object.kind == 'DaemonSet' && variables.wantsEpc && variables.anywhere",
}
"""When the rules hold that do not simply hold where a container is concerned."""


def holds(rule: AdmissionRule) -> str:
    """Whether the rule holds."""
    return _HOLDS.get(rule.code) or f"variables.{_CONCERNED[rule.code]}.size() > 0"


def reasons(rules: Iterable[AdmissionRule], settings: Settings) -> dict[str, str]:
    """One variable more: the list of the sentences of all rules that hold; of too many containers that alone is said.

    A pod that does not ask may have any number of them; it comes here for nothing but the host's devices.
    """
    expressions = {rule.code: f"({holds(rule)} ?\n  [{sentence_expression(rule, settings.wired_by)}] : [])" for rule in rules}
    alone = expressions.pop("DJ113")
    if HOST_DEVICES in expressions:
        alone = f"{alone} +\n{expressions[HOST_DEVICES]}"
    return {"reasons": f"variables.number > {MAX_CONTAINERS} ? {alone} :\n" + " +\n".join(expressions.values())}


def sentence_expression(rule: AdmissionRule, wired_by: str = "") -> str:
    """The rule's sentence as an expression, its holes filled."""
    concerned = f"variables.{_CONCERNED.get(rule.code, 'limited')}"
    quantities, excess, repeated = (
        f"variables.{names}.filter(n, {condition}).map(n, n + ': ' + string(x.limits[n])).join(' and ')"
        for names, condition in (("names", "n in x.limits"), ("countedNames", BEYOND), ("deviceNames", REPEATED))
    )
    holes = {
        "containers": cel.shorten(f"{concerned}.map(x, string(x.name)).join(', ')"),
        "quantities": cel.shorten(f"{concerned}.map(x, {quantities}).join(', ')"),
        "counted": cel.shorten(f"{concerned}.map(x, {excess}).join(', ')"),
        "repeated": cel.shorten(f"{concerned}.map(x, {repeated}).join(', ')"),
        "namespace": "request.namespace",
        "node": "variables.nodeName",
        "provider": cel.one_line(cel.shorten("variables.provider")),
        "number": "string(variables.number)",
        "devices": cel.one_line(cel.shorten("variables.devices.join(', ')")),
        "wiring": cel.text(wired_by),
    }
    sentence = cel.sentence(rule.sentence, holes)
    if rule.code != BY_HAND.code:
        return sentence
    by_hand = f"{concerned}.all(x, {cel.text(ENCLAVE)} in x.limits)"
    return f"({by_hand} ? {cel.sentence(BY_HAND.sentence, holes)} : {sentence})"
