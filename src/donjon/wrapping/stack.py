"""Layers laid one over the other, from the lowest up, as a container runtime unpacks them: what remains is what a program finds.

Source: OCI image specification v1.1, `layer.md`; containerd, `pkg/archive/tar.go` (links on an entry's way are followed, within
the root; what stands there is replaced, but for a folder by a folder).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from donjon.errors import Malformed
from donjon.wrapping.tree import FOLDER, MAX_NODES, MAX_PATH, FileNode, FileTree, NodeKind, normal, parent

WHITEOUT, OPAQUE, AUFS = ".wh.", ".wh..wh..opq", ".wh..wh."


@dataclass(frozen=True, slots=True, kw_only=True)
class StackEntry:
    """One entry of a layer: a node, or a hard link to what stands at another path."""

    path: str
    node: FileNode | None
    link: str = ""  # of a hard link: the path, where `node` is none


@dataclass(slots=True)
class FileStack:
    """What has been unpacked; the one thing in this room that changes."""

    nodes: dict[str, FileNode] = field(default_factory=lambda: {"/": FOLDER})
    children: dict[str, set[str]] = field(default_factory=dict)

    def lay(self, layer: Iterable[StackEntry]) -> None:
        """Lay one more layer over it; raises `Malformed` DJ391 for too much, circles, and hard links to nothing."""
        own: set[str] = set()
        for entry in layer:
            folder, name = self._place(entry.path)
            if name == OPAQUE:
                self._empty(folder, own)
            elif name.startswith(AUFS):
                continue
            elif name.startswith(WHITEOUT):
                self._remove(normal(name[len(WHITEOUT) :], folder))
            elif name:
                path = normal(name, folder)
                self._put(path, self._node(entry))
                own.add(path)

    def tree(self) -> FileTree:
        """What remains."""
        return FileTree(dict(self.nodes), {path: tuple(sorted(names)) for path, names in self.children.items()})

    def _place(self, path: str) -> tuple[str, str]:
        """The folder that an entry comes to stand in, links on its way followed, and its name there."""
        whole = normal(path)
        if len(whole) > MAX_PATH:
            raise Malformed("DJ391", f"a path of {len(whole)} characters, expected at most {MAX_PATH}")
        return self._resolve(parent(whole)), whole.rpartition("/")[2]

    def _resolve(self, path: str) -> str:
        return FileTree(self.nodes).resolve(path)

    def _node(self, entry: StackEntry) -> FileNode:
        if entry.node is not None:
            return entry.node
        folder, name = self._place(entry.link)
        there = self.nodes.get(normal(name, folder))
        if there is None or there.kind is NodeKind.FOLDER:
            raise Malformed("DJ391", f"{entry.path}: a hard link to {entry.link}, where no file stands")
        return there

    def _put(self, path: str, node: FileNode) -> None:
        there = self.nodes.get(path)
        if there is not None and not (there.kind is node.kind is NodeKind.FOLDER):
            self._remove(path)
        if len(self.nodes) >= MAX_NODES:
            raise Malformed("DJ391", f"an image of more than {MAX_NODES} files")
        self.nodes[path] = node
        self._hang(path)

    def _hang(self, path: str) -> None:
        while path != "/":
            folder, name = parent(path), path.rpartition("/")[2]
            names = self.children.setdefault(folder, set())
            if name in names:
                return
            names.add(name)
            if self.nodes.setdefault(folder, FOLDER).kind is not NodeKind.FOLDER:
                self._remove_below(folder)
                self.nodes[folder] = FOLDER
            path = folder

    def _empty(self, folder: str, but: set[str]) -> None:
        for name in tuple(self.children.get(folder, ())):
            path = normal(name, folder)
            if path not in but and not any(each.startswith(path + "/") for each in but):
                self._remove(path)

    def _remove(self, path: str) -> None:
        if path in self.nodes:
            self._remove_below(path)
            del self.nodes[path]
            self.children.get(parent(path), set()).discard(path.rpartition("/")[2])

    def _remove_below(self, path: str) -> None:
        todo = [path]
        while todo:
            folder = todo.pop()
            for name in self.children.pop(folder, ()):
                inner = normal(name, folder)
                self.nodes.pop(inner, None)
                todo.append(inner)


def stack_of(layers: Iterable[Iterable[StackEntry]]) -> FileTree:
    """The file system of all layers, the lowest first."""
    stack = FileStack()
    for layer in layers:
        stack.lay(layer)
    return stack.tree()
