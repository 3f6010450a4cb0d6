"""The labels of a node that speak of SGX: a value, `None` for a label to take away, nothing for what is unknown."""

from donjon.kube.names import LABEL_AESM, LABEL_CAPABLE, LABEL_DRIVER, LABEL_EDMM, LABEL_SGX
from donjon.node.facts import NodeFacts
from donjon.node.readings import AesmState

NO_LABELS: dict[str, str | None] = dict.fromkeys((LABEL_CAPABLE, LABEL_SGX, LABEL_EDMM, LABEL_DRIVER, LABEL_AESM))
"""What a node without SGX carries, and what a node is left with when Donjon goes."""


def labels(facts: NodeFacts) -> dict[str, str | None]:
    """The labels that follow from the facts; a fact that cannot be told leaves its label as it is."""
    if not facts.has_sgx:
        return dict(NO_LABELS)
    desired: dict[str, str | None] = {LABEL_DRIVER: None if facts.driver.value is None else str(facts.driver.value.kind)}
    if facts.epc.value is not None:
        desired[LABEL_CAPABLE] = "true" if facts.epc.value else None
    if facts.cpu.value is not None:
        desired[LABEL_SGX] = str(facts.cpu.value.version) if facts.cpu.value.version else None
    if facts.edmm.value is not None:
        desired[LABEL_EDMM] = "true" if facts.edmm.value else None
    if facts.aesm.value is not None:
        desired[LABEL_AESM] = "ready" if facts.aesm.value is AesmState.READY else None
    return desired
