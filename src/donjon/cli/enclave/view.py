"""What `donjon enclave show` and `lint` print: each enclave of each file."""

from collections.abc import Callable
from dataclasses import dataclass

from donjon.adapters import clock
from donjon.cli.files import bare_content, display_name
from donjon.cli.terminal import print_finding, say, say_json
from donjon.enclave.description import document, lines
from donjon.enclave.lint import BROKEN, lint_enclave, no_enclave
from donjon.enclave.search import Enclave, enclaves
from donjon.errors import EXIT_CODES, EXIT_NO, EXIT_YES, DonjonError
from donjon.findings import Finding, is_refusal
from donjon.formats.json import Json

MAX_FILE = 1 << 30  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class EnclaveOutcome:
    """One enclave of a file with what there is to say of it, or why there is none."""

    file: str
    enclave: Enclave | None = None
    findings: tuple[Finding, ...] = ()
    error: DonjonError | None = None

    def exit_code(self, counts: Callable[[Finding], bool]) -> int:
        """As `donjon.errors` says for an error; no where a finding that counts refuses it."""
        if self.error is not None:
            return next(code for family, code in EXIT_CODES.items() if isinstance(self.error, family))
        return EXIT_NO if self.enclave is None or is_refusal(filter(counts, self.findings)) else EXIT_YES


def show(files: tuple[str, ...], form: str) -> int:
    """Print what each enclave is; the highest exit code: a no where its signature or measurement does not hold."""
    return _run(files, form, lambda finding: finding.code in BROKEN, _print)


def lint(files: tuple[str, ...], form: str) -> int:
    """Print every finding of each enclave; the highest exit code."""
    return _run(files, form, lambda _: True, _print_findings)


def _run(files: tuple[str, ...], form: str, counts: Callable[[Finding], bool], view: Callable[[EnclaveOutcome], None]) -> int:
    outcomes = [outcome for file in files for outcome in _look(file)]
    if form == "json":
        items: list[Json] = [_document(each) for each in outcomes]
        say_json(items)
    for each in outcomes if form != "json" else ():
        view(each)
    return max(each.exit_code(counts) for each in outcomes)


def _look(file: str) -> tuple[EnclaveOutcome, ...]:
    name, today = display_name(file), clock.moment().date()
    try:
        there = enclaves(bare_content(file, MAX_FILE))
    except DonjonError as error:
        return (EnclaveOutcome(file=name, error=error),)
    if not there:
        return (EnclaveOutcome(file=name, findings=(no_enclave(name),)),)
    return tuple(EnclaveOutcome(file=name, enclave=each, findings=lint_enclave(name, each, today)) for each in there)


def _document(outcome: EnclaveOutcome) -> Json:
    findings: list[Json] = [{**each.as_dict()} for each in outcome.findings]
    members = {} if outcome.enclave is None else document(outcome.enclave)
    error = {} if outcome.error is None else {"error": str(outcome.error)}
    return {"file": outcome.file, **members, **error, "findings": findings}


def _print(outcome: EnclaveOutcome) -> None:
    if outcome.enclave is None:
        _print_findings(outcome)
        return
    say(f"{outcome.file}: an enclave of {outcome.enclave.family}" if outcome.enclave.is_named else f"{outcome.file}: an enclave")
    for label, value in lines(outcome.enclave):
        say(f"  {label:<13} {value}")
    for finding in outcome.findings:
        print_finding(finding)


def _print_findings(outcome: EnclaveOutcome) -> None:
    if outcome.error is not None:
        say(f"{outcome.file}: {outcome.error}")
    elif not outcome.findings:
        say(f"{outcome.file}: nothing to mend")
    for finding in outcome.findings:
        print_finding(finding)
