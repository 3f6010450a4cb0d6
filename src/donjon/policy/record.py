"""A decision as JSON: the same that the story tells, for programs and for the audit."""

from collections.abc import Callable
from dataclasses import replace

from donjon.policy.claims import Claim, Json, compact, values_by_type
from donjon.policy.decision import Decision, Entry, Look
from donjon.policy.printing import condition_text, rule_text
from donjon.policy.reasons import missed
from donjon.policy.syntax import Scalar

MAX_LISTED = 10  # claims of one condition or rule; `more` counts the others
MAX_VALUE = 256  # characters of a value or a type in the trace; what is longer ends in …
MAX_LOOKS = 50  # conditions of one rule in a record: the last ones, where it was decided
MAX_RECORD = 32 << 10  # characters of a record's trace; `more` counts the rules that are left out


def as_record(decision: Decision) -> dict[str, Json]:
    """`verdict`, `findings` (code and sentence), `issued`, `properties`, and `trace`, rule by rule in order.

    An entry of the trace has the section, the rule's number, line and text, its outcome, its conditions as far as they were
    looked at, and the claims it made; where it failed, why and the code of that. `issued` and `properties` are whole.
    """
    return {
        "verdict": str(decision.verdict),
        "findings": [{"code": finding.code, "told": finding.sentence()} for finding in decision.findings],
        "issued": _values(decision.issued),
        "properties": _values(decision.properties),
        "trace": [_entry(entry) for entry in decision.trace],
    }


def brief(decision: Decision) -> list[Json]:
    """The trace for who has the policy: of each rule its place and outcome, the claims of each condition and those it made."""
    return _within_record(decision, _short)


def full(decision: Decision) -> list[Json]:
    """The trace as in `as_record`, as far as it goes into one record."""
    return _within_record(decision, _entry)


def _within_record(decision: Decision, entry_json: Callable[[Entry], dict[str, Json]]) -> list[Json]:
    """Made rule by rule, so that nothing is made that is not kept: anybody who attests has a record made."""
    record: list[Json] = []
    left = MAX_RECORD
    for number, entry in enumerate(decision.trace):
        record.append(entry_json(replace(entry, looks=entry.looks[-MAX_LOOKS:])))
        left -= len(compact(record[-1]))
        if left < 0:
            return [*record[:-1], {"more": len(decision.trace) - number}]
    return record


def _short(entry: Entry) -> dict[str, Json]:
    return {
        "rule": f"{entry.part} {entry.number}",
        "outcome": entry.outcome.value,
        "on": [_brief_values(look.claims) for look in entry.looks],
        "made": _brief_values(entry.produced),
    }


def _brief_values(claims: tuple[Claim, ...]) -> dict[str, Json]:
    """Type and value; of several claims of one type a list of their values."""
    return {
        _truncate(name): _cut(values[0]) if len(values) == 1 else [*map(_cut, values)]
        for name, values in values_by_type(claims[:MAX_LISTED]).items()
    }


def _values(claims: tuple[Claim, ...]) -> Json:
    return {name: [*values] for name, values in values_by_type(claims).items()}


def _entry(entry: Entry) -> dict[str, Json]:
    failed: dict[str, Json] = {"found": entry.failure, "code": entry.code} if entry.code else {}
    return {
        "section": str(entry.part),
        "rule": entry.number,
        "line": entry.rule.at.line,
        "text": rule_text(entry.rule),
        "outcome": str(entry.outcome),
        "conditions": [_look(look) for look in entry.looks],
        "made": _claims(entry.produced),
        **failed,
    }


def _look(look: Look) -> dict[str, Json]:
    misses: dict[str, Json] = {} if look.holds else {"misses": [missed(miss) for miss in look.misses[:MAX_LISTED]]}
    return {"text": condition_text(look.condition), "holds": look.holds, "claims": _claims(look.claims), **misses}


def _claims(claims: tuple[Claim, ...]) -> dict[str, Json]:
    entries: list[Json] = [
        {"type": _truncate(claim.type), "value": _cut(claim.value), "issuer": str(claim.issuer)} for claim in claims[:MAX_LISTED]
    ]
    return {"claims": entries, "more": max(0, len(claims) - MAX_LISTED)}


def _cut(value: Scalar) -> Scalar:
    return _truncate(value) if isinstance(value, str) else value


def _truncate(text: str) -> str:
    return f"{text[:MAX_VALUE]}…" if len(text) > MAX_VALUE else text
