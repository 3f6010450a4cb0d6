"""What would stop an application in an enclave, before anything is built: each with why, and what to do.

Source: gramineproject/gramine v1.9, `Documentation/devel/features.md` and `Documentation/performance.rst`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from donjon.enclave.linkage import ProgramLinks
from donjon.findings import Finding
from donjon.images.image import ImageConfig
from donjon.wrapping.application import Application
from donjon.wrapping.gramine import LibcKind
from donjon.wrapping.tree import FileTree, NodeKind

BIG = 256 << 20  # bytes of one file: it is read and hashed whole when it is opened
MANY = 20_000  # paths of files: their hashes stand in the manifest, which is copied into the enclave
SETUID, SETGID = 0o4000, 0o2000
PRIVILEGED = 1024
_EXAMPLES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """What is known of an image that is to be wrapped."""

    config: ImageConfig
    tree: FileTree
    application: Application
    program: ProgramLinks | None  # `None`: no ELF file
    interpreter: str = ""  # of a script, as its first line says it
    links: Mapping[str, ProgramLinks]  # by path: the program's and its libraries'


@dataclass(frozen=True, slots=True, kw_only=True)
class GramineFacts:
    """What is known of the Gramine that it is to run in."""

    runtimes: tuple[LibcKind, ...]
    glibc: tuple[str, ...] = ()  # versions that its glibc has


Check = Callable[[ImageFacts], Iterator[Finding]]


def obstacles(facts: ImageFacts, gramine: GramineFacts | None) -> tuple[Finding, ...]:
    """All of them, those first by which nothing would run."""
    findings = [finding for check in _CHECKS for finding in check(facts)]
    if gramine is not None:
        findings += [*_runtime(facts, gramine), *_glibc(facts, gramine)]
    return tuple(sorted(findings, key=lambda each: _WEIGHT[each.severity]))


_WEIGHT = {"error": 0, "warning": 1, "info": 2}


def libc_of(program: ProgramLinks | None) -> LibcKind | None:
    """The C library that a program is linked with; `None` where it is linked with none."""
    if program is None or not program.interpreter:
        return None
    return LibcKind.MUSL if "/ld-musl-" in program.interpreter else LibcKind.GLIBC


def _machine(facts: ImageFacts) -> Iterator[Finding]:
    if facts.config.architecture not in {"", "amd64"} or (facts.program is not None and not facts.program.is_amd64):
        words = "is not for amd64"
        yield _stop(facts, words, "SGX is of Intel's processors alone", "wrap the image's variant for linux/amd64")


def _script(facts: ImageFacts) -> Iterator[Finding]:
    if facts.program is not None:
        return
    if not facts.interpreter:
        yield _stop(facts, "is neither a program nor a script", "nobody can start it", "say another with --entrypoint")
    elif facts.tree.file(facts.interpreter) is None:
        yield _stop(facts, f"is a script for {facts.interpreter}, which is not there", "nobody can start it", "say --entrypoint")


def _static(facts: ImageFacts) -> Iterator[Finding]:
    if facts.program is None or not (facts.program.is_static or facts.program.is_go):
        return
    words = "is written in Go" if facts.program.is_go else "is linked statically"
    yield Finding.warning(
        "DJ395",
        facts.application.program,
        f"{words}: it calls the kernel itself, not by a C library",
        "each such call leaves the enclave by an exception, at many times the cost, and Gramine tests few such programs",
        "link it with the C library where its language can; else measure it before you rely on it",
    )


def _setuid(facts: ImageFacts) -> Iterator[Finding]:
    paths = [path for path, node in facts.tree.nodes.items() if node.kind is NodeKind.FILE and node.mode & (SETUID | SETGID)]
    if facts.application.program in paths:
        words = "has the set-user-id bit"
        yield Finding.warning("DJ395", facts.application.program, words, "Gramine knows one user and no such bit", "set USER")
    elif paths:
        examples = ", ".join(sorted(paths)[:_EXAMPLES])
        yield Finding.info(
            "DJ395",
            "files",
            f"{len(paths)} have the set-user-id or set-group-id bit ({examples})",
            "it has no effect in an enclave",
        )


def _size(facts: ImageFacts) -> Iterator[Finding]:
    big = sorted((node.size, path) for path, node in facts.tree.nodes.items() if node.size > BIG)
    for size, path in big[-_EXAMPLES:]:
        yield Finding.warning(
            "DJ396",
            path,
            f"has {size >> 20} MiB",
            "an enclave reads and hashes a file whole when it opens it",
            "mount it (--mount), encrypted where it matters; or split it",
        )


def _ports(facts: ImageFacts) -> Iterator[Finding]:
    ports = [
        port for port in facts.config.exposed_ports if (number := port.split("/")[0]).isdecimal() and int(number) < PRIVILEGED
    ]
    if ports and facts.application.uid:
        yield Finding.warning(
            "DJ395",
            facts.application.program,
            f"listens at {', '.join(ports[:_EXAMPLES])} and is no root",
            "the host binds the port, as the container's user: what the image does to be allowed it must still hold there",
            "let it listen at 1024 or above, behind a Service; or give the container NET_BIND_SERVICE",
        )


def _volumes(facts: ImageFacts) -> Iterator[Finding]:
    for path in facts.config.volumes[:_EXAMPLES]:
        yield Finding.warning(
            "DJ396",
            path,
            "is a volume of the image",
            "what is written there would be refused: no file of it is trusted and writable at once",
            f"say --mount {path}:encrypted, {path}:allowed or {path}:tmpfs",
        )


_CHECKS: tuple[Check, ...] = (_machine, _script, _static, _setuid, _size, _ports, _volumes)


def _runtime(facts: ImageFacts, gramine: GramineFacts) -> Iterator[Finding]:
    libc = libc_of(facts.program)
    if libc is not None and libc not in gramine.runtimes:
        there = ", ".join(gramine.runtimes) or "none"
        yield _stop(
            facts,
            f"is linked with {libc}, and the Gramine named brings {there}",
            "its own C library is the one that Gramine's LibOS is called by",
            f"name a base image whose Gramine was built with {libc}",
        )


def _glibc(facts: ImageFacts, gramine: GramineFacts) -> Iterator[Finding]:
    if libc_of(facts.program) is not LibcKind.GLIBC or not gramine.glibc:
        return
    wants = {version: path for path, links in facts.links.items() for library, version in links.versions if "libc.so" in library}
    lacks = sorted({version for version in wants if version.startswith("GLIBC_")} - set(gramine.glibc), key=_order)
    if lacks:
        yield _stop(
            facts,
            f"needs {lacks[-1]} ({wants[lacks[-1]]}), and Gramine's glibc has {max(gramine.glibc, key=_order)} at most",
            "the dynamic linker refuses to start it",
            "name a base image whose Gramine is newer; or build the application on an older distribution",
        )


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.removeprefix("GLIBC_").split(".") if part.isdecimal())


def _stop(facts: ImageFacts, words: str, why: str, do: str) -> Finding:
    return Finding.error("DJ394", facts.application.program, words, why, do)
