"""The rules of the table as CEL: when each holds, and its sentence with the holes filled."""

from collections.abc import Iterable

from donjon.admission.limits import MAX_CONTAINERS
from donjon.admission.policies import cel
from donjon.admission.policies.variables import BEYOND, REPEATED, STRAY
from donjon.admission.rule import AdmissionRule, Scope
from donjon.admission.rules import BY_HAND
from donjon.admission.settings import Settings
from donjon.kube.names import ENCLAVE


def holds(rule: AdmissionRule) -> str:
    """Whether the rule holds."""
    return rule.condition or f"variables.{rule.variable}.size() > 0"


def reasons(rules: Iterable[AdmissionRule], settings: Settings) -> dict[str, str]:
    """One variable more: the list of the sentences of all rules that hold; of too many containers that alone is said.

    A pod that does not ask may have any number of them; it comes here for nothing but the host's devices.
    """
    expressions = {rule: f"({holds(rule)} ?\n  [{sentence_expression(rule, settings.wired_by)}] : [])" for rule in rules}
    crowded, usual = (
        " +\n".join(expressions[rule] for scope in scopes for rule in expressions if rule.scope in scope)
        for scopes in (({Scope.CROWDED}, {Scope.ANY}), ({Scope.ANY, Scope.SMALL, Scope.ASKING},))
    )
    return {"reasons": f"variables.number > {MAX_CONTAINERS} ? {crowded} :\n{usual}"}


def sentence_expression(rule: AdmissionRule, wired_by: str = "") -> str:
    """The rule's sentence as an expression, its holes filled."""
    concerned = f"variables.{rule.variable}"
    quantities, excess, repeated = (
        f"variables.{names}.filter(n, {condition}).map(n, n + ': ' + string(x.limits[n])).join(' and ')"
        for names, condition in (("names", "n in x.limits"), ("countedNames", BEYOND), ("deviceNames", REPEATED))
    )
    holes = {
        "containers": cel.shorten(f"{concerned}.map(x, string(x.name)).join(', ')"),
        "quantities": cel.shorten(f"{concerned}.map(x, {quantities}).join(', ')"),
        "counted": cel.shorten(f"{concerned}.map(x, {excess}).join(', ')"),
        "repeated": cel.shorten(f"{concerned}.map(x, {repeated}).join(', ')"),
        "strays": cel.shorten(f"{concerned}.map(x, x.limits.filter(n, {STRAY}).map(n, string(n)).min()).join(', ')"),
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
