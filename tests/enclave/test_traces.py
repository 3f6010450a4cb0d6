from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.enclave.vectors import FOLDER, SDK_FILE

from donjon.enclave.search import enclaves
from donjon.enclave.traces import EnclaveTrace

FILES = sorted(path for path in FOLDER.iterdir() if path.suffix in {".so", ".signed", ".sgxs", ".sig"})


def trace(content: bytes, step: int) -> bool:
    whole = EnclaveTrace()
    for start in range(0, len(content), step):
        whole.look(memoryview(content)[start : start + step])
    return whole.is_there


@pytest.mark.parametrize("step", [1 << 16, 1 << 20])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_whoever_finds_an_enclave_finds_its_trace(path: Path, step: int) -> None:
    content = path.read_bytes()
    assert bool(enclaves(content)) <= trace(content, step)


@given(st.integers(1, 20), st.integers(0, 40))
def test_a_trace_is_found_however_it_is_cut(step: int, before: int) -> None:
    start = SDK_FILE.index(bytes.fromhex("06000000e100000000000100"))
    content = bytes(before) + SDK_FILE[start : start + 20]
    assert trace(content, step)
    assert trace(b"ECREATE\0" + bytes(8), step)
    assert trace(b"\x7fELF" + bytes(before) + b".oeinfo\0", step)


def test_an_ordinary_file_has_none() -> None:
    assert not trace(bytes(100), 7)
    assert not trace(b"text about .oeinfo and .note.sgxmeta", 5)
    assert not trace(b"", 1)
