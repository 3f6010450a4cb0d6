"""What of an image is looked into for what its enclaves take, and for the programs that it starts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from donjon.adapters.images.enclaves import enclave_files
from donjon.adapters.images.images import Images
from donjon.enclave.gramine import MAX_MANIFEST
from donjon.enclave.processes import is_version_of, start_paths, start_words
from donjon.enclave.sizing import EpcNeed, epc_need
from donjon.errors import Malformed
from donjon.images.access import RegistryAccess
from donjon.images.image import Image, ImageConfig, ImageFile
from donjon.images.references import ImageReference
from donjon.sgx.sigstruct import SigStruct

MANIFEST, SIGNATURE, PAL = ".manifest.sgx", ".sig", "gramine/sgx/libpal.so"
MAX_PROGRAM = 256 << 20  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestFiles:
    """A manifest of Gramine with what is measured and signed beside it; empty where it is not there."""

    path: str
    manifest: bytes
    pal: bytes = b""  # libpal.so
    signature: bytes = b""  # *.sig


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageStarts:
    """What an image starts: the file of each program, and Gramine's manifests."""

    config: ImageConfig
    programs: Mapping[str, ImageFile | None]  # by the word; `None` where no file of the image is it
    manifests: tuple[ManifestFiles, ...]


def image_needs(reference: ImageReference, access: RegistryAccess, processes: int = 1) -> Mapping[str, EpcNeed | Malformed]:
    """What each enclave of an image takes, by its path, or why that cannot be told; raises what reading an image does."""
    images = Images(access)
    image = images.resolve(reference)
    needs = {file.path: _need(file, processes) for file in _sizable(images, image)}
    return {path: need for path, need in needs.items() if need is not None}


def _sizable(images: Images, image: Image) -> Iterator[ImageFile]:
    yield from enclave_files(images, image)
    yield from images.files(image, _is_manifest)


def _is_manifest(path: str, size: int) -> bool:
    return path.endswith(MANIFEST) and 0 < size <= MAX_MANIFEST


def _need(file: ImageFile, processes: int) -> EpcNeed | Malformed | None:
    try:
        return epc_need(file.content, processes)
    except Malformed as error:
        return error


def image_starts(reference: ImageReference, access: RegistryAccess) -> ImageStarts:
    """The programs that an image starts; raises what reading an image does."""
    images = Images(access)
    image = images.resolve(reference)
    config = image.config
    words = start_words(config.entrypoint, config.command)
    paths = {word: start_paths(word, config.environment, config.working_dir) for word in words}

    def wants(path: str, size: int) -> bool:
        if _is_manifest(path, size) or path.endswith(PAL) or (path.endswith(SIGNATURE) and size == SigStruct.SIZE):
            return size <= MAX_PROGRAM
        return size <= MAX_PROGRAM and any(
            path == each or is_version_of(path, each) for places in paths.values() for each in places
        )

    files = {file.path: file for file in images.files(image, wants)}
    return ImageStarts(
        config=config,
        programs={word: _first(places, files) for word, places in paths.items()},
        manifests=tuple(_gramine(file, files) for path, file in files.items() if path.endswith(MANIFEST)),
    )


def _gramine(file: ImageFile, files: Mapping[str, ImageFile]) -> ManifestFiles:
    signature = files.get(signature_path(file.path))
    pal = next((each for path, each in sorted(files.items()) if path.endswith(PAL)), None)
    return ManifestFiles(
        path=file.path,
        manifest=file.content,
        pal=b"" if pal is None else pal.content,
        signature=b"" if signature is None else signature.content,
    )


def signature_path(manifest: str) -> str:
    """Where Gramine's signer puts the signature beside its manifest."""
    return manifest.removesuffix(MANIFEST) + SIGNATURE


def _first(places: tuple[str, ...], files: Mapping[str, ImageFile]) -> ImageFile | None:
    """The file at the likeliest place; else the version that a link there leads to, for links are no files."""
    exact = (files[each] for each in places if each in files)
    version = (files[path] for each in places for path in sorted(files) if is_version_of(path, each))
    return next(exact, next(version, None))
