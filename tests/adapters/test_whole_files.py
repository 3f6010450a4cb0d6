"""A file is written whole, and none that is there unless that is said, whatever the file system can."""

from pathlib import Path

import pytest

from donjon.adapters.files import write_whole


def no_links(_path: Path, _target: Path) -> None:
    raise PermissionError(1, "no hard links here")


@pytest.mark.parametrize("linking", [True, False])
def test_a_file_that_is_there_stays_or_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, linking: bool) -> None:  # noqa: FBT001 - a table's column.
    if not linking:
        monkeypatch.setattr(Path, "hardlink_to", no_links)
    path = tmp_path / "file"
    write_whole(path, b"first", 0o600, replace=False)
    with pytest.raises(FileExistsError):
        write_whole(path, b"second", 0o600, replace=False)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"first", 0o600)
    write_whole(path, b"second", 0o644, replace=True)
    assert (path.read_bytes(), [each.name for each in tmp_path.iterdir()]) == (b"second", ["file"])


def test_a_folder_that_is_away_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "away" / "file", b"", 0o600, replace=False)
