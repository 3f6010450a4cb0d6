"""What would stop an application in an enclave, and what it would start: of its image, and of the image with Gramine."""

from collections.abc import Mapping
from dataclasses import dataclass

from donjon.enclave.processes import ProgramStart, program_start, start_findings
from donjon.findings import Finding
from donjon.wrapping.application import Application, application_of, interpreter_of, library_folders
from donjon.wrapping.calls import absent_calls, imports_of
from donjon.wrapping.contents import ImageContents, closure
from donjon.wrapping.gramine import GramineFiles, LibcKind, find_gramine
from donjon.wrapping.host import loader_needs
from donjon.wrapping.obstacles import GramineFacts, ImageFacts, obstacles
from donjon.wrapping.tree import FileNode


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramTexts:
    """What the program of an image and its libraries tell of what they would do."""

    start: ProgramStart
    imports: Mapping[str, frozenset[str]]  # by path


def programs_of(image: ImageContents) -> Mapping[str, FileNode]:
    """The program or script that the image starts, which is the first; what runs it; and the libraries of that, by path."""
    application = application_of(image.config, image.tree, image.texts)
    paths = (application.program, *image_facts(image, application).links)
    nodes = {path: node for path in paths if (node := image.tree.file(path)) is not None}
    firsts = {node.sha256: path for path, node in reversed(nodes.items())}
    return {path: node for path, node in nodes.items() if firsts[node.sha256] == path}


def read_programs(programs: Mapping[str, FileNode], contents: Mapping[bytes, bytes]) -> ProgramTexts:
    """What their contents tell, which are here by their hashes; raises `Malformed` DJ310 for a program that is none."""
    path, node = next(iter(programs.items()))
    imports = {each: imports_of(contents.get(other.sha256, b"")) for each, other in programs.items()}
    return ProgramTexts(start=program_start(path, contents.get(node.sha256, b"")), imports=imports)


def inspect(image: ImageContents, base: ImageContents | None, programs: ProgramTexts) -> tuple[Finding, ...]:
    """What would stop the application, and what it would start; with a base image, also what in that would stop it."""
    application = application_of(image.config, image.tree, image.texts)
    gramine = find_gramine(base.tree, base.reference) if base else None
    findings = obstacles(image_facts(image, application), gramine_facts(base, gramine) if base and gramine else None)
    of_loader = loader_needs(base, gramine, image).findings if base and gramine else ()
    return (*findings, *of_loader, *start_findings(application.program, programs.start), *absent_calls(programs.imports))


def image_facts(image: ImageContents, application: Application) -> ImageFacts:
    """What obstacles are looked for in."""
    interpreter = interpreter_of(image.script(application.program), application, image.tree)
    program = image.program(interpreter or application.program) if interpreter else image.program(application.program)
    libraries = closure(image, program.needed, library_folders(image.tree, image.texts)).there.values() if program else ()
    paths = (image.tree.resolve(interpreter or application.program), *libraries)
    return ImageFacts(
        config=image.config,
        tree=image.tree,
        application=application,
        program=program,
        interpreter=interpreter,
        links={path: links for path in paths if (links := image.program(path)) is not None},
    )


def gramine_facts(base: ImageContents, gramine: GramineFiles) -> GramineFacts:
    """What an application is held against."""
    libc = base.program(f"{gramine.runtime(LibcKind.GLIBC)}/libc.so.6")
    return GramineFacts(runtimes=gramine.runtimes, glibc=() if libc is None else tuple(filter(_is_version, libc.provides)))


def _is_version(name: str) -> bool:
    """Whether that is a version, and not the library's own name."""
    return name.startswith("GLIBC_")
