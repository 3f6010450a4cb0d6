"""MRENCLAVE is the hash of each record in turn, however many pages are added at once."""

import hashlib
import struct
from collections.abc import Iterator

import pytest

from donjon.enclave.building import EnclavePage, pages_of
from donjon.enclave.measurement import PAGE, Measurement

FLAGS = 0x203


def records(offset: int, content: bytes, *, extend: bool = True) -> Iterator[bytes]:
    """What ECREATE, EADD and EEXTEND hash, as the manual says it, one by one."""
    for page in range(0, len(content), PAGE):
        yield struct.pack("<8sQQ40x", b"EADD", offset + page, FLAGS)
        for chunk in range(page, page + PAGE if extend else page, 256):
            yield struct.pack("<8sQ48x", b"EEXTEND", offset + chunk) + content[chunk : chunk + 256]


def expected(*parts: Iterator[bytes]) -> bytes:
    whole = hashlib.sha256(struct.pack("<8sIQ44x", b"ECREATE", 1, 1 << 28))
    for part in parts:
        for record in part:
            whole.update(record)
    return whole.digest()


@pytest.mark.parametrize("pages", [1, 2, 3, 65])
def test_pages_one_after_the_other(pages: int) -> None:
    content, measurement = bytes(number % 251 for number in range(pages * PAGE)), Measurement(1 << 28, 1)
    measurement.add(3 * PAGE, FLAGS, content)
    assert measurement.mr_enclave == expected(records(3 * PAGE, content))


@pytest.mark.parametrize("times", [1, 2, 63, 64, 65, 130, 1000])
@pytest.mark.parametrize("extend", [True, False])
def test_one_page_many_times_beyond_four_gibibytes_too(times: int, extend: bool) -> None:  # noqa: FBT001 - a table's column.
    page, measurement, offset = bytes(number % 253 for number in range(PAGE)), Measurement(1 << 28, 1), (1 << 32) - 5 * PAGE
    measurement.add(offset, FLAGS, page, times=times, extend=extend)
    measurement.add(0, FLAGS)
    assert measurement.mr_enclave == expected(records(offset, page * times, extend=extend), records(0, bytes(PAGE)))


def test_pages_that_are_added_and_not_measured() -> None:
    measurement = Measurement(1 << 28, 1)
    measurement.add(0, FLAGS, bytes(3 * PAGE), extend=False)
    assert measurement.mr_enclave == expected(records(0, bytes(3 * PAGE), extend=False))


def spread(data: bytes, address: int, size: int) -> dict[int, bytes]:
    """Every page that bytes make, by its place, made byte by byte."""
    memory = {at: data[at - address] if at - address < len(data) else 0 for at in range(address, address + max(size, len(data)))}
    places = sorted({at // PAGE * PAGE for at in memory})
    return {place: bytes(memory.get(at, 0) for at in range(place, place + PAGE)) for place in places}


def pages(each: EnclavePage) -> Iterator[tuple[int, bytes]]:
    content = each.content * each.times
    for place in range(0, len(content), PAGE):
        yield each.offset + place, content[place : place + PAGE]


@pytest.mark.parametrize("length", [0, 1, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE])
@pytest.mark.parametrize("address", [0, 1, 100, PAGE, PAGE + 4095, 5 * PAGE - 7])
@pytest.mark.parametrize("more", [0, 1, PAGE - 1, PAGE, 3 * PAGE + 5])
def test_bytes_at_any_place_make_the_pages_that_they_touch(length: int, address: int, more: int) -> None:
    data = bytes(1 + number % 250 for number in range(length))
    there = [page for each in pages_of(data, address, length + more, FLAGS) for page in pages(each)]
    assert there == list(spread(data, address, length + more).items())
