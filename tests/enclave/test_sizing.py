"""How much EPC an enclave takes: every page that its loader adds is counted once, and SGX's own beside them."""

import pytest
from tests.enclave.vectors import FOLDER, OPEN_ENCLAVE_FILE, SDK_FILE

from donjon.enclave import intel_sdk_pages, open_enclave_pages
from donjon.enclave.measurement import Measurement
from donjon.enclave.search import enclaves
from donjon.enclave.sizing import MIB, EpcNeed, control_pages, epc_need

STREAM = (FOLDER / "edp_test_enclave.sgxs").read_bytes()
PLAIN = 'libos.entrypoint = "/app"\n[sgx]\nenclave_size = "512M"\nmax_threads = 16\n'
WITH_EDMM = 'libos.entrypoint = "/app"\n[sgx]\nedmm_enable = true\nmax_threads = 8\n'


def need(content: bytes | str, processes: int = 1) -> EpcNeed:
    found = epc_need(content.encode() if isinstance(content, str) else content, processes)
    assert found is not None
    return found


@pytest.mark.parametrize("content", [SDK_FILE, OPEN_ENCLAVE_FILE])
def test_as_many_pages_are_counted_as_are_measured(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = 0

    class CountsPages(Measurement):
        def add(self, offset: int, flags: int, content: bytes = bytes(4096), *, times: int = 1, extend: bool = True) -> None:
            nonlocal pages
            pages += len(content) // 4096 * times
            super().add(offset, flags, content, times=times, extend=extend)

    for module in (intel_sdk_pages, open_enclave_pages):
        monkeypatch.setattr(module, "Measurement", CountsPages)
    enclaves(content)
    assert need(content).pages == pages > 0


@pytest.mark.parametrize(("pages", "control"), [(0, 2), (1, 2), (510, 2), (511, 2), (512, 3), (65520, 129)])
def test_the_kernel_keeps_a_page_of_versions_for_each_512_pages_with_secs(pages: int, control: int) -> None:
    assert control_pages(pages) == control


def test_a_stream_says_every_page() -> None:
    assert (need(STREAM).family, need(STREAM).pages) == ("Fortanix EDP", 9)


def test_gramine_commits_the_whole_size_and_each_process_is_another() -> None:
    one, four = need(PLAIN), need(PLAIN, 4)
    assert one.pages == (512 * MIB - 0x10000) // 4096
    assert one.request == 513 * MIB  # 512 MiB without the lowest addresses, and 257 pages of SGX's own.
    assert four.start == 4 * one.start
    assert not one.grows_unbounded


def test_the_terabyte_of_edmm_is_not_asked_for() -> None:
    growing = need(WITH_EDMM)
    assert growing.grows_unbounded
    assert growing.request < 4 * MIB
    assert "Gramine itself" in growing.left_out


def test_what_may_come_later_is_asked_for_where_its_author_bounds_it() -> None:
    fixed = need(SDK_FILE)
    assert fixed.growth == 0
    layout = int.from_bytes(SDK_FILE[555229 - 64 + 1880 :][:4], "little")
    place = 555229 - 64 + layout + 2  # The attributes of the first entry, the heap's beginning.
    later = SDK_FILE[:place] + (8).to_bytes(2, "little") + SDK_FILE[place + 2 :]
    assert need(later).growth > 0
    assert need(later).pages + need(later).growth == fixed.pages


@pytest.mark.parametrize("content", [b"", b"hello", b"#!/bin/sh\n", (FOLDER / "edp_test_enclave.sig").read_bytes()])
def test_a_file_without_pages_has_no_answer(content: bytes) -> None:
    assert epc_need(content) is None
