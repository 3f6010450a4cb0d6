"""The whole way from an image to an enclave: its manifest, what is taken from the base image, and what comes of both."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from donjon.errors import Misconfigured
from donjon.findings import Finding
from donjon.formats.json import JsonObject, at
from donjon.wrapping import explanation
from donjon.wrapping import manifest as manifests
from donjon.wrapping.application import Application, application_of, interpreter_of, library_folders
from donjon.wrapping.contents import ImageContents
from donjon.wrapping.files import TrustedFiles, TrustedPath, trusted_files
from donjon.wrapping.gramine import GramineFiles, find_gramine
from donjon.wrapping.host import loader_needs
from donjon.wrapping.inspection import ProgramTexts, image_facts, inspect
from donjon.wrapping.manifest import FOLDER, WrapChoices, manifest_of
from donjon.wrapping.merge import allowed_paths, lay_over, own_trusted, weaknesses
from donjon.wrapping.mounts import EnclaveMount, MountKind, all_mounts
from donjon.wrapping.obstacles import libc_of
from donjon.wrapping.sizing import EnclaveSize, choose_size, parse_size
from donjon.wrapping.tree import FileNode, FileTree, file_tree, link_node, normal, parent

_LINE = 110  # bytes of a file's entry in a manifest, beside its path


@dataclass(frozen=True, slots=True, kw_only=True)
class WrapWishes:
    """What the user says."""

    mounts: tuple[EnclaveMount, ...] = ()
    fragment: JsonObject
    choices: WrapChoices
    size: int | None = None
    threads: int | None = None
    memory: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WrapRequest:
    """What the user says, and what both images hold."""

    image: ImageContents
    base: ImageContents
    programs: ProgramTexts
    wishes: WrapWishes


@dataclass(frozen=True, slots=True, kw_only=True)
class WrapPlan:
    """What is to be built."""

    manifest: JsonObject
    text: bytes  # the manifest: what is measured
    application: Application
    gramine: GramineFiles
    mounts: tuple[EnclaveMount, ...]
    copies: Mapping[str, str]  # from a file's path in the base image to that in the wrapped one
    links: Mapping[str, str]  # from a link's path in the wrapped image to where it leads
    findings: tuple[Finding, ...]

    @property
    def wants(self) -> frozenset[str]:
        """The files of the base image that are to be read."""
        return frozenset(self.copies)


def plan_wrap(request: WrapRequest) -> WrapPlan:
    """What is to be built, and everything worth saying of it.

    Raises `Misconfigured` DJ390 and DJ393, and as everything in this room does that it calls.
    """
    image, base = request.image, request.base
    application = application_of(image.config, image.tree, image.texts)
    gramine = find_gramine(base.tree, base.reference)
    stops = inspect(image, base, request.programs)
    copies, links = _copies(request, gramine)
    tree = _tree(request, copies, links)
    mounts = all_mounts(tree, request.wishes.mounts)
    files = trusted_files(tree, _without(request.wishes.fragment, mounts))
    size = _size(request, application, gramine, files)
    ours = _ours(request, application, gramine, mounts, size)
    manifest = lay_over(ours, request.wishes.fragment)
    _check_program(application, manifest)
    every = {each.path: each for each in (*files.files, *own_trusted(request.wishes.fragment, tree))}
    whole = manifests.with_trusted(manifest, (every[path] for path in sorted(every)))
    text = manifests.encode(whole)
    choices = (*_explain(application, size, mounts, files, len(text)), *weaknesses(manifest, "your manifest"))
    return WrapPlan(
        manifest=whole,
        text=text,
        application=application,
        gramine=gramine,
        mounts=mounts,
        copies=copies,
        links=links,
        findings=(*stops, *choices),
    )


def _copies(request: WrapRequest, gramine: GramineFiles) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Gramine's own files and what its loader needs; and the links among them."""
    base, image = request.base, request.image
    if image.tree.at(gramine.root) is not None or image.tree.at(FOLDER) is not None:
        raise Misconfigured("DJ390", f"{image.reference}: has {gramine.root} or {FOLDER}: it is wrapped already")
    copies, links = dict(loader_needs(base, gramine, image).files), dict[str, str]()
    for path in gramine.paths(base.tree):
        node, place = base.tree.at(path), _beside_links(image.tree, path)
        if node is not None and node.target:
            links[place] = node.target
        else:
            copies[path] = place
    return copies, links


