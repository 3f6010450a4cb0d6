"""What `donjon enclave inspect` prints: what would start processes, and what Gramine's manifest says."""

from collections.abc import Iterator
from dataclasses import dataclass

from donjon.cli.enclave.view import MAX_FILE
from donjon.cli.files import bare_content, display_name
from donjon.cli.terminal import print_finding, say, say_json
from donjon.enclave.gramine import GramineManifest, looks_like_manifest, read_manifest
from donjon.enclave.processes import ProgramStart, StartKind, program_start, start_findings
from donjon.errors import EXIT_CODES, EXIT_NO, EXIT_YES, DonjonError
from donjon.findings import Finding, Severity
from donjon.formats.json import Json, JsonObject
from donjon.kube.quantities import readable

MOST_NAMED = 5  # allowed files in one line


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectOutcome:
    """What a file tells, or why it tells nothing."""

    name: str
    start: ProgramStart | None = None
    manifest: GramineManifest | None = None
    findings: tuple[Finding, ...] = ()
    error: DonjonError | None = None

    @property
    def exit_code(self) -> int:
        """As `donjon.errors` says for an error; no where something says that processes are started."""
        if self.error is not None:
            return next(code for family, code in EXIT_CODES.items() if isinstance(self.error, family))
        return EXIT_NO if any(each.severity is not Severity.INFO for each in self.findings) else EXIT_YES


def inspect(names: tuple[str, ...], form: str) -> int:
    """Print what each file tells; the highest exit code."""
    outcomes = [_look(name) for name in names]
    if form == "json":
        items: list[Json] = [_document(each) for each in outcomes]
        say_json(items)
    for each in outcomes if form != "json" else ():
        _print(each)
    return max(each.exit_code for each in outcomes)


def _look(file: str) -> InspectOutcome:
    name = display_name(file)
    try:
        return outcome_of(name, file, bare_content(file, MAX_FILE))
    except DonjonError as error:
        return InspectOutcome(name=name, error=error)


def outcome_of(name: str, path: str, content: bytes) -> InspectOutcome:
    """What a file's content tells; raises `Malformed` where it is not what it says."""
    if looks_like_manifest(content):
        return InspectOutcome(name=name, manifest=read_manifest(content))
    start = program_start(path, content)
    return InspectOutcome(name=name, start=start, findings=tuple(start_findings(name, start)))


def _document(outcome: InspectOutcome) -> JsonObject:
    if outcome.error is not None:
        return {"file": outcome.name, "error": str(outcome.error)}
    findings: list[Json] = [{**each.as_dict()} for each in outcome.findings]
    return {
        "file": outcome.name,
        **_start(outcome.start),
        "gramine": None if outcome.manifest is None else _manifest(outcome.manifest),
        "findings": findings,
    }


def _start(start: ProgramStart | None) -> JsonObject:
    if start is None:
        return {}
    return {"kind": str(start.kind), "interpreter": start.interpreter or None, "imports": list(start.imports)}


def _manifest(manifest: GramineManifest) -> JsonObject:
    return {
        "entry": manifest.entry,
        "enclave_size": manifest.enclave_size,
        "threads": manifest.threads,
        "edmm": manifest.has_edmm,
        "preheat": manifest.is_preheated,
        "debug": manifest.debug,
        "remote_attestation": manifest.attestation,
        "product_id": manifest.product_id,
        "svn": manifest.svn,
        "trusted_files": manifest.trusted_files,
        "allowed_files": list(manifest.allowed_files),
        "insecure": list(manifest.insecure),
    }


def _print(outcome: InspectOutcome) -> None:
    if outcome.error is not None:
        say(f"{outcome.name}: {outcome.error}")
    elif outcome.manifest is not None:
        say(f"{outcome.name}: a manifest of Gramine")
        for label, value in _lines(outcome.manifest):
            say(f"  {label:<13} {value}")
    elif outcome.start is not None:
        say(f"{outcome.name}: {_words(outcome.start)}")
    for finding in outcome.findings:
        print_finding(finding)


def _words(start: ProgramStart) -> str:
    if start.kind is StartKind.OTHER:
        return "neither a program nor a script"
    kind = f"a script for {start.interpreter}" if start.interpreter else f"a {start.kind}"
    return kind if start.imports or start.is_shell or start.server else f"{kind}; nothing in it says that it starts processes"


def _lines(manifest: GramineManifest) -> Iterator[tuple[str, str]]:
    size = readable(manifest.enclave_size)
    yield "starts", manifest.entry or "nothing that it names"
    yield (
        "enclave",
        f"{size} of addresses, " + ("added when used (EDMM)" if manifest.has_edmm else "all of it added when it starts"),
    )
    yield "threads", f"{manifest.threads}" + (", more when needed" if manifest.has_edmm else " at most")
    yield "debug", "yes: whoever runs its host reads its memory" if manifest.debug else "no"
    yield "attestation", "none: nobody can tell from afar what runs" if manifest.attestation == "none" else manifest.attestation
    yield "product id", f"{manifest.product_id}, SVN {manifest.svn}"
    yield "trusts", f"{manifest.trusted_files} files by their hashes"
    files = ", ".join(manifest.allowed_files[:MOST_NAMED]) + (", …" if len(manifest.allowed_files) > MOST_NAMED else "")
    yield "allows", f"{len(manifest.allowed_files)} files whatever is in them" + (f": {files}" if files else "")
    if manifest.insecure:
        yield "insecure", ", ".join(manifest.insecure)
