"""Bytes of a layer as they come: their digest, their bounds, and what they unpack to. Nothing is kept but the piece at hand."""

import hashlib
import sys
import zlib
from collections.abc import Iterable, Iterator

if sys.version_info >= (3, 14):
    from compression.zstd import DecompressionParameter, ZstdDecompressor, ZstdError
else:
    from backports.zstd import DecompressionParameter, ZstdDecompressor, ZstdError

from donjon.errors import Malformed, Untrusted
from donjon.images.bounds import MAX_RATIO, MAX_UNPACKED, RATIO_FROM
from donjon.images.image import Compression

PIECE = 1 << 18  # bytes that are read at once
UNPACKED = 1 << 20  # bytes that are unpacked at once
_WINDOW = 25  # 32 MiB: what zstd may look back at (RFC 8878 asks for 8 MiB)
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class Meter:
    """How many bytes came."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces, self.count = pieces, 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self.count += len(piece)
            yield piece


def verify_digest(pieces: Iterable[bytes], digest: str, size: int, what: str) -> Iterator[bytes]:
    """The pieces as they are; behind the last, raises `Untrusted` DJ323 where they are not what their digest says."""
    octets, summary = Meter(pieces), hashlib.sha256()
    most = size if size >= 0 else MAX_UNPACKED
    for piece in octets:
        if octets.count > most:
            raise Untrusted("DJ323", f"{what}: more than the {most} bytes that it may have")
        summary.update(piece)
        yield piece
    if size not in {-1, octets.count} or f"sha256:{summary.hexdigest()}" != digest:
        raise Untrusted("DJ323", f"{what}: {octets.count} bytes with the digest sha256:{summary.hexdigest()}, expected {digest}")


def unpack(pieces: Iterable[bytes], compression: Compression | None, what: str) -> Iterator[bytes]:
    """What the pieces unpack to, in pieces; raises `Malformed` DJ325, or DJ326 for more than the bounds."""
    packed = Meter(pieces)
    unpacked = Meter(_unpack(iter(packed), compression, what))
    for piece in unpacked:
        if unpacked.count > min(MAX_UNPACKED, max(RATIO_FROM, packed.count * MAX_RATIO)):
            raise Malformed("DJ326", f"{what}: {packed.count} bytes that unpack to {unpacked.count} and more")
        yield piece


def _unpack(pieces: Iterator[bytes], compression: Compression | None, what: str) -> Iterator[bytes]:
    first = next(pieces, b"")
    unpackers = {Compression.NONE: _as_it_is, Compression.GZIP: _gunzip, Compression.ZSTD: _unzstd}
    try:
        yield from unpackers[compression or _look(first)](first, pieces)
    except (zlib.error, ZstdError, EOFError, MemoryError) as error:
        raise Malformed("DJ325", f"{what}: cannot be unpacked: {str(error)[:200]}") from error


def _look(first: bytes) -> Compression:
    if first.startswith(_GZIP):
        return Compression.GZIP
    return Compression.ZSTD if first.startswith(_ZSTD) else Compression.NONE


def _as_it_is(first: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from pieces


def _gunzip(first: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """All members, one behind the other, as every runtime reads them."""
    member, rest = zlib.decompressobj(wbits=31), first
    while rest or (rest := next(pieces, b"")):
        if member.eof:
            member = zlib.decompressobj(wbits=31)
        if piece := member.decompress(rest, UNPACKED):
            yield piece
        rest = member.unused_data if member.eof else member.unconsumed_tail
    while not member.eof:  # What is left of it, with nothing more to come.
        if not (piece := member.decompress(member.unconsumed_tail, UNPACKED)):
            raise EOFError("it ends early")
        yield piece


def _unzstd(first: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """All frames, one behind the other."""
    options: dict[int, int] = {DecompressionParameter.window_log_max: _WINDOW}
    frame, rest = ZstdDecompressor(options=options), first
    while rest or not frame.needs_input or (rest := next(pieces, b"")):
        if frame.eof:
            frame = ZstdDecompressor(options=options)
        if piece := frame.decompress(rest, UNPACKED):
            yield piece
        rest = frame.unused_data if frame.eof else b""
        if frame.eof and not rest and not (rest := next(pieces, b"")):
            return
    raise EOFError("it ends early")
