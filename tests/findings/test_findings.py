"""The one shape of a no, a warning or a reason."""

import pytest

from donjon.errors import EXIT_CODES, DonjonError, Malformed, Misconfigured, Unavailable, Untrusted
from donjon.findings import Finding, Severity, is_refusal


def finding(severity: Severity, do: str = "load the driver") -> Finding:
    return Finding(code="DJ004", severity=severity, subject="/dev", observation="no device", why="no enclave", do=do)


@pytest.mark.parametrize(
    ("severities", "refused"),
    [
        ((), False),
        ((Severity.INFO, Severity.WARNING), False),
        ((Severity.ERROR,), True),
        ((Severity.INFO, Severity.ERROR), True),
    ],
)
def test_only_an_error_makes_a_verdict_a_no(severities: tuple[Severity, ...], *, refused: bool) -> None:
    assert is_refusal(tuple(map(finding, severities))) is refused


def test_a_finding_is_one_sentence_with_its_code_and_the_next_step() -> None:
    assert finding(Severity.ERROR).sentence() == "/dev: no device: no enclave [DJ004]; load the driver"
    assert finding(Severity.INFO, do="").sentence() == "/dev: no device: no enclave [DJ004]"


def test_an_error_says_its_message_and_its_code() -> None:
    error = Unavailable("DJ030", "kubelet: no answer")
    assert (str(error), error.code, error.message) == ("kubelet: no answer [DJ030]", "DJ030", "kubelet: no answer")


def test_every_family_of_errors_has_an_exit_code_that_is_no_yes() -> None:
    assert set(EXIT_CODES) == set(DonjonError.__subclasses__()) == {Malformed, Untrusted, Unavailable, Misconfigured}
    assert 0 not in EXIT_CODES.values()
    assert [EXIT_CODES[family] for family in (Malformed, Misconfigured, Untrusted, Unavailable)] == [2, 2, 1, 3]
