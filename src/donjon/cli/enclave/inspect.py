"""What `donjon enclave inspect` prints: what of a file, or of what an image starts, would start processes; Gramine's manifest."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from donjon.cli.enclave.contents import ImageStarts, image_starts
from donjon.cli.enclave.view import MAX_FILE
from donjon.cli.files import bare_content, display_name
from donjon.cli.registries import image_named
from donjon.cli.terminal import print_finding, say, say_json
from donjon.enclave.gramine import GramineManifest, looks_like_manifest, read_manifest
from donjon.enclave.processes import ProgramStart, StartKind, program_start, start_findings, start_servers
from donjon.errors import EXIT_CODES, EXIT_NO, EXIT_YES, DonjonError, Malformed
from donjon.findings import Finding, Severity
from donjon.formats.json import Json, JsonObject
from donjon.formats.words import printable
from donjon.images.access import RegistryAccess
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


def inspect(names: tuple[str, ...], access: RegistryAccess, form: str) -> int:
    """Print what each file or image tells; the highest exit code."""
    outcomes = [outcome for name in names for outcome in _look(name, access)]
    if form == "json":
        items: list[Json] = [_document(each) for each in outcomes]
        say_json(items)
    for each in outcomes if form != "json" else ():
        _print(each)
    return max(each.exit_code for each in outcomes)


def _look(name: str, access: RegistryAccess) -> tuple[InspectOutcome, ...]:
    try:
        reference = image_named(name)
        if reference is not None:
            return tuple(_of_image(str(reference), image_starts(reference, access)))
        return (_of_content(display_name(name), name, bare_content(name, MAX_FILE)),)
    except DonjonError as error:
        return (InspectOutcome(name=display_name(name), error=error),)


def _of_content(name: str, path: str, content: bytes) -> InspectOutcome:
    try:
        if looks_like_manifest(content):
            return InspectOutcome(name=name, manifest=read_manifest(content))
        return _of_start(name, program_start(path, content))
    except Malformed as error:
        return InspectOutcome(name=name, error=error)


def _of_start(name: str, start: ProgramStart) -> InspectOutcome:
    return InspectOutcome(name=name, start=start, findings=tuple(start_findings(name, start)))


def _of_image(name: str, starts: ImageStarts) -> Iterator[InspectOutcome]:
    """Each program that the image starts, servers that are named behind it, and Gramine's manifests."""
    for word, file in starts.programs.items():
        if file is None:
            yield _of_start(f"{name}: {printable(word)}", ProgramStart(path=printable(word), kind=StartKind.AWAY))
        else:
            path = printable(file.path)
            yield _of_content(f"{name}: {path}", path, file.content)
    for server in start_servers(starts.config.entrypoint, starts.config.command):
        yield _of_start(f"{name}: {printable(server.path)}", replace(server, path=printable(server.path)))
    for file in starts.manifests:
        yield _of_content(f"{name}: {printable(file.path)}", file.path, file.content)
    if not starts.programs:
        yield InspectOutcome(name=name, start=ProgramStart(path="", kind=StartKind.AWAY))


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
    if start.kind is StartKind.AWAY:
        return (
            "it starts this, and has no such file: nothing can be told of it"
            if start.path
            else "it says of nothing that it starts it"
        )
    if start.kind is StartKind.OTHER:
        return "named in its command" if start.server else "neither a program nor a script"
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
