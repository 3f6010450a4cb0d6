"""The nodes with SGX: whether each is ready itself, and what it offers."""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from donjon.diagnosis.installation import DonjonState, Row, RowState, StatusPart, unseen
from donjon.findings import Finding, codes
from donjon.fleet.placement import amount_text, node_trouble
from donjon.formats.json import Json, JsonObject, at, objects
from donjon.kube.names import CONDITION_READY, EPC, LABEL_CAPABLE
from donjon.kube.reserved import amounts

MAX_NAMES = 3
"""Nodes or pods that a sentence names; the rows have all of them."""


def nodes(here: DonjonState) -> StatusPart:
    """The nodes with SGX: what EPC each offers, and what its agent says of it."""
    if hidden := unseen("nodes", here.nodes):
        return hidden
    ours = nodes_with_sgx(here)
    rows = tuple(_row(node) for node in ours)
    offering = [epc for node in ours if (epc := _epc(node))]
    total = amount_text(EPC, sum(offering, Fraction(0)))
    plain = len(here.nodes.things) - len(ours)
    rest = (Row(name=f"{plain} without SGX", state=RowState.WELL, words="nothing to offer"),) if plain else ()
    summary = f"{len(offering)} of {len(here.nodes.things)} nodes offer {total} of EPC"
    findings = (*_silent(ours), *_of_nodes(ours, offering))
    return StatusPart(name="nodes", rows=(*rows, *rest), findings=findings, summary=summary)


def nodes_with_sgx(here: DonjonState) -> tuple[JsonObject, ...]:
    """The nodes that something says have SGX: their label, EPC, or an agent that does not say that there is none."""
    ours = (
        node
        for node in here.nodes
        if at(node, "metadata", "labels", LABEL_CAPABLE) == "true" or _epc(node) or (_condition(node) and not _never_had(node))
    )
    return tuple(sorted(ours, key=name_of))


def name_of(thing: JsonObject) -> str:
    """The name of a node or of anything else."""
    return str(at(thing, "metadata", "name") or "")


def labels_of(node: JsonObject) -> Mapping[str, Json]:
    """A node's labels."""
    labels = at(node, "metadata", "labels")
    return labels if isinstance(labels, dict) else {}


def names_text(things: Sequence[JsonObject]) -> str:
    """The names of a few, and how many more there are."""
    names = ", ".join(name_of(each) for each in things[:MAX_NAMES])
    return f"{names} and {len(things) - MAX_NAMES} more" if len(things) > MAX_NAMES else names


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
            message = str(_condition(there[0]).get("message") or "its agent has not said a word")
            yield report(
                "DJ179",
                "nodes",
                f"{names_text(there)} not ready for enclaves: {message}",
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
    epc = _epc(node)
    if epc and _condition(node).get("status") == "True":
        return RowState.WELL
    return RowState.WRONG if epc or at(node, "metadata", "labels", LABEL_CAPABLE) == "true" else RowState.DOUBTFUL


def _row(node: JsonObject) -> Row:
    condition, epc = _condition(node), _epc(node)
    offer = f"{amount_text(EPC, epc)} of EPC" if epc else "no EPC"
    words = f"{offer}; {CONDITION_READY} {condition.get('status') or 'not there'}: {condition.get('message') or 'nothing'}"
    return Row(name=name_of(node), state=_state(node), words=node_trouble(node) or words)


def _condition(node: JsonObject) -> JsonObject:
    return next((each for each in objects(at(node, "status", "conditions")) if at(each, "type") == CONDITION_READY), {})


def _never_had(node: JsonObject) -> bool:
    return codes.NO_SGX in codes.codes_in(str(_condition(node).get("message") or ""))


def _epc(node: JsonObject) -> Fraction:
    return amounts(at(node, "status", "allocatable")).get(EPC, Fraction(0))
