"""What is said of a node's report, and what is not: nothing by a bound, nothing by a guess."""

from dataclasses import replace
from typing import Any

import pytest
from tests.kube.epc import MIB, container, held, report

from donjon.kube.epc_findings import evicting, judge_containers
from donjon.kube.epc_report import UNNAMED, ContainerEpc
from donjon.kube.names import EPC_PAGE
from donjon.sgx.epc import EpcSource, EpcUse


def codes(each: ContainerEpc, *, debug: frozenset[str] | None = frozenset(), source: EpcSource = EpcSource.BPF) -> list[str]:
    return [one.finding.code for one in judge_containers(report(each, source=source), debug)]


@pytest.mark.parametrize(
    ("each", "expected"),
    [
        (container(10, held(10)), []),
        (container(10, held(11)), []),  # A MiB is for SECS and version arrays.
        (container(10, held(12)), ["DJ780"]),
        (container(10, held(5, 7)), ["DJ780"]),  # Evicted pages are needed, too.
        (container(10, held(0, enclaves=0)), []),
        (container(10, held(0, enclaves=0), guests=12), ["DJ780"]),
        (container(0, held(1)), ["DJ781"]),
        (container(0, held(0)), ["DJ781"]),
        (container(0, held(0, enclaves=0)), []),
        (container(0, held(0, enclaves=0), guests=1), ["DJ781"]),
        (container(10, held(5, debug=1)), ["DJ782"]),
        (container(0, held(5, debug=1)), ["DJ781", "DJ782"]),
    ],
)
def test_a_container_is_held_to_what_it_asked_for_by_words_alone(each: ContainerEpc, expected: list[str]) -> None:
    assert codes(each) == expected


def test_of_an_upper_bound_nothing_is_said() -> None:
    each = container(1, EpcUse(resident=64 * MIB, existing=None, evicted=None, enclaves=1))
    assert codes(each, source=EpcSource.MAPS) == []


def test_debug_enclaves_are_no_mistake_where_the_namespace_allows_them_nor_where_that_is_unknown() -> None:
    each = container(10, held(5, debug=1))
    assert codes(each, debug=frozenset({"shop"})) == []
    assert codes(each, debug=None) == []
    assert codes(each, debug=frozenset({"other"})) == ["DJ782"]


def test_of_a_container_that_nobody_names_yet_it_is_not_known_what_it_asked_for() -> None:
    """A pod's enclaves may be there before its kubelet has told the ids of its containers."""
    assert codes(container(0, held(5), name=UNNAMED)) == []
    assert codes(container(0, held(5, debug=1), name=UNNAMED)) == ["DJ782"]


def test_a_sentence_says_what_to_ask_for() -> None:
    (one,) = judge_containers(report(container(10, held(20, 20))), frozenset())
    assert one.finding.sentence() == (
        "container app: its enclaves are 40Mi of EPC, 20Mi of it in EPC now; it asked for 10Mi: no kernel holds it to that: what "
        "it has too much is taken from others on the node, and everybody gets slow [DJ780]; ask for what it needs "
        "(sgx.intel.com/epc: 40Mi), or make its enclaves smaller"
    )
    assert one.reason == "EPCOverRequest"


@pytest.mark.parametrize(
    ("evicted", "work", "is_evicting"),
    [
        ((0, 0), (0.0, 0.0), False),
        ((5, 5), (1.0, 1.0), False),
        ((5, 4), (1.0, 1.0), False),
        ((5, 6), (1.0, 1.0), True),
        ((5, 5), (1.0, 1.5), True),
        ((5, 5), (None, 1.0), False),
        ((5, 5), (1.0, None), False),
    ],
)
def test_a_node_evicts_while_pages_leave_or_the_kernels_thread_works(
    evicted: tuple[int, int], work: tuple[float | None, float | None], *, is_evicting: bool
) -> None:
    earlier, later = (report(evicted=pages, reclaimer=seconds) for pages, seconds in zip(evicted, work, strict=True))
    assert (evicting(later, earlier) is not None) is is_evicting


@pytest.mark.parametrize(("pages", "is_evicting"), [(1, False), (6, False), (7, True), (16, True)])
def test_pages_that_are_just_being_added_are_no_evictions(pages: int, *, is_evicting: bool) -> None:
    """The driver counts a page that it adds as one that exists, and only when it is in EPC among those that are."""
    earlier = report(*[container(10, held(1))] * 3)
    later = replace(earlier, use=replace(earlier.use, evicted=pages * EPC_PAGE))
    assert (evicting(later, earlier) is not None) is is_evicting


@pytest.mark.parametrize("partial", [{"unreadable": 1}, {"containers": (replace(container(10, held(1)), at_least=True),)}])
def test_where_somebody_is_counted_in_part_the_kernels_thread_alone_tells_evictions(partial: dict[str, Any]) -> None:
    """Who has too many enclaves to be counted could have others counted at each pass, and call it an eviction."""
    earlier, later = report(), report(evicted=50)
    assert evicting(later, earlier) is not None
    assert evicting(replace(later, **partial), earlier) is evicting(later, replace(earlier, **partial)) is None
    assert evicting(replace(later, reclaimer_seconds=1.0, **partial), earlier) is not None


def test_where_evictions_cannot_be_counted_the_kernels_thread_alone_says_it() -> None:
    unknown = replace(report(), use=EpcUse(existing=None, evicted=None), reclaimer_seconds=1.0)
    finding = evicting(replace(unknown, reclaimer_seconds=1.25), unknown)
    assert finding is not None
    assert "how much is unknown, the kernel's ksgxd worked for 0.25 s" in finding.observation
    assert evicting(unknown, unknown) is None
