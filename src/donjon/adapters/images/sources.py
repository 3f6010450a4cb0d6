"""Where an image comes from: what is asked of a layout, an archive or a registry, and what then is the image."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from hashlib import sha256
from typing import Protocol

from donjon.errors import Malformed, Untrusted
from donjon.images.bounds import MAX_DEPTH, MAX_MANIFEST
from donjon.images.image import Image, Layer
from donjon.images.manifests import Descriptor, Manifest, choose, parse_config, parse_document, with_diff_ids
from donjon.images.references import ImageReference


class BlobSource(Protocol):
    """One image's documents and layers."""

    def image(self, reference: ImageReference) -> Image:
        """The image that a name stands for."""

    def layer(self, layer: Layer) -> AbstractContextManager[Iterator[bytes]]:
        """A layer's bytes in pieces, as they are kept; whoever reads them checks them."""


class Documents(Protocol):
    """Manifests and configs by their digests."""

    def document(self, descriptor: Descriptor) -> bytes:
        """Its bytes, unchecked; raises `Unavailable`."""


def check(text: bytes, digest: str, what: str) -> bytes:
    """The text, whose digest it is; raises `Untrusted` DJ323."""
    own = digest_of(text)
    if own != digest:
        raise Untrusted("DJ323", f"{what}: {len(text)} bytes with the digest {own}, expected {digest}")
    return text


def digest_of(text: bytes) -> str:
    """As it stands in documents."""
    return f"sha256:{sha256(text).hexdigest()}"


def image_of(documents: Documents, top: Descriptor, reference: ImageReference) -> Image:
    """The image for linux/amd64 below a document; every digest is checked."""
    what, descriptor = str(reference), top
    for _ in range(MAX_DEPTH):
        text = _document(documents, descriptor, what)
        parsed = parse_document(text, descriptor.media_type, what)
        if isinstance(parsed, Manifest):
            config = parse_config(_document(documents, parsed.config, f"{what}: config"), f"{what}: config")
            layers = with_diff_ids(parsed.layers, config, what)
            return Image(reference=reference, digest=descriptor.digest, config=config, layers=layers, named_digest=top.digest)
        descriptor = choose(parsed, what)
    raise Malformed("DJ322", f"{what}: indexes of indexes, more than {MAX_DEPTH} deep")


def _document(documents: Documents, descriptor: Descriptor, what: str) -> bytes:
    if descriptor.size > MAX_MANIFEST:
        raise Malformed("DJ322", f"{what}: a document of {descriptor.size} bytes, expected at most {MAX_MANIFEST}")
    return check(documents.document(descriptor), descriptor.digest, what)
