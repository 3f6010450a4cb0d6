"""The one shape of a *no*, a warning or a reason.

Law: whoever refuses, warns or explains says it in `Finding`s, all of them at once, and every code has a page in `pages/`
(shipped in the wheel, printed by `donjon explain CODE`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class Severity(StrEnum):
    """How much a finding weighs: only an `ERROR` makes a verdict a no."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One reason: what it is about, what was found there, why that matters, and what to do next."""

    code: str  # stable, "DJ" and three digits; its page is findings/pages/CODE.md
    severity: Severity
    subject: str  # the thing looked at: "/dev/sgx_enclave", "container app"
    observation: str  # what was seen, expected beside it
    why: str  # what follows from it
    do: str  # the next step, empty only for INFO

    @classmethod
    def error(cls, code: str, subject: str, observation: str, why: str, do: str) -> Self:
        """A finding that makes a verdict a no, its words in the order of its sentence."""
        return cls(code=code, severity=Severity.ERROR, subject=subject, observation=observation, why=why, do=do)

    @classmethod
    def warning(cls, code: str, subject: str, observation: str, why: str, do: str) -> Self:
        """A finding to act on that is no reason to refuse."""
        return cls(code=code, severity=Severity.WARNING, subject=subject, observation=observation, why=why, do=do)

    @classmethod
    def info(cls, code: str, subject: str, observation: str, why: str, do: str = "") -> Self:
        """A finding that is worth knowing and asks for no action."""
        return cls(code=code, severity=Severity.INFO, subject=subject, observation=observation, why=why, do=do)

    def sentence(self) -> str:
        """One line: subject, observation, why, code and the next step."""
        return self._line(f" [{self.code}]")

    def words(self) -> str:
        """The same line where the code stands beside it: in a log line, or an error."""
        return self._line("")

    def _line(self, code: str) -> str:
        head = f"{self.subject}: {self.observation}: {self.why}{code}"
        return f"{head}; {self.do}" if self.do else head

    def as_dict(self) -> dict[str, str]:
        """The finding as a JSON object, for programs; the members are part of the public output."""
        return {
            "code": self.code,
            "severity": str(self.severity),
            "subject": self.subject,
            "found": self.observation,
            "why": self.why,
            "do": self.do,
        }


def is_refusal(findings: Iterable[Finding]) -> bool:
    """Whether any of the findings turns the verdict into a no."""
    return any(finding.severity is Severity.ERROR for finding in findings)
