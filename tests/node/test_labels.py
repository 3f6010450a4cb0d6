"""Labels follow the facts; what is unknown leaves its label alone."""

from typing import Any

import pytest
from tests.node.world import DCAP, ISGX, NO_DEVICES, cpuid, facts, numa, text, unknown

from donjon.kube.names import LABEL_AESM, LABEL_CAPABLE, LABEL_DRIVER, LABEL_EDMM, LABEL_SGX, NODE_LABELS
from donjon.node.labels import NO_LABELS, labels
from donjon.node.readings import AesmState, Reading

USUAL = {LABEL_CAPABLE: "true", LABEL_SGX: "2", LABEL_EDMM: "true", LABEL_DRIVER: "in-tree", LABEL_AESM: "ready"}


@pytest.mark.parametrize(
    ("changed", "differs"),
    [
        ({}, {}),
        ({"devices": DCAP}, {LABEL_DRIVER: "dcap"}),
        ({"devices": ISGX}, {LABEL_DRIVER: "isgx"}),
        ({"devices": NO_DEVICES}, {LABEL_DRIVER: None}),
        ({"cpuid": cpuid(sgx2=False)}, {LABEL_SGX: "1", LABEL_EDMM: None}),
        ({"kernel_release": text("5.15.0")}, {LABEL_EDMM: None}),
        ({"numa_epc": numa("0")}, {LABEL_CAPABLE: None}),
        ({"aesm": Reading.of(AesmState.SILENT, source="")}, {LABEL_AESM: None}),
        ({"aesm": Reading.of(AesmState.ABSENT, source="")}, {LABEL_AESM: None}),
    ],
)
def test_a_label_says_what_the_fact_says(changed: dict[str, Any], differs: dict[str, str | None]) -> None:
    assert labels(facts(**changed)) == USUAL | differs


@pytest.mark.parametrize(
    ("changed", "silent"),
    [
        ({"aesm": unknown()}, {LABEL_AESM}),
        ({"kernel_release": unknown()}, {LABEL_EDMM}),
        ({"cpuid": unknown()}, {LABEL_SGX, LABEL_EDMM}),
        ({"cpuid": unknown(), "numa_epc": unknown()}, {LABEL_SGX, LABEL_EDMM, LABEL_CAPABLE}),
    ],
)
def test_what_is_unknown_leaves_its_label_as_it_is(changed: dict[str, Any], silent: set[str]) -> None:
    said = labels(facts(**changed))
    assert said == {name: value for name, value in USUAL.items() if name not in silent}


def test_an_ordinary_node_carries_none_of_them() -> None:
    assert labels(facts(cpuid=cpuid(sgx=False), devices=NO_DEVICES)) == NO_LABELS
    assert set(NO_LABELS) == set(NODE_LABELS)
    assert set(NO_LABELS.values()) == {None}
