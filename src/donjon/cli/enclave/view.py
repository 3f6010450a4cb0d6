"""What `donjon enclave show` and `lint` print: each enclave of each file, and of each file of an image."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from donjon.adapters import clock
from donjon.cli.enclave.images import ImageEnclaves, image_enclaves
from donjon.cli.files import bare_content, display_name
from donjon.cli.registries import image_named
from donjon.cli.terminal import print_finding, say, say_json
from donjon.enclave.description import document, lines
from donjon.enclave.lint import BROKEN, lint_enclave, no_enclave
from donjon.enclave.search import Enclave, enclaves
from donjon.errors import EXIT_CODES, EXIT_NO, EXIT_YES, DonjonError
from donjon.findings import Finding, is_refusal
from donjon.formats.json import Json, JsonObject
from donjon.images.access import RegistryAccess
from donjon.images.references import ImageReference

MAX_FILE = 1 << 30  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class EnclaveOutcome:
    """One enclave of a file with what there is to say of it, or why there is none."""

    file: str
    enclave: Enclave | None = None
    findings: tuple[Finding, ...] = ()
    error: DonjonError | None = None
    image: ImageEnclaves | None = None  # where the file is in an image

    def exit_code(self, counts: Callable[[Finding], bool]) -> int:
        """As `donjon.errors` says for an error; no where a finding that counts refuses it."""
        if self.error is not None:
            return next(code for family, code in EXIT_CODES.items() if isinstance(self.error, family))
        return EXIT_NO if self.enclave is None or is_refusal(filter(counts, self.findings)) else EXIT_YES


def show(names: tuple[str, ...], access: RegistryAccess, form: str) -> int:
    """Print what each enclave is; the highest exit code: a no where its signature or measurement does not hold."""
    return _run(names, access, form, lambda finding: finding.code in BROKEN, _print)


def lint(names: tuple[str, ...], access: RegistryAccess, form: str) -> int:
    """Print every finding of each enclave; the highest exit code."""
    return _run(names, access, form, lambda _: True, _print_findings)


def _run(
    names: tuple[str, ...],
    access: RegistryAccess,
    form: str,
    counts: Callable[[Finding], bool],
    view: Callable[[EnclaveOutcome], None],
) -> int:
    outcomes = [outcome for name in names for outcome in _look(name, access)]
    if form == "json":
        items: list[Json] = [_document(each) for each in outcomes]
        say_json(items)
    for each in outcomes if form != "json" else ():
        view(each)
    return max(each.exit_code(counts) for each in outcomes)


def _look(name: str, access: RegistryAccess) -> tuple[EnclaveOutcome, ...]:
    try:
        reference = image_named(name)
        if reference is not None:
            return _of_image(reference, access) or _nothing(str(reference))
        there = enclaves(bare_content(name, MAX_FILE))
    except DonjonError as error:
        return (EnclaveOutcome(file=display_name(name), error=error),)
    return _of_file(display_name(name), there) or _nothing(display_name(name))


def _nothing(name: str) -> tuple[EnclaveOutcome, ...]:
    return (EnclaveOutcome(file=name, findings=(no_enclave(name),)),)


def _of_image(reference: ImageReference, access: RegistryAccess) -> tuple[EnclaveOutcome, ...]:
    return tuple(outcome for each in image_enclaves(reference, access) for outcome in _of_image_file(each))


def _of_image_file(file: ImageEnclaves) -> tuple[EnclaveOutcome, ...]:
    if file.error is not None:
        return (EnclaveOutcome(file=file.name, error=file.error, image=file),)
    return tuple(replace(each, image=file) for each in _of_file(file.name, file.enclaves))


def _of_file(name: str, there: tuple[Enclave, ...]) -> tuple[EnclaveOutcome, ...]:
    today = clock.moment().date()
    return tuple(EnclaveOutcome(file=name, enclave=each, findings=lint_enclave(name, each, today)) for each in there)


def _document(outcome: EnclaveOutcome) -> Json:
    findings: list[Json] = [{**each.as_dict()} for each in outcome.findings]
    members = {} if outcome.enclave is None else document(outcome.enclave)
    error = {} if outcome.error is None else {"error": str(outcome.error)}
    image: JsonObject = {"file": outcome.file}
    if outcome.image is not None:
        reference = outcome.image.image.reference
        image = {"image": str(reference), "digest": outcome.image.image.digest, "file": outcome.image.path}
    return {**image, **members, **error, "findings": findings}


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
