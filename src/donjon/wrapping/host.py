"""What Gramine's loader needs outside of the enclave: it is a program of the base image, and is to run in the application's."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from donjon.enclave.linkage import ProgramLinks
from donjon.findings import Finding
from donjon.wrapping.application import library_folders
from donjon.wrapping.contents import ImageContents, closure
from donjon.wrapping.gramine import GramineFiles
from donjon.wrapping.tree import normal, parent

FOLDER = "/gramine/host"
"""Where libraries stand that the loader needs and the application's image has not."""
_LIBC = "libc.so.6"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderNeeds:
    """What is to be copied from the base image beside Gramine itself, and why the loader could not start."""

    files: Mapping[str, str]  # from the path in the base image to that in the wrapped one, whose links are followed
    findings: tuple[Finding, ...]


def loader_needs(base: ImageContents, gramine: GramineFiles, image: ImageContents) -> LoaderNeeds:
    """The libraries of the loader: the application's own where it has them, else the base image's.

    A C library and its loader are one: both are the application's, or both are the base image's.
    """
    loader = base.program(gramine.loader)
    if loader is None:
        do = "name a base image for linux/amd64"
        return LoaderNeeds(
            files={}, findings=(Finding.error("DJ394", gramine.loader, "is no program", "nothing can start it", do),)
        )
    own = closure(base, loader.needed, library_folders(base.tree, base.texts))
    files, findings = dict[str, str](), list(_absent(gramine, own.missing))
    has_libc = not loader.interpreter or image.tree.file(loader.interpreter) is not None
    if has_libc:
        findings += _too_old(gramine, loader, image)
    else:
        files[base.tree.resolve(loader.interpreter)] = _beside_links(image, loader.interpreter)
    theirs = closure(image, loader.needed, library_folders(image.tree, image.texts)).there if has_libc else {}
    files |= {path: f"{FOLDER}/{name}" for name, path in sorted(own.there.items()) if name not in theirs and not _is_loader(name)}
    return LoaderNeeds(files=files, findings=tuple(findings))


def _is_loader(name: str) -> bool:
    return name.startswith("ld-linux")  # It is loaded already, by its own path.


def _beside_links(image: ImageContents, path: str) -> str:
    """The path in the application's image with links to folders followed, so that no link is written over."""
    return normal(path.rpartition("/")[2], image.tree.resolve(parent(path)))


def _absent(gramine: GramineFiles, names: tuple[str, ...]) -> Iterator[Finding]:
    if names:
        do = "name a base image in which Gramine runs"
        yield Finding.error("DJ394", gramine.loader, f"needs {', '.join(names)}, which is not there", "it could not start", do)


def _too_old(gramine: GramineFiles, loader: ProgramLinks, image: ImageContents) -> Iterator[Finding]:
    libc = closure(image, (_LIBC,), library_folders(image.tree, image.texts)).there.get(_LIBC)
    links = image.program(libc) if libc else None
    has = frozenset(links.provides) if links else frozenset[str]()
    lacks = sorted({version for library, version in loader.versions if library == _LIBC} - has)
    if lacks:
        words = f"needs {lacks[-1]} of the C library, which the application's image has not"
        why = "the loader runs outside of the enclave, with the application's C library"
        yield Finding.error(
            "DJ394", gramine.loader, words, why, "name a base image of the application's distribution, or an older one"
        )
