"""The one shape of a *no*, a warning or a reason.

Law: whoever refuses, warns or explains says it in `Finding`s, all of them at once, and every code has a page in `pages/`
(shipped in the wheel, printed by `donjon explain CODE`).
"""

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
    found: str  # what was seen, expected beside it
    why: str  # what follows from it
    do: str  # the next step, empty only for INFO

    @classmethod
    def error(cls, code: str, subject: str, found: str, why: str, do: str) -> Self:
        """One that makes a verdict a no, its words in the order of its sentence."""
        return cls(code=code, severity=Severity.ERROR, subject=subject, found=found, why=why, do=do)

    @classmethod
    def warning(cls, code: str, subject: str, found: str, why: str, do: str) -> Self:
        """One to act on, and no reason to refuse."""
        return cls(code=code, severity=Severity.WARNING, subject=subject, found=found, why=why, do=do)

    @classmethod
    def info(cls, code: str, subject: str, found: str, why: str, do: str = "") -> Self:
        """One to know."""
        return cls(code=code, severity=Severity.INFO, subject=subject, found=found, why=why, do=do)

    def sentence(self) -> str:
        """One line: subject, found, why, code and the next step."""
        head = f"{self.subject}: {self.found}: {self.why} [{self.code}]"
        return f"{head}; {self.do}" if self.do else head

    def told(self) -> dict[str, str]:
        """Its six fields, for programs."""
        return {name: str(getattr(self, name)) for name in self.__slots__}


def is_refusal(findings: tuple[Finding, ...]) -> bool:
    """Whether any of the findings turns the verdict into a no."""
    return any(finding.severity is Severity.ERROR for finding in findings)
