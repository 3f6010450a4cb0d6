"""The one shape of a *no*, a warning or a reason.

Law: whoever refuses, warns or explains says it in `Finding`s, all of them at once, and every code has a page in `pages/`
(shipped in the wheel, printed by `donjon explain CODE`).
"""

from dataclasses import dataclass
from enum import StrEnum


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
