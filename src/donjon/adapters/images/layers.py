"""Layers, the highest first, and in them what remains of the final file system. Each layer is read once; a second time where a
hard link is wanted, for its file's content went by before it.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from donjon.adapters.images.ahead import ahead
from donjon.adapters.images.entries import entries
from donjon.adapters.images.forward import Forward
from donjon.adapters.images.sources import BlobSource
from donjon.adapters.images.streams import unpack, verify_digest
from donjon.errors import Malformed
from donjon.images.image import Image, Layer
from donjon.images.overlay import EntryKind, LayerEntry, Overlay
from donjon.images.paths import legible

Wants = Callable[[str, int], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerContent:
    """A file that remains; its pieces are to be read before the next one is asked for."""

    paths: tuple[str, ...]  # several where it has hard links
    mode: int
    size: int
    pieces: Iterator[memoryview]


def contents(source: BlobSource, image: Image, wants: Wants, *, links: bool) -> Iterator[LayerContent]:
    """Every file that is wanted, by path and size. Without `links`, what came by one path does not come again by another."""
    overlay = Overlay()
    for number in reversed(range(len(image.layers))):
        layer, what = image.layers[number], f"{image.reference}: layer {number + 1}"
        with unpacked(source, layer, what) as stream:
            for entry in entries(stream, what):
                if overlay.place(entry) and wants(legible(entry.path), entry.size):
                    yield _content(stream, (entry.path,), entry, what)
        names = _links(overlay, wants, links=links)
        if names:
            with unpacked(source, layer, what) as stream:
                for entry in entries(stream, what):
                    if entry.kind is EntryKind.FILE and entry.path in names:
                        yield _content(stream, names[entry.path], entry, what)
        overlay.next_layer()


def _links(overlay: Overlay, wants: Wants, *, links: bool) -> Mapping[str, tuple[str, ...]]:
    """Hard links that are wanted, by their file."""
    return {
        file: names
        for file, paths in overlay.links().items()
        if (links or not overlay.remains(file))
        and (names := tuple(path for path in paths if wants(legible(path), overlay.size(file))))
    }


def _content(stream: Forward, paths: tuple[str, ...], entry: LayerEntry, what: str) -> LayerContent:
    pieces = pieces_of(stream, entry.size, what)
    return LayerContent(paths=tuple(map(legible, paths)), mode=entry.mode, size=entry.size, pieces=pieces)


def pieces_of(stream: Forward, size: int, what: str) -> Iterator[memoryview]:
    """A file's content; raises `Malformed` DJ325 where the layer ends before it."""
    for part in stream.parts(size):
        size -= len(part)
        yield part
    if size:
        raise Malformed("DJ325", f"{what}: ends {size} bytes before the end of a file")


@contextmanager
def unpacked(source: BlobSource, layer: Layer, what: str) -> Iterator[Forward]:
    """The layer as an archive; behind its end, whatever else it has is read, and then its digest is known."""
    with source.layer(layer) as pieces:
        # In a docker archive, only the digest of what is unpacked is said.
        packed = pieces if layer.path else verify_digest(pieces, layer.digest, layer.size, what)
        with ahead(unpack(packed, layer.compression, what)) as octets:
            # Container runtimes know an unpacked layer by this digest, and run what another image brought under it.
            is_proved = layer.diff_id == layer.digest and not layer.path
            stream = Forward(octets if is_proved else verify_digest(octets, layer.diff_id, -1, f"{what}, unpacked"))
            yield stream
            for _ in stream.parts(sys.maxsize):
                pass
