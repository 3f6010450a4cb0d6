"""The enclaves of an image, file by file."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from donjon.enclave.search import Enclave, enclaves
from donjon.errors import DonjonError, Malformed
from donjon.formats.words import printable
from donjon.images.access import RegistryAccess
from donjon.images.image import Image, ImageFile
from donjon.images.references import ImageReference


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageEnclaves:
    """The enclaves of one file of an image, or why they cannot be told."""

    image: Image
    path: str
    enclaves: tuple[Enclave, ...] = ()
    error: DonjonError | None = None

    @property
    def name(self) -> str:
        """Image and file, as messages tell them."""
        return f"{self.image.reference}: {self.path}"


def image_enclaves(reference: ImageReference, access: RegistryAccess) -> tuple[ImageEnclaves, ...]:
    """Those of every file that has one; raises what reading an image does."""
    from donjon.adapters.images.enclaves import enclave_files  # noqa: PLC0415 - who names a file waits for no registry's client.
    from donjon.adapters.images.images import Images  # noqa: PLC0415 - as above.

    images = Images(access)
    image = images.resolve(reference)
    return tuple(_enclaves(image, enclave_files(images, image)))


def _enclaves(image: Image, files: Iterable[ImageFile]) -> Iterator[ImageEnclaves]:
    for file in files:
        path = printable(file.path)
        try:
            there = enclaves(file.content)
        except Malformed as error:
            yield ImageEnclaves(image=image, path=path, error=error)
        else:
            if there:
                yield ImageEnclaves(image=image, path=path, enclaves=there)
