"""What is kept of instances is what the last records say, and whatever else stands there is told."""

import hashlib
from dataclasses import dataclass, field, replace

import pytest

from donjon.audit import chain, holdings
from donjon.audit.chain import Record
from donjon.audit.event import Event, EventKind, EventVerdict, encode
from donjon.audit.holdings import Ledger, facts
from donjon.findings import Severity
from donjon.maa import policies

ONE, OTHER, THIRD = "one", "other", "third"
A, B, C = b"a", b"b", b"c"


@dataclass(frozen=True)
class Held:
    """What a database keeps of one instance."""

    generation: int = 0
    policies: dict[str, str] = field(default_factory=dict)
    certificates: tuple[bytes, ...] = ()
    former: tuple[bytes, ...] = ()


def thumbprint(der: bytes) -> str:
    return hashlib.sha1(der, usedforsecurity=False).hexdigest().upper()


def event(kind: EventKind, verdict: EventVerdict = EventVerdict.ALLOW, /, **told: str) -> Event:
    return Event(kind=kind, instance="i", caller="alice", verdict=verdict, facts=told)


def was_set(token: str, generation: int | None = None, kind: str = "SgxEnclave") -> Event:
    made = {} if generation is None else {"generation": str(generation)}
    return event(EventKind.POLICY_SET, type=kind, token=policies.sha256_base64url(token), **made)


RESET = event(EventKind.POLICY_RESET, type="SgxEnclave")
REFUSED = replace(was_set(OTHER), verdict=EventVerdict.REFUSE)
ADDED = event(EventKind.CERTIFICATE_ADDED, certificate=thumbprint(B))
REMOVED = event(EventKind.CERTIFICATE_REMOVED, certificate=thumbprint(A))
BOTH = event(EventKind.CERTIFICATE_ADDED, certificate=thumbprint(B), **facts((A, B), ()))
LEFT = event(EventKind.CERTIFICATE_REMOVED, certificate=thumbprint(A), **facts((B,), (A,)))
SET = {"SgxEnclave": ONE}


def records(*events: Event) -> list[Record]:
    made: list[Record] = []
    link = chain.start("w")
    for number, each in enumerate(events):
        made.append(link.extend(1000 * number, encode(each)))
        link = chain.end(made[-1])
    return made


def found(events: list[Event], held: Held | None, *, lost: bool = False) -> list[tuple[str, str]]:
    ledger = Ledger()
    assert list(ledger.watch(records(*events))) == records(*events)
    told = ledger.findings({} if held is None else {"i": held}, is_incomplete=lost)
    assert {(each.code, each.severity) for each in told} <= {("DJ620", Severity.ERROR), ("DJ623", Severity.WARNING)}
    return [(each.code, each.observation) for each in told]


@pytest.mark.parametrize(
    ("events", "held"),
    [
        ([], Held()),
        ([was_set(ONE)], Held(policies=SET)),
        ([was_set(OTHER), was_set(ONE)], Held(policies=SET)),
        ([was_set(ONE), REFUSED], Held(policies=SET)),
        ([was_set(ONE), RESET], Held()),
        ([was_set(ONE), RESET], None),
        ([was_set(OTHER), RESET, was_set(ONE)], Held(policies=SET)),
        ([was_set(ONE, 2), was_set(OTHER, 1)], Held(policies=SET)),
        ([was_set(OTHER), was_set(ONE, 1)], Held(policies=SET)),
        ([was_set(ONE), was_set(OTHER, kind="TdxVm")], Held(policies={**SET, "TdxVm": OTHER})),
        ([ADDED], Held(certificates=(A, B))),
        ([ADDED, REMOVED], Held(certificates=(B,))),
        ([BOTH], Held(certificates=(A, B))),
        ([BOTH, LEFT], Held(certificates=(B,), former=(A,))),
    ],
)
def test_what_records_say_is_what_is_kept(events: list[Event], held: Held | None) -> None:
    assert found(events, held) == []


