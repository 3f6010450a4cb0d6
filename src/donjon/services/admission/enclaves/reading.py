"""One image, from its name to all that it holds of enclaves; for a thread, since both registries and layers take their time.

A tenant writes the name, so it can only be one of a registry: a folder or an archive of this program's own is nobody's image.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from donjon.adapters import clock
from donjon.adapters.images.enclaves import enclave_files
from donjon.adapters.images.images import Images
from donjon.adapters.images.signatures import container_signatures
from donjon.enclave.record import MAX_ENCLAVES_OF_IMAGE, MAX_FAULT, MAX_FAULTS, MAX_PATH, FileEnclave, InspectedImage
from donjon.enclave.search import enclaves
from donjon.errors import DonjonError, Malformed, Untrusted
from donjon.images.access import RegistryAccess
from donjon.images.image import Image
from donjon.images.references import ImagePlace, ImageReference, parse_reference
from donjon.signing.containers import parse_container_key, verify_container

MAX_FILE = 128 << 20  # bytes of a file with a trace of an enclave that is looked into
MAX_FILES = 256  # with enclaves, or broken; no image has so many


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReading:
    """Reads the images of some registries, or of all."""

    images: Images
    access: RegistryAccess
    registries: frozenset[str] = frozenset()  # none: all

    def resolve(self, image: str) -> Image:
        """The image that a name stands for now; raises `Untrusted` DJ377 for a place that nobody asks."""
        return self.images.resolve(self.place(image))

    def place(self, image: str) -> ImageReference:
        """The place that a name means; raises `Malformed` for none, `Untrusted` DJ377 for one that nobody asks."""
        reference = parse_reference(image)
        if reference.place is not ImagePlace.REGISTRY:
            raise Malformed("DJ377", f"image {image[:MAX_FAULT]}: it is in no registry")
        if self.registries and reference.registry not in self.registries:
            raise Untrusted(
                "DJ377",
                f"image {image[:MAX_FAULT]}: nobody asks {reference.registry}; asked are {', '.join(sorted(self.registries))}",
            )
        return reference

    def prove(self, image: str, digests: Collection[str], pem: str) -> None:
        """Prove that the key signed one of the digests; raises `Untrusted` DJ384, and what keys and registries raise."""
        key, place = parse_container_key(pem), self.place(image)
        refusal: DonjonError = Untrusted("DJ384", "no signature is kept beside it")
        for digest in digests:
            for signature in container_signatures(self.access, place, digest):
                try:
                    verify_container(signature, key, digest)
                except (Malformed, Untrusted) as error:
                    refusal = error
                else:
                    return
        raise refusal

    def inspect(self, image: Image) -> InspectedImage:
        """All that the image holds; raises what its registry and its layers raise, and then nothing of it counts."""
        findings: list[
            tuple[FileEnclave, ...] | str
        ] = []  # Of each file: a layer may write a path twice, and two may look alike.

        def beyond(path: str) -> None:
            if len(findings) < MAX_FILES:
                findings.append(f"{path[:MAX_PATH]}: it may hold an enclave, and has more than {MAX_FILE} bytes [DJ378]")

        began = clock.monotonic()
        for file in enclave_files(self.images, image, MAX_FILE, beyond):
            if clock.monotonic() - began > self.access.patience:  # Each file may say that it is seconds of hashing.
                raise Malformed("DJ378", f"{image.reference}: not looked into within {self.access.patience:g} s")
            if len(findings) < MAX_FILES and (content := _in_file(file.path, file.content)):
                findings.append(content)
        return _inspected(image.digest, findings)


def _in_file(path: str, content: bytes) -> tuple[FileEnclave, ...] | str:
    """The enclaves of a file, or what is wrong with it."""
    try:
        return tuple(FileEnclave(path=path[:MAX_PATH], enclave=each) for each in enclaves(content))
    except DonjonError as error:
        return f"{path[:MAX_PATH]}: {error}"[-MAX_FAULT:]


def _inspected(digest: str, findings: Sequence[tuple[FileEnclave, ...] | str]) -> InspectedImage:
    content = [enclave for each in findings if not isinstance(each, str) for enclave in each]
    faults = [each for each in findings if isinstance(each, str)]
    if len(content) > MAX_ENCLAVES_OF_IMAGE or len(faults) >= MAX_FAULTS or len(findings) == MAX_FILES:
        faults = [f"more than {MAX_ENCLAVES_OF_IMAGE} enclaves, or {MAX_FAULTS} broken files", *faults[: MAX_FAULTS - 1]]
    return InspectedImage(digest=digest, enclaves=tuple(content[:MAX_ENCLAVES_OF_IMAGE]), faults=tuple(faults))
