"""Cgroups by their numbers, in folders of this machine that stand for them: a number is a folder's inode."""

from pathlib import Path

import pytest
from tests.adapters.trees import entry_number

from donjon.adapters.epc import folders
from donjon.adapters.epc.folders import CgroupFolders


def number(path: Path) -> int:
    path.mkdir(parents=True, exist_ok=True)
    return entry_number(path)


def of_v2(root: Path) -> Path:
    number(root)
    (root / "cgroup.controllers").touch()
    return root


def test_a_number_of_v2_is_looked_for_where_v2_is_and_nowhere_else(tmp_path: Path) -> None:
    root = tmp_path / "sys/fs/cgroup"
    of_cpu, of_memory = number(root / "cpu/a"), number(root / "memory/a")
    paths = CgroupFolders(tmp_path)
    assert paths.unified({of_cpu, of_memory}) == {}
    inner = number(of_v2(root / "unified") / "b/c")
    assert paths.unified({of_cpu, of_memory, inner, 0}) == {inner: "/b/c"}


def test_where_all_is_v2_it_is_looked_for_there(tmp_path: Path) -> None:
    container = number(of_v2(tmp_path / "sys/fs/cgroup") / "kubepods/pod1")
    assert CgroupFolders(tmp_path).unified({container, 1}) == {container: "/kubepods/pod1"}


def test_a_number_of_the_memory_controller_is_looked_for_there(tmp_path: Path) -> None:
    root = tmp_path / "sys/fs/cgroup"
    numbers = {number(root / "memory/c/d"), number(root / "cpu/c/d")}
    assert list(CgroupFolders(tmp_path).memory(numbers).values()) == ["/c/d"]


def test_without_cgroups_nothing_is_found(tmp_path: Path) -> None:
    assert CgroupFolders(tmp_path).unified({1}) == CgroupFolders(tmp_path).memory({1}) == {}


def test_outer_folders_go_first_and_no_more_than_so_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = of_v2(tmp_path / "sys/fs/cgroup")
    deep = {number(root / f"a/{each}/x") for each in range(20)}
    outer = number(root / "z/container")
    monkeypatch.setattr(folders, "MAX_FOLDERS", 8)
    paths = CgroupFolders(tmp_path).unified({outer, *deep})
    assert paths[outer] == "/z/container"
    assert 1 < len(paths) < 8  # The root, a and z were looked at, too.


def test_a_link_is_no_cgroup(tmp_path: Path) -> None:
    elsewhere = number(tmp_path / "elsewhere/x")
    root = of_v2(tmp_path / "sys/fs/cgroup")
    (root / "link").symlink_to(tmp_path / "elsewhere")
    assert CgroupFolders(tmp_path).unified({elsewhere}) == {}
