"""What `donjon enclave size` prints: how much EPC to ask for, and why."""

from dataclasses import dataclass

from donjon.cli.enclave.contents import image_needs
from donjon.cli.enclave.view import MAX_FILE
from donjon.cli.files import bare_content, display_name
from donjon.cli.registries import image_named
from donjon.cli.terminal import say, say_json
from donjon.enclave.sizing import MIB, EpcNeed, epc_need
from donjon.errors import EXIT_CODES, EXIT_NO, EXIT_YES, DonjonError, Malformed
from donjon.formats.json import Json, JsonObject
from donjon.formats.words import printable
from donjon.images.access import RegistryAccess
from donjon.kube.names import EPC, FAQ_EPC
from donjon.kube.quantities import canonical

_NO_ENCLAVE = (
    "no enclave whose pages are known, for a signature alone does not tell them: "
    "name a signed program, a stream (*.sgxs) or Gramine's manifest (*.manifest.sgx)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeOutcome:
    """What the enclave of a file takes, or why that is not known."""

    file: str
    need: EpcNeed | None = None
    error: DonjonError | None = None

    @property
    def exit_code(self) -> int:
        """As `donjon.errors` says for an error; no where there is no enclave."""
        if self.error is not None:
            return next(code for family, code in EXIT_CODES.items() if isinstance(self.error, family))
        return EXIT_NO if self.need is None else EXIT_YES


def size(names: tuple[str, ...], access: RegistryAccess, processes: int, form: str) -> int:
    """Print what each enclave of files and images takes; the highest exit code."""
    outcomes = [outcome for name in names for outcome in _look(name, access, processes)]
    if form == "json":
        items: list[Json] = [_document(each) for each in outcomes]
        say_json(items)
    for each in outcomes if form != "json" else ():
        _print(each)
    return max(each.exit_code for each in outcomes)


def _look(name: str, access: RegistryAccess, processes: int) -> tuple[SizeOutcome, ...]:
    try:
        reference = image_named(name)
        if reference is None:
            return (SizeOutcome(file=display_name(name), need=epc_need(bare_content(name, MAX_FILE), processes)),)
        needs = image_needs(reference, access, processes)
    except DonjonError as error:
        return (SizeOutcome(file=display_name(name), error=error),)
    return tuple(_of_image(str(reference), path, need) for path, need in needs.items()) or (SizeOutcome(file=str(reference)),)


def _of_image(name: str, path: str, need: EpcNeed | Malformed) -> SizeOutcome:
    file = f"{name}: {printable(path)}"
    return SizeOutcome(file=file, error=need) if isinstance(need, Malformed) else SizeOutcome(file=file, need=need)


def _document(outcome: SizeOutcome) -> JsonObject:
    if outcome.need is None:
        return {"file": outcome.file, "error": str(outcome.error or _NO_ENCLAVE)}
    need = outcome.need
    parts: list[Json] = [{"name": each.name, "pages": each.pages} for each in need.parts]
    return {
        "file": outcome.file,
        "family": need.family,
        "parts": parts,
        "growth_pages": need.growth,
        "control_pages": need.control,
        "grows_unbounded": need.grows_unbounded,
        "processes": need.processes,
        "left_out": need.left_out or None,
        "start_bytes": need.start,
        "request_bytes": need.request,
        "limits": {EPC: canonical(need.request)},
    }


def _print(outcome: SizeOutcome) -> None:
    if outcome.need is None:
        say(f"{outcome.file}: {outcome.error or _NO_ENCLAVE}")
        return
    need = outcome.need
    say(f"{outcome.file}: an enclave of {need.family}")
    for name, pages in _rows(need):
        say(f"  {name:<52} {pages:>10,} pages")
    if need.processes > 1:
        say(f"  processes, each an enclave of its own                {need.processes:>10,}")
    say(f"  it takes {_amount(need.start)} when it has started" + _at_most(need))
    if need.left_out:
        say(f"  not counted: {need.left_out}")
    if need.grows_unbounded:
        say("  it grows as it likes, so this is the least: run it, look at donjon epc top, and ask for what it takes then")
    say("  for the container, under resources.limits:")
    say(f'    {EPC}: "{canonical(need.request)}"  # or, as the AKS FAQ has it, {FAQ_EPC}: {need.request // MIB}')


def _rows(need: EpcNeed) -> list[tuple[str, int]]:
    rows = [(each.name, each.pages) for each in need.parts]
    rows += [("that may be added while it runs (EDMM)", need.growth)] if need.growth else []
    return [*rows, ("SECS, and version numbers", need.control)]


def _amount(size: int) -> str:
    return f"{size / MIB:,.1f} MiB" if size >= MIB else f"{size >> 10} KiB"


def _at_most(need: EpcNeed) -> str:
    return f", and at most {need.request / MIB:,.0f} MiB later" if need.growth else ""
