"""A stream of EDP is measured as what it is, whatever of its pages counts and in whichever order."""

import hashlib
import struct

import pytest

from donjon.enclave.sgxs import read_sgxs
from donjon.errors import Malformed

HEAD = struct.pack("<8sIQ44x", b"ECREATE", 1, 1 << 20)
TCS, REGULAR = 0x100, 0x203


def page(offset: int, flags: int = REGULAR) -> bytes:
    return struct.pack("<8sQQ40x", b"EADD", offset, flags)


def chunk(offset: int, tag: bytes = b"EEXTEND") -> bytes:
    return struct.pack("<8sQ48x", tag, offset) + bytes(offset // 256 % 256 for _ in range(256))


def chunks(offset: int, *numbers: int) -> bytes:
    return b"".join(chunk(offset + number * 256) for number in numbers)


WHOLE = page(0) + chunks(0, *range(16))
PART = page(0x1000, TCS) + chunks(0x1000, 0, 1, 5)
ELSEWHERE = page(0x2000) + chunks(0x2000, 1, 0, *range(2, 16))


@pytest.mark.parametrize("pages", [(), (WHOLE,), (PART,), (ELSEWHERE,), (page(0x3000),), (WHOLE, PART, ELSEWHERE, page(0x3000))])
def test_a_stream_hashes_to_its_mrenclave(pages: tuple[bytes, ...]) -> None:
    stream = HEAD + b"".join(pages)
    enclave = read_sgxs(stream)
    assert enclave.mr_enclave == hashlib.sha256(stream).digest()
    assert (enclave.pages, enclave.threads, enclave.size) == (len(pages), int(PART in pages), 1 << 20)


def test_what_is_only_loaded_is_not_measured() -> None:
    loaded = b"".join(chunk(number * 256, b"UNMEASRD" if number == 7 else b"EEXTEND") for number in range(16))
    without = chunks(0, *(number for number in range(16) if number != 7))
    assert read_sgxs(HEAD + page(0) + loaded).mr_enclave == hashlib.sha256(HEAD + page(0) + without).digest()


@pytest.mark.parametrize("stream", [WHOLE + WHOLE, PART + WHOLE, page(1), page(1 << 20), WHOLE[:-1], WHOLE + b"x", b"x" * 8])
def test_a_stream_that_is_out_of_order_or_cut_is_refused(stream: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        read_sgxs(HEAD + stream)
    assert caught.value.code == "DJ312"