def _beside_links(tree: FileTree, path: str) -> str:
    """The path with links to folders of the image followed: a layer must not write a folder over a link."""
    return normal(path.rpartition("/")[2], tree.resolve(parent(path)))


def _tree(request: WrapRequest, copies: Mapping[str, str], links: Mapping[str, str]) -> FileTree:
    """The file system of what is wrapped."""
    from_base: Iterator[tuple[str, FileNode]] = (
        (place, node) for path, place in copies.items() if (node := request.base.tree.file(path)) is not None
    )
    from_links = ((place, link_node(target)) for place, target in links.items())
    return file_tree([*request.image.tree.nodes.items(), *from_base, *from_links])


def _without(fragment: JsonObject, mounts: Sequence[EnclaveMount]) -> Iterable[EnclaveMount]:
    """What no hash is taken of: what is mounted, and what a user's own manifest allows or mounts."""
    own = at(fragment, "fs", "mounts")
    places = [each.get("path") for each in own if isinstance(each, dict)] if isinstance(own, list) else []
    kind, why = MountKind.HOST, "your manifest"
    paths = (*allowed_paths(fragment), *(normal(each) for each in places if isinstance(each, str)))
    return (*mounts, *(EnclaveMount(path=path, kind=kind, why=why) for path in paths))


def _size(request: WrapRequest, application: Application, gramine: GramineFiles, files: TrustedFiles) -> EnclaveSize:
    nodes = (request.base.tree.file(path) for path in (gramine.pal, gramine.libos))
    own_size, own_threads = (at(request.wishes.fragment, "sgx", name) for name in ("enclave_size", "max_threads"))
    return choose_size(
        interpreter_of(request.image.script(application.program), application, request.image.tree) or application.program,
        size=parse_size(own_size) if isinstance(own_size, str) else request.wishes.size,
        threads=own_threads if isinstance(own_threads, int) else request.wishes.threads,
        memory=request.wishes.memory,
        loads=sum(node.size for node in nodes if node is not None),
        manifest=sum(len(each.path) + _LINE for each in files.files),
    )


def _ours(
    request: WrapRequest, application: Application, gramine: GramineFiles, mounts: Sequence[EnclaveMount], size: EnclaveSize
) -> JsonObject:
    image, facts = request.image, image_facts(request.image, application)
    libos = request.base.tree.file(gramine.libos)
    assert libos is not None, "find_gramine looked"
    folders = library_folders(image.tree, image.texts)
    libc = libc_of(facts.program)
    libraries = ([gramine.runtime(libc)] if libc else [""]) + list(folders)
    trust = TrustedPath(gramine.libos, libos.sha256.hex())
    return manifest_of(application, libos=trust, mounts=mounts, libraries=libraries, size=size, choices=request.wishes.choices)


def _check_program(application: Application, manifest: JsonObject) -> None:
    """Raises `Misconfigured` DJ393 where the host may change the program, or what it is linked with."""
    search = at(manifest, "loader", "env", "LD_LIBRARY_PATH")
    folders = search.split(":") if isinstance(search, str) else []
    for path in allowed_paths(manifest):
        for code in (application.program, *filter(None, folders)):
            if f"{normal(code)}/".startswith(path.rstrip("/") + "/"):
                raise Misconfigured("DJ393", f"{code} is where the program comes from, and {path} is what the host may change")


def _explain(
    application: Application, size: EnclaveSize, mounts: Sequence[EnclaveMount], files: TrustedFiles, length: int
) -> Iterator[Finding]:
    yield from explanation.explain_application(application)
    yield from explanation.explain_size(size)
    yield from explanation.explain_files(files, length)
    yield from explanation.explain_mounts(mounts)
    yield from explanation.explain_fixed()
