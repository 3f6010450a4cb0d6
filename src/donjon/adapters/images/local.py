"""Images on this machine: OCI layouts, and archives of `docker save`.

Sources: OCI image specification, `image-layout.md`; moby/moby, `image/tarexport`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from donjon.adapters.images.shelves import Shelf, whole
from donjon.adapters.images.sources import check, digest_of, image_of
from donjon.errors import Unavailable
from donjon.formats.words import excerpt
from donjon.images.bounds import MAX_MANIFEST
from donjon.images.docker_archives import MANIFEST, docker_layers, parse_docker_manifest
from donjon.images.image import Image, Layer
from donjon.images.manifests import Descriptor, ImageIndex, choose, parse_config, parse_document
from donjon.images.references import ImageReference

INDEX = "index.json"


class LayoutSource:
    """An OCI layout: a folder, or an archive of one."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def image(self, reference: ImageReference) -> Image:
        """The image of the reference's tag, or the one image where it has none."""
        index = parse_document(whole(self._shelf, INDEX, MAX_MANIFEST), "", str(reference))
        if not isinstance(index, ImageIndex):
            raise Unavailable("DJ321", f"{reference}: its {INDEX} is no index")
        entries = tuple(each for each in index.manifests if not reference.tag or each.tag == reference.tag)
        if not entries:
            tags = ", ".join(sorted(each.tag for each in index.manifests if each.tag)) or "none"
            raise Unavailable("DJ321", f"{reference}: has no such tag; it has {excerpt(tags)}")
        top = entries[0] if len(entries) == 1 else choose(ImageIndex(manifests=entries), str(reference))
        return image_of(self, top, reference)

    def document(self, descriptor: Descriptor) -> bytes:
        """A blob, whole."""
        return whole(self._shelf, _blob(descriptor.digest), MAX_MANIFEST)

    @contextmanager
    def layer(self, layer: Layer) -> Iterator[Iterator[bytes]]:
        """A blob in pieces."""
        yield self._shelf.part(_blob(layer.digest))


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


class DockerArchiveSource:
    """An archive of `docker save`; its image's digest is that of its config, as `docker images --no-trunc` shows it."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def image(self, reference: ImageReference) -> Image:
        """The archive's one image; what no manifest says of its layers, the config does."""
        what = str(reference)
        manifest = parse_docker_manifest(whole(self._shelf, MANIFEST, MAX_MANIFEST), what)
        text = whole(self._shelf, manifest.config, MAX_MANIFEST)
        name, digest = manifest.config.rpartition("/")[2].removesuffix(".json"), digest_of(text)
        check(text, f"sha256:{name}", f"{what}: config")
        config = parse_config(text, f"{what}: config")
        layers = docker_layers(manifest, config, what)
        return Image(reference=reference, digest=digest, config=config, layers=layers, named_digest=digest)

    @contextmanager
    def layer(self, layer: Layer) -> Iterator[Iterator[bytes]]:
        """A member in pieces."""
        yield self._shelf.part(layer.path)
