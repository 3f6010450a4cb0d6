"""Images, whole: every entry of every layer from the lowest up, as a container runtime unpacks them; and layers as they lie."""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from donjon.adapters.images.entries import entries
from donjon.adapters.images.forward import Forward
from donjon.adapters.images.images import Images
from donjon.adapters.images.layers import pieces_of, unpacked
from donjon.adapters.images.sources import BlobSource
from donjon.adapters.images.streams import verify_digest
from donjon.errors import Malformed
from donjon.images.bounds import MAX_CONTENT
from donjon.images.image import Compression, Image, Layer
from donjon.images.overlay import EntryKind, LayerEntry
from donjon.images.paths import legible
from donjon.wrapping.contents import ImageContents, file_node
from donjon.wrapping.layers import LAYER_TYPE
from donjon.wrapping.stack import StackEntry, stack_of
from donjon.wrapping.tree import FileNode, NodeKind, link_node

_SUFFIX = {Compression.NONE: "", Compression.GZIP: "+gzip", Compression.ZSTD: "+zstd"}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptLayer:
    """A layer as it goes into another image."""

    media_type: str
    digest: str
    pieces: Iterator[bytes]


def read_whole(images: Images, image: Image) -> ImageContents:
    """What is kept of all its files; raises as `Images.files` does, and `Malformed` DJ391."""
    with images.source(image.reference) as source:
        tree = stack_of(_layers(source, image))
    return ImageContents(reference=str(image.reference), config=image.config, tree=tree)


def contents_by_hash(images: Images, image: Image, wants: Collection[FileNode]) -> Mapping[bytes, bytes]:
    """The content of these files by its SHA-256, wherever it stands; what is not there any more is left out."""
    sizes, missing, there = {each.size for each in wants}, {each.sha256 for each in wants}, dict[bytes, bytes]()
    with images.source(image.reference) as source:
        for content in _files(source, image, sizes):
            digest = hashlib.sha256(content).digest()
            if digest in missing:
                there[digest] = content
                missing.discard(digest)
            if not missing:
                break  # What is left of the layer is not read: each content was proved by its own hash.
    return there


def kept_layers(images: Images, image: Image) -> Iterator[KeptLayer]:
    """Its layers, the lowest first; each is to be read before the next. Of a docker archive they are unpacked."""
    with images.source(image.reference) as source:
        for number, layer in enumerate(image.layers, start=1):
            what = f"{image.reference}: layer {number}"
            if layer.path:
                with unpacked(source, layer, what) as stream:
                    yield KeptLayer(media_type=LAYER_TYPE, digest=layer.digest, pieces=_bytes(stream))
                continue
            with source.layer(layer) as pieces:
                kind = layer.compression or Compression.NONE
                media_type = LAYER_TYPE + _SUFFIX[kind]
                yield KeptLayer(
                    media_type=media_type, digest=layer.digest, pieces=verify_digest(pieces, layer.digest, layer.size, what)
                )


def _bytes(stream: Forward) -> Iterator[bytes]:
    while piece := stream.read(1 << 18):
        yield piece


def _layers(source: BlobSource, image: Image) -> Iterator[Iterator[StackEntry]]:
    for layer, what in _with_names(image):
        with unpacked(source, layer, what) as stream:
            yield (_entry(entry, stream, what) for entry in entries(stream, what))


def _files(source: BlobSource, image: Image, sizes: Collection[int]) -> Iterator[bytes]:
    for layer, what in _with_names(image):
        with unpacked(source, layer, what) as stream:
            for entry in entries(stream, what):
                if entry.kind is EntryKind.FILE and entry.size in sizes:
                    yield _content(entry, stream, what)


def _with_names(image: Image) -> Iterator[tuple[Layer, str]]:
    for number, layer in enumerate(image.layers, start=1):
        yield layer, f"{image.reference}: layer {number}"


def _entry(entry: LayerEntry, stream: Forward, what: str) -> StackEntry:
    path = "/" + legible(entry.path)
    match entry.kind:
        case EntryKind.FILE:
            node = file_node(_content(entry, stream, what), entry.mode, path)
        case EntryKind.FOLDER:
            node = FileNode(kind=NodeKind.FOLDER, mode=entry.mode)
        case EntryKind.SYMLINK:
            node = link_node(legible(entry.target))
        case EntryKind.HARD_LINK:
            return StackEntry(path=path, node=None, link="/" + legible(entry.target))
        case EntryKind.OTHER:
            node = FileNode(kind=NodeKind.OTHER, mode=entry.mode)
    return StackEntry(path=path, node=node)


def _content(entry: LayerEntry, stream: Forward, what: str) -> bytes:
    if entry.size > MAX_CONTENT:
        raise Malformed("DJ326", f"{what}: {legible(entry.path)}: {entry.size} bytes, expected at most {MAX_CONTENT}")
    return b"".join(pieces_of(stream, entry.size, what))