@pytest.mark.parametrize(
    ("events", "held", "words"),
    [
        ([], Held(policies=SET), "no record says who set the policy of SgxEnclave"),
        ([REFUSED], Held(policies={"SgxEnclave": OTHER}), "no record says who set the policy of SgxEnclave"),
        ([was_set(ONE, kind="TdxVm")], Held(policies={"TdxVm": ONE, **SET}), "no record says who set the policy of SgxEnclave"),
        ([was_set(OTHER)], Held(policies=SET), "the policy of SgxEnclave is not as record 1 of chain w says"),
        ([was_set(ONE), was_set(OTHER)], Held(policies=SET), "the policy of SgxEnclave is not as record 2 of chain w says"),
        ([was_set(ONE, 1), was_set(OTHER, 2)], Held(policies=SET), "the policy of SgxEnclave is not as record 2 of chain w says"),
        ([was_set(ONE), RESET], Held(policies=SET), "the policy of SgxEnclave is not as record 2 of chain w says"),
        ([was_set(ONE)], Held(), "the policy of SgxEnclave is not as record 1 of chain w says"),
        ([was_set(ONE)], None, "what record 1 of chain w says was set is not there"),
        ([], Held(certificates=(A,)), "no record says who set its policy management certificates"),
        ([], Held(former=(A,)), "no record says who set its policy management certificates"),
        ([ADDED], Held(certificates=(A, C)), "its policy management certificates are not as record 1 of chain w says"),
        ([ADDED, REMOVED], Held(certificates=(A, B)), "its policy management certificates are not as record 2 of chain w says"),
        ([BOTH], Held(certificates=(A, B, C)), "its policy management certificates are not as record 1 of chain w says"),
        ([BOTH], Held(), "its policy management certificates are not as record 1 of chain w says"),
        ([BOTH, LEFT], Held(certificates=(B,)), "its policy management certificates are not as record 2 of chain w says"),
        ([BOTH, LEFT], Held(certificates=(B,), former=(C,)), "its policy management certificates are not as record 2 of chain w"),
    ],
)
def test_what_no_record_explains_is_found(events: list[Event], held: Held | None, words: str) -> None:
    ((code, told),) = found(events, held)
    assert code == "DJ620"
    assert words in told


def test_what_is_found_of_very_many_instances_is_bounded() -> None:
    assert len(Ledger().findings({str(number): Held(policies=SET) for number in range(150)}, is_incomplete=False)) == 100


def test_where_an_earlier_version_dropped_records_what_none_explains_is_a_warning() -> None:
    assert [code for code, _ in found([], Held(policies=SET, certificates=(A,)), lost=True)] == ["DJ623", "DJ623"]
    assert [code for code, _ in found([was_set(OTHER)], Held(policies=SET), lost=True)] == ["DJ620"]


@pytest.mark.parametrize("events", [[was_set(ONE, 3)], [was_set(ONE)], [ADDED], [BOTH], [BOTH, LEFT]])
def test_what_is_told_again_says_the_same_without_who_asked_for_it(events: list[Event]) -> None:
    held = Held(policies=SET, certificates=(A, B)) if events[-1] is not LEFT else Held(certificates=(B,), former=(A,))
    last = holdings.change(records(*events)[-1])
    assert last is not None
    again = last.again()
    assert again.caller == ""
    (told,) = (holdings.change(each) for each in records(again))
    assert told is not None
    assert told.holds(held)
    assert (told.subject, told.order) == (last.subject, last.order)


def test_what_is_told_again_hides_no_later_change() -> None:
    early, late = records(was_set(ONE), was_set(OTHER))
    first = holdings.change(early)
    assert first is not None
    ledger = Ledger()
    for each in (late, *records(first.again())):
        ledger.take(each)
    assert [each.code for each in ledger.findings({"i": Held(policies=SET)}, is_incomplete=False)] == ["DJ620"]


@pytest.mark.parametrize("text", [b"{", b'{"kind":"policy-set"}', b'{"kind":"policy-set","facts":[],"verdict":"allowed"}'])
def test_a_record_that_is_no_change_changes_nothing(text: bytes) -> None:
    assert holdings.change(chain.start("w").extend(1, text)) is None


def test_a_generation_of_thousands_of_digits_is_none() -> None:
    strange = event(EventKind.POLICY_SET, type="SgxEnclave", token=policies.sha256_base64url(OTHER), generation="9" * 5_000)
    assert found([strange, was_set(ONE, 1)], Held(policies=SET, generation=1)) == []
