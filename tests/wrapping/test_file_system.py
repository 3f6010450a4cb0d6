"""Layers laid over one another as a runtime does it, links followed within the root, and what hostile hands made refused."""

from collections.abc import Mapping

import pytest

from donjon.errors import Malformed
from donjon.wrapping.contents import file_node
from donjon.wrapping.files import trusted_files
from donjon.wrapping.mounts import EnclaveMount, MountKind
from donjon.wrapping.stack import StackEntry, stack_of
from donjon.wrapping.tree import FOLDER, FileNode, FileTree, NodeKind, every_way, file_tree, link_node

NOBODY: tuple[EnclaveMount, ...] = ()


def layer(entries: Mapping[str, bytes | str | FileNode]) -> list[StackEntry]:
    """Bytes are a file, a text is a link, and `=` before it a hard link."""
    made = []
    for path, value in entries.items():
        if isinstance(value, str) and value.startswith("="):
            made.append(StackEntry(path=path, node=None, link=value[1:]))
        else:
            node = file_node(value) if isinstance(value, bytes) else link_node(value) if isinstance(value, str) else value
            made.append(StackEntry(path=path, node=node))
    return made


def stacked(*layers: Mapping[str, bytes | str | FileNode]) -> FileTree:
    return stack_of(map(layer, layers))


def paths(tree: FileTree) -> set[str]:
    return {path for path, node in tree.nodes.items() if node.kind is not NodeKind.FOLDER}


@pytest.mark.parametrize(
    ("layers", "remains"),
    [
        (({"/a": b"1", "/d/b": b"2"}, {"/d/.wh.b": b""}), {"/a"}),
        (({"/d/a": b"1", "/d/e/b": b"2"}, {"/d/.wh..wh..opq": b"", "/d/c": b"3"}), {"/d/c"}),
        (({"/d/a": b"1"}, {"/d/c": b"3", "/d/.wh..wh..opq": b""}), {"/d/c"}),
        (({"/d/a": b"1"}, {"/d": b"a file now"}), {"/d"}),
        (({"/d": b"a file"}, {"/d": FOLDER, "/d/a": b"1"}), {"/d/a"}),
        (({"/usr/lib/a": b"1", "/lib": "usr/lib"}, {"/lib/b": b"2"}), {"/usr/lib/a", "/lib", "/usr/lib/b"}),
        (({"/usr/lib/a": b"1", "/lib": "usr/lib"}, {"/lib": FOLDER, "/lib/b": b"2"}), {"/usr/lib/a", "/lib/b"}),
        (({"/usr/lib/a": b"1", "/lib": "usr/lib"}, {"/lib/.wh.a": b""}), {"/lib"}),
        (({"/a": b"1"}, {"/b": "=/a", "/.wh.a": b""}), {"/b"}),
        (({"/out": "../../../../etc", "/etc/a": b"1"}, {"/out/b": b"2"}), {"/out", "/etc/a", "/etc/b"}),
    ],
)
def test_what_remains_is_what_a_runtime_unpacks(
    layers: tuple[Mapping[str, bytes | str | FileNode], ...], remains: set[str]
) -> None:
    assert paths(stacked(*layers)) == remains


@pytest.mark.parametrize(
    "layers",
    [
        ({"/a": "b", "/b": "a"}, {"/a/file": b""}),
        ({"/a": "=/nothing"},),
        ({"/d": FOLDER, "/a": "=/d"},),
        ({"/" + "a/" * 3000: b""},),
    ],
)
def test_layers_that_lead_in_circles_or_to_nothing_are_refused(layers: tuple[Mapping[str, bytes | str | FileNode], ...]) -> None:
    with pytest.raises(Malformed, match="DJ391"):
        stacked(*layers)


def test_links_are_followed_and_none_leads_out() -> None:
    tree = stacked({"/etc/a": b"1", "/x/up": "../../../..", "/x/y": "up/etc/./a", "/abs": "/x/y"})
    assert tree.resolve("/abs") == "/etc/a"
    assert tree.resolve("/x/up/etc/../etc/a") == "/etc/a"
    assert tree.file("/abs") == tree.at("/etc/a")


@pytest.mark.parametrize("target", ["loop", "/loop", "loop/x", "./../loop"])
def test_a_circle_is_told_and_is_no_file(target: str) -> None:
    tree = stacked({"/loop": target})
    assert tree.file("/loop") is None
    with pytest.raises(Malformed, match="circle"):
        tree.resolve("/loop")


def test_a_file_is_trusted_by_every_path_that_leads_to_it() -> None:
    tree = stacked({"/usr/lib/a": b"1", "/lib": "usr/lib", "/b": "lib/a", "/var/c": b"2", "/dev/d": b"3", "/lost": "nothing"})
    files = trusted_files(tree, NOBODY)
    assert [each.path for each in files.files] == ["/b", "/lib/a", "/usr/lib/a", "/var/c"]
    assert len({each.sha256 for each in files.files}) == 2
    assert files.below("/var") == 1
    assert dict(files.by_top()) == {"/b": 1, "/lib": 1, "/usr": 1, "/var": 1}


def test_what_is_mounted_is_not_trusted() -> None:
    tree = stacked({"/data/a": b"1", "/data2/b": b"2", "/etc/hosts": b"3"})
    mounts = [EnclaveMount(path=path, kind=MountKind.HOST, why="") for path in ("/data", "/etc/hosts")]
    assert [each.path for each in trusted_files(tree, mounts).files] == ["/data2/b"]


def test_a_link_to_a_folder_above_is_not_walked_for_ever() -> None:
    tree = stacked({"/a/b/file": b"1", "/a/b/up": "../..", "/a/root": "/"})
    assert [each.path for each in trusted_files(tree, NOBODY).files] == ["/a/b/file"]


def test_folders_that_links_multiply_are_refused() -> None:
    bomb: dict[str, bytes | str | FileNode] = {"/0/file": b"1"}
    for level in range(1, 30):
        bomb |= {f"/{level}/left": f"/{level - 1}", f"/{level}/right": f"/{level - 1}"}
    with pytest.raises(Malformed, match="DJ396"):
        list(every_way(stacked(bomb), (), 5000))


def test_a_name_that_is_no_utf_8_is_told_and_left_out() -> None:
    files = trusted_files(stacked({"/bad\udcff": b"1", "/good": b"2"}), NOBODY)
    assert [each.path for each in files.files] == ["/good"]
    assert [each.code for each in files.aside] == ["DJ396"]


def test_a_tree_in_which_a_file_holds_others_is_refused() -> None:
    with pytest.raises(Malformed, match="DJ391"):
        file_tree([("/a", file_node(b"1")), ("/a/b", file_node(b"2"))])
