"""The nodes with SGX: whether each is ready itself, and what it offers."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

from donjon.diagnosis.commands import few
from donjon.diagnosis.installation import DonjonState, Row, RowState, StatusPart, unseen
from donjon.findings import Finding, codes
from donjon.fleet.placement import agent_codes, amount_text, never_had, node_trouble
from donjon.formats.json import JsonObject, at
from donjon.formats.words import recite
from donjon.kube.names import CONDITION_READY, ENCLAVE, EPC, LABEL_CAPABLE
from donjon.kube.objects import condition_of, labels_of, name_of
from donjon.kube.reserved import amounts, epc_offered
from donjon.kube.selection import not_tolerated


def nodes(here: DonjonState) -> StatusPart:
    """The nodes with SGX: what EPC each offers, and what its agent says of it."""
    if hidden := unseen("nodes", here.nodes):
        return hidden
    ours = nodes_with_sgx(here)
    rows = tuple(_rows(ours))
    offering = [epc for node in ours if (epc := epc_offered(node))]
    total = amount_text(EPC, sum(offering, Fraction(0)))
    plain = len(here.nodes.things) - len(ours)
    rest = (Row(name=f"{plain} without SGX", state=RowState.WELL, words="nothing to offer"),) if plain else ()
    shut = bool(offering) and all(_is_cordoned(node) for node in ours if epc_offered(node))
    summary = f"{len(offering)} of {len(here.nodes.things)} nodes offer {total} of EPC{', all of them cordoned' * shut}"
    findings = (*_silent(ours), *_of_nodes(ours, offering), *(_shut(ours) if shut else ()))
    return StatusPart(name="nodes", rows=(*rows, *rest), findings=findings, summary=summary)


def nodes_with_sgx(here: DonjonState) -> tuple[JsonObject, ...]:
    """The nodes that something says have SGX, or had it."""
    return tuple(sorted((node for node in here.nodes if _has_sgx(node)), key=name_of))


def _has_sgx(node: JsonObject) -> bool:
    """By its label, its EPC, an agent that does not say that there is none, or its kubelet, which remembers devices."""
    is_remembered = ENCLAVE in amounts(at(node, "status", "capacity"))
    is_marked = labels_of(node).get(LABEL_CAPABLE) == "true" or bool(epc_offered(node)) or is_remembered
    return is_marked or bool(condition_of(node, CONDITION_READY) and not never_had(node))


def names_text(things: Sequence[JsonObject]) -> str:
    """The names of a few, and how many more there are."""
    return few([name_of(each) for each in things])


def _silent(ours: Sequence[JsonObject]) -> Iterator[Finding]:
    """The nodes that are not ready themselves: what they and their agents said last may be true no more."""
    there = [node for node in ours if node_trouble(node)]
    if there:
        yield Finding.error(
            "DJ181",
            "nodes",
            f"{names_text(there)}: {node_trouble(there[0])}",
            "no pod comes there, and what the node and its agent said last may be true no more",
            f"kubectl describe node {name_of(there[0])}; on the node: systemctl status kubelet",
        )


def _of_nodes(ours: Sequence[JsonObject], offering: Sequence[Fraction]) -> Iterator[Finding]:
    awake = [node for node in ours if not node_trouble(node)]
    for state, report in ((RowState.WRONG, Finding.error), (RowState.DOUBTFUL, Finding.warning)):
        there = [node for node in awake if _offer_state(node) is state]
        if there:
            message = str(condition_of(there[0], CONDITION_READY).get("message") or "its agent has not said a word")
            yield report(
                "DJ179",
                "nodes",
                f"{names_text(there)} not ready for enclaves: {recite(message)}",
                "no new enclave comes there",
                f"do what the reason says; kubectl describe node {name_of(there[0])} has all of it",
            )
    if not offering and not any(_state(node) is RowState.WRONG for node in ours):
        yield Finding.warning(
            "DJ179",
            "nodes",
            "no node offers EPC",
            "no pod that asks for it can run",
            "add a node with SGX, or see what donjon doctor says on one that should have it",
        )


def _state(node: JsonObject) -> RowState:
    return RowState.WRONG if node_trouble(node) else _offer_state(node)


def _offer_state(node: JsonObject) -> RowState:
    """How bad it is that a node does not offer what it might: one that offered it before was meant to."""
    epc = epc_offered(node)
    if epc and condition_of(node, CONDITION_READY).get("status") == "True":
        return RowState.WELL
    return RowState.WRONG if epc or labels_of(node).get(LABEL_CAPABLE) == "true" else RowState.DOUBTFUL


def _shut(ours: Sequence[JsonObject]) -> Iterator[Finding]:
    there = [node for node in ours if epc_offered(node)]
    yield Finding.warning(
        "DJ182",
        "nodes",
        f"every node with EPC is cordoned: {names_text(there)}",
        "new pods that ask for EPC wait",
        f"kubectl uncordon {name_of(there[0])}, when whoever cordoned it is done",
    )


def _rows(ours: Sequence[JsonObject]) -> Iterator[Row]:
    """One a node; what many say is said once, so that many nodes stay readable."""
    first: dict[str, str] = {}
    for node in ours:
        row = _row(node)
        name = first.setdefault(row.words, row.name)
        yield row if name == row.name or row.state is RowState.WELL else replace(row, words=f"the same as {name}")


def _row(node: JsonObject) -> Row:
    state, epc = _state(node), epc_offered(node)
    offer = f"{amount_text(EPC, epc)} of EPC" if epc else "no EPC"
    return Row(name=name_of(node), state=state, words=node_trouble(node) or f"{offer}{_closed(node)}; {_word_of_agent(node)}")


def _word_of_agent(node: JsonObject) -> str:
    """What SGXReady says; of a node that is ready only the codes: notes change nothing, and a gap of the guard is told by itself.

    The agents repeat such a gap for up to a minute after it was mended.
    """
    condition = condition_of(node, CONDITION_READY)
    message = str(condition.get("message") or "nothing")
    if _offer_state(node) is not RowState.WELL:
        return f"{CONDITION_READY} {recite(condition.get('status') or 'not there')}: {recite(message)}"
    notes = ", ".join(sorted(agent_codes(node) - codes.OF_GUARD))
    return f"{CONDITION_READY} True{f' ({notes})' if notes else ''}"


def _closed(node: JsonObject) -> str:
    """What keeps new pods away, though the node offers EPC."""
    cordon = ("cordoned",) if _is_cordoned(node) else ()
    taints = [each for each in not_tolerated({}, node) if not each.startswith("node.kubernetes.io/")]
    return "".join(f"; {each}" for each in (*cordon, *(f"taint {each}" for each in taints)))


def _is_cordoned(node: JsonObject) -> bool:
    return at(node, "spec", "unschedulable") is True
