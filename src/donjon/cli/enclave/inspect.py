"""What `donjon enclave inspect` prints: what of a file, or of what an image starts, would start processes; Gramine's manifest."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from donjon.cli.enclave.contents import MANIFEST, ImageStarts, ManifestFiles, image_starts, signature_path
from donjon.cli.enclave.view import MAX_FILE
from donjon.cli.files import bare_content, display_name
from donjon.cli.registries import image_named
from donjon.cli.terminal import print_finding, say, say_json
from donjon.enclave.gramine import (
    GramineManifest,
    looks_like_manifest,
    manifest_measurement,
    pair_findings,
    read_manifest,
)
from donjon.enclave.gramine_description import manifest_document, manifest_lines
from donjon.enclave.image_programs import start_servers
from donjon.enclave.processes import ProgramStart, StartKind, program_start, start_findings
from donjon.errors import EXIT_CODES, EXIT_NO, EXIT_YES, DonjonError, Malformed
from donjon.findings import Finding, Severity
from donjon.formats.json import Json, JsonObject
from donjon.formats.words import printable
from donjon.images.access import RegistryAccess
from donjon.sgx.sigstruct import SigStruct


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectOutcome:
    """What a file tells, or why it tells nothing."""

    name: str
    start: ProgramStart | None = None
    manifest: GramineManifest | None = None
    measurement: bytes | None = None  # of the manifest and a libpal.so
    signature: bytes | None = None  # MRENCLAVE that was signed
    findings: tuple[Finding, ...] = ()
    error: DonjonError | None = None

    @property
    def exit_code(self) -> int:
        """As `donjon.errors` says for an error; no where something says that processes are started."""
        if self.error is not None:
            return next(code for family, code in EXIT_CODES.items() if isinstance(self.error, family))
        return EXIT_NO if any(each.severity is not Severity.INFO for each in self.findings) else EXIT_YES


def inspect(names: tuple[str, ...], access: RegistryAccess, pal: str | None, form: str) -> int:
    """Print what each file or image tells; the highest exit code."""
    outcomes = [outcome for name in names for outcome in _look(name, access, pal)]
    if form == "json":
        items: list[Json] = [_document(each) for each in outcomes]
        say_json(items)
    for each in outcomes if form != "json" else ():
        _print(each)
    return max(each.exit_code for each in outcomes)


def _look(name: str, access: RegistryAccess, pal: str | None) -> tuple[InspectOutcome, ...]:
    try:
        reference = image_named(name)
        if reference is not None:
            return tuple(_of_image(str(reference), image_starts(reference, access)))
        return (_of_file(name, pal),)
    except DonjonError as error:
        return (InspectOutcome(name=display_name(name), error=error),)


def _of_file(file: str, pal: str | None) -> InspectOutcome:
    content = bare_content(file, MAX_FILE)
    if not looks_like_manifest(content):
        return _of_content(display_name(file), file, content)
    signature = Path(signature_path(file))
    files = ManifestFiles(
        path=file,
        manifest=content,
        pal=b"" if pal is None else bare_content(pal, MAX_FILE),
        signature=bare_content(str(signature), SigStruct.SIZE) if signature.is_file() and file.endswith(MANIFEST) else b"",
    )
    return _of_gramine(display_name(file), files)


def _of_content(name: str, path: str, content: bytes) -> InspectOutcome:
    try:
        return _of_start(name, program_start(path, content))
    except Malformed as error:
        return InspectOutcome(name=name, error=error)


def _of_gramine(name: str, files: ManifestFiles) -> InspectOutcome:
    try:
        manifest = read_manifest(files.manifest)
        measurement = manifest_measurement(files.manifest, manifest, files.pal) if files.pal else None
    except Malformed as error:
        return InspectOutcome(name=name, error=error)
    signature = SigStruct(files.signature).mr_enclave if len(files.signature) == SigStruct.SIZE else None
    findings = tuple(pair_findings(name, measurement, signature))
    return InspectOutcome(name=name, manifest=manifest, measurement=measurement, signature=signature, findings=findings)


def _of_start(name: str, start: ProgramStart) -> InspectOutcome:
    return InspectOutcome(name=name, start=start, findings=tuple(start_findings(name, start)))


def _of_image(name: str, starts: ImageStarts) -> Iterator[InspectOutcome]:
    """Each program that the image starts, servers that are named behind it, and Gramine's manifests."""
    for word in (word for word, file in starts.programs.items() if file is None):
        yield _of_start(f"{name}: {printable(word)}", ProgramStart(path=printable(word), kind=StartKind.AWAY))
    for path, content in {file.path: file.content for file in starts.programs.values() if file is not None}.items():
        yield _of_content(f"{name}: {printable(path)}", printable(path), content)
    for library in starts.libraries:
        outcome = _of_content(f"{name}: {printable(library.path)}", printable(library.path), library.content)
        if outcome.start is not None and outcome.start.imports:
            yield outcome
    for server in start_servers(starts.config.entrypoint, starts.config.command):
        yield _of_start(f"{name}: {printable(server.path)}", replace(server, path=printable(server.path)))
    for files in starts.manifests:
        yield _of_gramine(f"{name}: {printable(files.path)}", files)
    if not starts.programs:
        yield InspectOutcome(name=name, start=ProgramStart(path="", kind=StartKind.AWAY))


def _document(outcome: InspectOutcome) -> JsonObject:
    if outcome.error is not None:
        return {"file": outcome.name, "error": str(outcome.error)}
    findings: list[Json] = [{**each.as_dict()} for each in outcome.findings]
    return {
        "file": outcome.name,
        **_start(outcome.start),
        "gramine": None if outcome.manifest is None else _gramine(outcome, outcome.manifest),
        "findings": findings,
    }


def _start(start: ProgramStart | None) -> JsonObject:
    if start is None:
        return {}
    return {"kind": str(start.kind), "interpreter": start.interpreter or None, "imports": list(start.imports)}


def _gramine(outcome: InspectOutcome, manifest: GramineManifest) -> JsonObject:
    return {
        "measured": None if outcome.measurement is None else outcome.measurement.hex(),
        "mrenclave": None if outcome.signature is None else outcome.signature.hex(),
        **manifest_document(manifest),
    }


def _print(outcome: InspectOutcome) -> None:
    if outcome.error is not None:
        say(f"{outcome.name}: {outcome.error}")
    elif outcome.manifest is not None:
        say(f"{outcome.name}: a manifest of Gramine")
        for label, value in (*manifest_lines(outcome.manifest), ("MRENCLAVE", _measurement(outcome))):
            say(f"  {label:<13} {value}")
    elif outcome.start is not None:
        say(f"{outcome.name}: {_words(outcome.start)}")
    for finding in outcome.findings:
        print_finding(finding)


def _measurement(outcome: InspectOutcome) -> str:
    if outcome.measurement is None:
        why = "not worked out: it is measured with libpal.so (--pal)"
        return why if outcome.signature is None else f"{outcome.signature.hex()} by its signature; {why}"
    if outcome.signature is None:
        return f"{outcome.measurement.hex()}, as Gramine 1.6 to 1.9 measures it; no signature is beside it"
    same = outcome.measurement == outcome.signature
    return f"{outcome.measurement.hex()}: " + ("the same that was signed" if same else "not the one that was signed")


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
