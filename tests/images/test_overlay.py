from collections.abc import Sequence

import pytest

from donjon.errors import Malformed
from donjon.images.overlay import EntryKind, LayerEntry, Overlay
from donjon.images.paths import legible


def file(path: str) -> LayerEntry:
    return LayerEntry(path, EntryKind.FILE, 1)


def folder(path: str) -> LayerEntry:
    return LayerEntry(path, EntryKind.FOLDER)


def symlink(path: str) -> LayerEntry:
    return LayerEntry(path, EntryKind.SYMLINK)


def hard_link(path: str, target: str) -> LayerEntry:
    return LayerEntry(path, EntryKind.HARD_LINK, target=target)


def remains(*layers: Sequence[LayerEntry]) -> list[str]:
    """What remains of layers, the lowest first: a number, a colon and the path."""
    overlay, found = Overlay(), []
    for number, layer in reversed(list(enumerate(layers))):
        found += [f"{number}:{entry.path}" for entry in layer if overlay.place(entry)]
        found += [f"{number}:{link}={source}" for source, links in overlay.links().items() for link in links]
        overlay.next_layer()
    return sorted(found)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([[file("a")], [file("b")]], ["0:a", "1:b"]),
        ([[file("a")], [file("a")]], ["1:a"]),
        ([[file("a/b"), file("a/c")], [file("a/.wh.b")]], ["0:a/c"]),
        ([[file("a/b/c"), file("d")], [file(".wh.a")]], ["0:d"]),
        ([[file("a/b"), file("ab")], [file("a/.wh..wh..opq"), file("a/c")]], ["0:ab", "1:a/c"]),
        ([[file("a")], [file(".wh..wh..opq"), file("b")]], ["1:b"]),
        ([[file("a")], [file(".wh.a")], [file("a")]], ["2:a"]),
        ([[file("a")], [folder("a")]], []),
        ([[file("a")], [file("a/b")]], ["1:a/b"]),
        ([[file("a/b")], [file("a")]], ["1:a"]),
        ([[file("a/b")], [symlink("a")]], []),
        ([[file("a")], [file(".wh..wh.plnk"), file(".wh..wh.aufs")]], ["0:a"]),
        ([[file("a/b")], [folder("a")]], ["0:a/b"]),
    ],
)
def test_layers_above_cover_and_delete(layers: list[list[LayerEntry]], expected: list[str]) -> None:
    assert remains(*layers) == expected


def test_a_whiteout_is_of_layers_below_alone() -> None:
    assert remains([file("a")], [file("a"), file(".wh.a")]) == ["1:a"]


def test_a_hard_link_remains_where_its_file_is_deleted() -> None:
    assert remains([file("a"), hard_link("b", "a"), hard_link("c", "b")], [file(".wh.a")]) == ["0:b=a", "0:c=a"]


def test_a_hard_link_goes_with_its_own_path() -> None:
    assert remains([file("a"), hard_link("b", "a")], [file(".wh.b")]) == ["0:a"]


def test_a_hard_link_to_a_symbolic_link_is_no_file() -> None:
    assert remains([symlink("a"), hard_link("b", "a")]) == []


def test_a_hard_link_to_another_layers_file_is_refused() -> None:
    with pytest.raises(Malformed, match=r"b: a hard link to a.*DJ329"):
        remains([file("a")], [hard_link("b", "a")])


def test_a_file_that_is_written_again_after_a_link_to_it_is_refused() -> None:
    assert remains([file("a"), file("a"), hard_link("b", "a")]) == ["0:a", "0:a", "0:b=a"]
    with pytest.raises(Malformed, match=r"a: written again.*DJ329"):
        remains([file("a"), hard_link("b", "a"), file("a")])


def test_no_two_paths_are_told_alike() -> None:
    paths = ["a\\xff", "a\udcff", "a\\xff\udcff", "a\udcff\udcff", "a\udcff\\xff", "é"]
    told = [legible(path) for path in paths]
    assert len(set(told)) == len(paths)
    assert told[0] == "a\\xff"
    assert [path.startswith("./") for path in told] == [False, True, True, True, True, False]


@pytest.mark.parametrize(
    "layers",
    [
        [[folder("c"), symlink("a"), file("a/b")], [file(".wh.a")]],
        [[folder("c"), symlink("a")], [file("a/b")], [file(".wh.a")]],
        [[symlink("a")], [file("a/b"), folder("a")], [file(".wh.a")]],
        [[symlink("a")], [file("a/b/c")], [file("a")]],
        [[symlink("a")], [file("x"), hard_link("a/b", "x")], [file(".wh.a")]],
    ],
)
def test_a_file_written_through_a_link_that_is_then_deleted_is_not_missed(layers: list[list[LayerEntry]]) -> None:
    with pytest.raises(Malformed, match=r"a: a link.*DJ329"):
        remains(*layers)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([[symlink("a")], [folder("a"), file("a/b")], [file(".wh.a")]], []),
        ([[symlink("a")], [folder("a")], [file("a/b")], [file("a/.wh.b")]], []),
        ([[symlink("a"), file("a/b")], [file("c")]], ["0:a/b", "1:c"]),
        ([[symlink("lib"), file("usr/lib/x")], [file("usr/lib/.wh.x")]], []),
    ],
)
def test_links_that_hide_nothing_are_no_fault(layers: list[list[LayerEntry]], expected: list[str]) -> None:
    assert remains(*layers) == expected
