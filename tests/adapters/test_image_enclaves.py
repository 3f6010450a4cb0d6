"""Which files of an image may hold an enclave, and that no other is kept."""

import tarfile
from collections.abc import Iterator
from pathlib import Path
from threading import active_count

import pytest
from tests.enclave.vectors import SDK_FILE
from tests.images.made import MadeImage, layer, member, write_layout

from donjon.adapters.images import enclaves
from donjon.adapters.images.ahead import ahead
from donjon.adapters.images.enclaves import enclave_files
from donjon.adapters.images.images import Images
from donjon.errors import Malformed
from donjon.images.access import RegistryAccess
from donjon.images.image import ImageFile
from donjon.images.references import parse_reference

IMAGES = Images(RegistryAccess())


def found(folder: Path, *layers: bytes) -> list[ImageFile]:
    write_layout(folder, MadeImage(*layers))
    return list(enclave_files(IMAGES, IMAGES.resolve(parse_reference(f"oci:{folder}"))))


@pytest.mark.parametrize("keep", [enclaves.KEEP, 1000])
def test_a_file_with_an_enclave_comes_whole_however_large_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: int
) -> None:
    monkeypatch.setattr(enclaves, "KEEP", keep)
    files = found(tmp_path / "layout", layer({"a": b"x" * 3000, "lib/enclave.so": SDK_FILE, "b": b"y"}))
    assert [(file.path, file.size, file.content == SDK_FILE) for file in files] == [("lib/enclave.so", len(SDK_FILE), True)]


def test_an_enclave_is_found_by_the_one_path_that_remains_of_it(tmp_path: Path) -> None:
    base = layer([(member("a"), SDK_FILE), (member("b", tarfile.LNKTYPE, linkname="a"), b"")])
    assert [file.path for file in found(tmp_path / "both", base)] == ["a"]
    assert [file.path for file in found(tmp_path / "one", base, layer({".wh.a": b""}))] == ["b"]
    assert found(tmp_path / "none", base, layer({".wh.a": b"", ".wh.b": b""})) == []


def test_an_enclave_that_was_replaced_is_not_found(tmp_path: Path) -> None:
    assert found(tmp_path / "layout", layer({"a": SDK_FILE}), layer({"a": b"nothing"})) == []


def test_a_path_that_is_no_text_is_written_out(tmp_path: Path) -> None:
    files = found(tmp_path / "layout", layer({"a\udcff/\x1b": SDK_FILE}))
    assert [file.path for file in files] == ["./a\\xff/\x1b"]


def failing() -> Iterator[bytes]:
    yield b"a"
    raise Malformed("DJ325", "it ends early")


def test_what_fails_in_the_thread_is_raised_where_the_pieces_are_taken() -> None:
    with ahead(failing()) as pieces:
        assert next(pieces) == b"a"
        with pytest.raises(Malformed, match="DJ325"):
            next(pieces)


def test_a_thread_ends_with_who_takes_its_pieces(tmp_path: Path) -> None:
    before = active_count()
    write_layout(tmp_path / "layout", MadeImage(layer({str(number): b"x" * 100_000 for number in range(200)})))
    files = IMAGES.files(IMAGES.resolve(parse_reference(f"oci:{tmp_path}/layout")), lambda _path, _size: True)
    assert next(files).size == 100_000
    assert active_count() == before + 1
    files.close()
    assert active_count() == before
