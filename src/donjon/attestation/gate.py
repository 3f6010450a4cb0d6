"""A relying party's rules as people write them: one table, for the options of a command and for settings alike.

`Acceptance` says what they mean. Nothing here needs a library, so that a help text may be made of it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from operator import not_
from typing import Any

from donjon.collateral.status import TERMINAL, TcbStatus
from donjon.collateral.tcb_info import MAX_EVALUATION
from donjon.formats.durations import duration
from donjon.sgx import attributes, td

_ADVISORY = re.compile(r"(?P<name>INTEL-SA-\d{5})(?:@(?P<until>.+))?", re.ASCII)


class ValueForm(StrEnum):
    """In which form a rule's value is written; each is described as what is expected."""

    SWITCH = "true or false"
    NUMBER = "a TCB evaluation data number"
    MOMENT = "a date such as 2024-03-13, without quotation marks"
    TEXT = "a text"
    TEXTS = "a list of texts"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRule:
    """One rule: its name as an option and in settings, and the field of `Acceptance` that it sets."""

    name: str
    field: str
    form: ValueForm = ValueForm.SWITCH
    help: str
    placeholder: str = ""
    choices: tuple[str, ...] = ()  # of a text
    value: Callable[[Any], object] = bool
    """Of what was written in that form, the field's value; raises `ValueError` that says what is expected."""


def moment(text: str) -> datetime:
    """A moment as ISO 8601, in UTC where no zone is named, or in Unix seconds; raises `ValueError`."""
    try:
        if text.isdecimal():
            return datetime.fromtimestamp(int(text), UTC)
        instant = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(f"ISO 8601 such as 2026-01-31T00:00:00Z, or Unix seconds; {error}") from error
    return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)


def _statuses(names: Sequence[str]) -> frozenset[TcbStatus]:
    if unknown := sorted(set(names) - set(TcbStatus)):
        raise ValueError(f"statuses among {', '.join(TcbStatus)}; {unknown[0]!r} is none")
    return frozenset({TcbStatus.UP_TO_DATE, *map(TcbStatus, names)})


def _advisories(names: Sequence[str]) -> Mapping[str, datetime | None]:
    until: dict[str, datetime | None] = {}
    for text in names:
        advisory = _ADVISORY.fullmatch(text)
        if advisory is None:
            raise ValueError(f"advisories such as INTEL-SA-00615, or INTEL-SA-00615@2027-01-31; {text!r} is none")
        until[advisory["name"]] = moment(advisory["until"]) if advisory["until"] else None
    return until


def _number(number: int) -> int:
    if not 0 < number <= MAX_EVALUATION:
        raise ValueError(ValueForm.NUMBER)
    return number


def _bits(masks: Mapping[str, int]) -> Callable[[Sequence[str]], int]:
    return lambda names: attributes.mask(names, masks)


_ACCEPTABLE = tuple(str(each) for each in TcbStatus if each not in TERMINAL)

RULES: tuple[GateRule, ...] = (
    GateRule(
        name="accept",
        field="statuses",
        form=ValueForm.TEXTS,
        choices=tuple(map(str, TcbStatus)),
        placeholder="STATUS",
        value=_statuses,
        help="A TCB status to accept beside UpToDate, in place of SWHardeningNeeded; may be repeated. "
        f"One of {', '.join(_ACCEPTABLE)}.",
    ),
    GateRule(
        name="allow-debug", field="allow_debug", help="Accept an enclave or a TD in debug mode, whose memory the host can read."
    ),
    GateRule(name="allow-provision-key", field="allow_provision_key", help="Accept an enclave with PROVISIONKEY."),
    GateRule(name="allow-einittoken-key", field="allow_einittoken_key", help="Accept an enclave with EINITTOKENKEY."),
    GateRule(name="allow-sept-ve", field="allow_sept_ve", help="Accept a TD without SEPT_VE_DISABLE."),
    GateRule(name="allow-migratable", field="allow_migratable", help="Accept a TD whose memory may be exported (MIGRATABLE)."),
    GateRule(
        name="service-td",
        field="service_tds",
        form=ValueForm.TEXTS,
        placeholder="HEX",
        value=lambda digits: frozenset(map(td.service_td, digits)),
        help="Accept a TD that is bound to this service TD; repeated: to one of these.",
    ),
    GateRule(
        name="allow-attributes",
        field="allow_attributes",
        form=ValueForm.TEXTS,
        placeholder="NAME|0xBITS",
        value=_bits(attributes.NEW_ATTRIBUTES),
        help=f"Accept these bits of ATTRIBUTES, reserved or one of {', '.join(attributes.NEW_ATTRIBUTES)}; may be repeated.",
    ),
    GateRule(
        name="allow-features",
        field="allow_features",
        form=ValueForm.TEXTS,
        placeholder="NAME|0xBITS",
        value=_bits(attributes.NEW_FEATURES),
        help=f"Accept these bits of XFAM or XFRM unjudged, {', '.join(attributes.NEW_FEATURES)} or any others; may be repeated.",
    ),
    GateRule(
        name="allow-mixed-evaluations",
        field="allow_mixed_evaluations",
        help="Accept TCB info and identity of two TCB recoveries.",
    ),
    GateRule(
        name="refuse-dynamic-platform",
        field="allow_dynamic_platform",
        value=not_,
        help="Refuse platforms to which packages can be added.",
    ),
    GateRule(name="refuse-cached-keys", field="allow_cached_keys", value=not_, help="Refuse platforms whose keys Intel keeps."),
    GateRule(name="refuse-smt", field="allow_smt", value=not_, help="Refuse platforms with SMT (hyper-threading)."),
    GateRule(
        name="advisory",
        field="advisories",
        form=ValueForm.TEXTS,
        placeholder="ID[@DATE]",
        value=_advisories,
        help="Accept these advisories alone, each until its date; may be repeated. Without it, all that the status allows.",
    ),
    GateRule(
        name="min-evaluation",
        field="min_evaluation",
        form=ValueForm.NUMBER,
        placeholder="NUMBER",
        value=_number,
        help="The least TCB evaluation data number.",
    ),
    GateRule(
        name="min-tcb-date",
        field="min_tcb_date",
        form=ValueForm.MOMENT,
        placeholder="DATE",
        value=lambda date: date,
        help="The oldest date of the TCB.",
    ),
    GateRule(
        name="grace",
        field="grace",
        form=ValueForm.TEXT,
        placeholder="DURATION",
        value=duration,
        help="Accept OutOfDate this long after the TCB's date: 30d.",
    ),
    GateRule(
        name="staleness",
        field="staleness",
        form=ValueForm.TEXT,
        placeholder="DURATION",
        value=duration,
        help="Accept documents this long after their nextUpdate: 7d.",
    ),
)
"""In the order in which they are helped with."""
