"""The four ways in which a promise is broken; every error below Donjon belongs to one of them and carries a stable code.

A *no* with reasons is not an error: it is a list of `donjon.findings.Finding`.
"""

import re

_USERINFO = re.compile(r'(:/{1,2})[^/\s"]*@')


def hide_passwords(text: str) -> str:
    """The text, in which no address says any more who calls by it, and with which password: https://…@HOST (RFC 3986, 3.2.1)."""
    return _USERINFO.sub(r"\1…@", text)


class DonjonError(Exception):
    """A broken promise with a stable code; `donjon explain CODE` prints its page. Its message bears no password of an address."""

    def __init__(self, code: str, message: str) -> None:
        self.code, self.message = code, hide_passwords(message)
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} [{self.code}]"


class Malformed(DonjonError):
    """Input that is not what its format says, or longer than its bound."""


class Untrusted(DonjonError):
    """Well-formed input whose origin or integrity could not be proved."""


class Unavailable(DonjonError):
    """Something outside did not answer, or not in time."""


class Misconfigured(DonjonError):
    """A setting of ours that cannot work as it stands; `faults` are those of several, each a sentence."""

    def __init__(self, code: str, message: str, faults: tuple[str, ...] = ()) -> None:
        super().__init__(code, message)
        self.faults = tuple(map(hide_passwords, faults))


EXIT_YES = 0
EXIT_NO = 1
EXIT_MALFORMED = 2
EXIT_COULD_NOT_LOOK = 3

EXIT_CODES: dict[type[DonjonError], int] = {
    Malformed: EXIT_MALFORMED,
    Misconfigured: EXIT_MALFORMED,
    Untrusted: EXIT_NO,
    Unavailable: EXIT_COULD_NOT_LOOK,
}
"""The exit code of a command that ends in an error of that family."""
