"""The TCB evaluation data numbers that Intel supports now, each an edition of its TCB infos and identities.

Source: Intel SGX and TDX PCS API v4, "Retrieve TCB Evaluation Data Numbers", version 1.
"""

from dataclasses import dataclass
from datetime import datetime

from donjon.collateral.tcb_info import MAX_EVALUATION
from donjon.errors import Malformed
from donjon.formats import strict_json
from donjon.sgx.platform import Tee

MAX_NUMBERS = 1024  # of one list; Intel's have some ten

_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TcbNumbers:
    """What Intel states about one kind of trusted execution."""

    tee: Tee
    issue_date: datetime
    next_update: datetime
    numbers: tuple[int, ...]

    @property
    def evaluation_number(self) -> int:
        """The newest number: the edition by which documents of that day are compared."""
        return max(self.numbers)


def parse(text: bytes) -> TcbNumbers:
    """The list that a signed text holds; raises `Malformed` DJ210 or DJ211."""
    document = strict_json.parse(text, "tcbEvaluationDataNumbers")
    tee = next((each for each in Tee if each == document.text("id")), None)
    if tee is None or document.number("version", 0xFFFF) != _VERSION:
        raise Malformed("DJ211", f"{document.subject}: {document.text('id')[:20]!r}: expected SGX or TDX in version {_VERSION}")
    entries = document.members("tcbNumbers")
    if len(entries) > MAX_NUMBERS:
        raise Malformed("DJ211", f"{document.subject}: tcbNumbers: {len(entries)}, expected at most {MAX_NUMBERS}")
    return TcbNumbers(
        tee=tee,
        issue_date=document.date("issueDate"),
        next_update=document.date("nextUpdate"),
        numbers=tuple(each.number("tcbEvaluationDataNumber", MAX_EVALUATION) for each in entries),
    )
