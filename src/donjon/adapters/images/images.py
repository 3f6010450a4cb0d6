"""Images wherever they are: the one way in."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from donjon.adapters.images.layers import LayerContent, Wants, contents
from donjon.adapters.images.local import DockerArchiveSource, LayoutSource
from donjon.adapters.images.registry import Registry
from donjon.adapters.images.shelves import open_shelf
from donjon.adapters.images.sources import BlobSource
from donjon.errors import Malformed
from donjon.images.access import RegistryAccess
from donjon.images.bounds import MAX_CONTENT
from donjon.images.image import Image, ImageFile
from donjon.images.references import ImagePlace, ImageReference


class Images:
    """Reads images. One serves several threads; for each call what it needs is opened anew."""

    def __init__(self, access: RegistryAccess) -> None:
        self._access = access

    def resolve(self, reference: ImageReference) -> Image:
        """The image for linux/amd64 that a name stands for; every digest of a document is checked.

        Raises `Malformed`, `Untrusted` or `Unavailable` DJ321 to DJ336.
        """
        with self.source(reference) as source:
            return source.image(reference)

    def files(self, image: Image, wants: Wants) -> Generator[ImageFile, None, None]:
        """The files of the image's final file system that are wanted, by path and size, each whole; hard links are files, too.

        Nothing counts before all have come: a layer's digest is known at its end. A path that a layer writes twice comes twice,
        and the later one counts. Raises what `resolve` does.
        """
        for content in self.contents(image, wants, links=True):
            if content.size > MAX_CONTENT:
                what = f"{image.reference}: {content.paths[0]}"
                raise Malformed("DJ326", f"{what}: {content.size} bytes, expected at most {MAX_CONTENT}")
            whole = b"".join(content.pieces)
            for path in content.paths:
                yield ImageFile(path=path, mode=content.mode, size=content.size, content=whole)

    def contents(self, image: Image, wants: Wants, *, links: bool) -> Iterator[LayerContent]:
        """The same files, in pieces that are read, or not, before the next file is asked for.

        Without `links`, a file that came by one of its paths does not come again by another, and each layer is read once, mostly.
        """
        with self.source(image.reference) as source:
            yield from contents(source, image, wants, links=links)

    @contextmanager
    def source(self, reference: ImageReference) -> Iterator[BlobSource]:
        """One image's documents and layers, within the block."""
        if reference.place is ImagePlace.REGISTRY:
            with Registry(self._access, reference) as registry:
                yield registry
            return
        with open_shelf(Path(reference.path)) as shelf:
            yield LayoutSource(shelf) if reference.place is ImagePlace.OCI_LAYOUT else DockerArchiveSource(shelf)
