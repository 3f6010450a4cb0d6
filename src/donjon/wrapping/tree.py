"""The final file system of an image: what stands at each path, and where its symbolic links lead. Nothing leads out of it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from donjon.enclave.linkage import ProgramLinks
from donjon.errors import Malformed

MAX_NODES = 1_000_000  # of one image
MAX_LINKS = 40  # on one way, as Linux has it (path_resolution(7))
MAX_PATH = 4096  # characters of a path, as Linux has it


class NodeKind(StrEnum):
    """What stands at a path."""

    FILE = "file"
    LINK = "link"
    FOLDER = "folder"
    OTHER = "other"  # a device, a socket, a pipe


@dataclass(frozen=True, slots=True, kw_only=True)
class FileNode:
    """One entry of the file system."""

    kind: NodeKind
    mode: int = 0o644
    size: int = 0
    sha256: bytes = b""  # of a file
    target: str = ""  # of a link
    program: ProgramLinks | None = None  # what a program, or a library, needs
    script: str = ""  # a script's first line
    text: bytes | None = None  # of those few that are read


FOLDER = FileNode(kind=NodeKind.FOLDER, mode=0o755)


def link_node(target: str) -> FileNode:
    """A symbolic link."""
    return FileNode(kind=NodeKind.LINK, mode=0o777, target=target)


def normal(path: str, base: str = "/") -> str:
    """The path as an absolute one without `.`, `..` and `//`; nothing is above the root."""
    parts: list[str] = []
    for part in (path if path.startswith("/") else f"{base}/{path}").split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in {"", "."}:
            parts.append(part)
    return "/" + "/".join(parts)


def parent(path: str) -> str:
    """The folder that a path is in."""
    return path.rpartition("/")[0] or "/"


@dataclass(frozen=True, slots=True)
class FileTree:
    """A file system, by normal absolute paths; folders that nobody names are there all the same."""

    nodes: Mapping[str, FileNode]
    children: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # names in each folder, in order

    def at(self, path: str) -> FileNode | None:
        """What stands there, without following a link at its end."""
        return self.nodes.get(path)

    def resolve(self, path: str) -> str:
        """The path with every link on it followed; raises `Malformed` DJ391 for a circle of links."""
        todo, way, links = [part for part in reversed(normal(path).split("/")) if part], "/", 0
        while todo:
            part = todo.pop()
            if part == "..":
                way = parent(way)
                continue
            way = normal(part, way)
            node = self.nodes.get(way)
            if node is None or node.kind is not NodeKind.LINK:
                continue
            links += 1
            if links > MAX_LINKS or len(todo) > MAX_PATH:
                raise Malformed("DJ391", f"{path}: more than {MAX_LINKS} symbolic links on its way: they lead in a circle")
            todo += [each for each in reversed(node.target.split("/")) if each not in {"", "."}]
            way = "/" if node.target.startswith("/") else parent(way)
        return way

    def file(self, path: str) -> FileNode | None:
        """The regular file that a path leads to; `None` where there is none, or links lead in a circle."""
        try:
            node = self.nodes.get(self.resolve(path))
        except Malformed:
            return None
        return node if node is not None and node.kind is NodeKind.FILE else None

    def kind(self, path: str) -> NodeKind | None:
        """What a path leads to."""
        node = self.nodes.get(self.resolve(path))
        return None if node is None else node.kind


def file_tree(entries: Iterable[tuple[str, FileNode]]) -> FileTree:
    """The tree of what is listed; raises `Malformed` DJ391 for too much of it, or a file in which others stand."""
    nodes: dict[str, FileNode] = {"/": FOLDER}
    children: dict[str, set[str]] = {}
    for path, node in entries:
        _hang(nodes, children, normal(path), node)
        if len(nodes) > MAX_NODES:
            raise Malformed("DJ391", f"an image of more than {MAX_NODES} files")
    return FileTree(nodes, {path: tuple(sorted(names)) for path, names in children.items()})


def _hang(nodes: dict[str, FileNode], children: dict[str, set[str]], path: str, node: FileNode) -> None:
    if len(path) > MAX_PATH:
        raise Malformed("DJ391", f"a path of {len(path)} characters, expected at most {MAX_PATH}")
    nodes[path] = node
    while path != "/":
        folder = parent(path)
        names = children.setdefault(folder, set())
        if (name := path[path.rindex("/") + 1 :]) in names:
            return
        names.add(name)
        if nodes.setdefault(folder, FOLDER).kind is not NodeKind.FOLDER:
            raise Malformed("DJ391", f"{folder}: a {nodes[folder].kind} in which {path} stands")
        path = folder


def every_way(tree: FileTree, without: Iterable[str], bound: int) -> Iterator[tuple[str, FileNode]]:
    """Every path that leads to a regular file, by links to folders too: Gramine knows a file by the path that is asked for.

    Raises `Malformed` DJ396 beyond a number of paths. A link to a folder that one stands in is not followed.
    """
    out, count = frozenset(without), 0
    todo: list[tuple[str, str, tuple[str, ...]]] = [("/", "/", ("/",))]
    while todo:
        path, real, above = todo.pop()
        for name in tree.children.get(real, ()):
            here = normal(name, path)
            if here in out:
                continue
            target = _target(tree, normal(name, real))
            node = None if target is None else tree.at(target)
            if target is None or node is None:
                continue
            count += 1
            if count > bound:
                raise Malformed("DJ396", f"more than {bound} paths lead to files: links to folders multiply them")
            if node.kind is NodeKind.FOLDER and target not in above:
                todo.append((here, target, (*above, target)))
            elif node.kind is NodeKind.FILE:
                yield here, node


def _target(tree: FileTree, path: str) -> str | None:
    node = tree.at(path)
    if node is not None and node.kind is not NodeKind.LINK:
        return path  # Its folder was resolved already.
    try:
        return tree.resolve(path)
    except Malformed:
        return None  # A circle: whoever opens it fails outside of an enclave, too.
