"""Images, whole: every entry of every layer from the lowest up, as a container runtime unpacks them; and layers as they lie."""

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


def contents_by_hash(images: Images, image: Image, wants: Collection[bytes]) -> Mapping[bytes, bytes]:
    """The files with these SHA-256, wherever they stand."""
    there = dict[bytes, bytes]()
    with images.source(image.reference) as source:
        for layer in _files(source, image):
            for entry, content in layer:
                digest = file_node(content, entry.mode).sha256
                if digest in wants:
                    there[digest] = content
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


def _files(source: BlobSource, image: Image) -> Iterator[Iterator[tuple[LayerEntry, bytes]]]:
    for layer, what in _with_names(image):
        with unpacked(source, layer, what) as stream:
            files = (entry for entry in entries(stream, what) if entry.kind is EntryKind.FILE)
            yield ((entry, _content(entry, stream, what)) for entry in files)


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
