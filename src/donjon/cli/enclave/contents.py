"""What of an image is looked into for what its enclaves take, and for the programs that it starts."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from donjon.adapters.images.enclaves import enclave_files
from donjon.adapters.images.images import Images
from donjon.enclave.gramine import MAX_MANIFEST, read_manifest
from donjon.enclave.image_programs import is_version_of, start_paths, start_words
from donjon.enclave.processes import needed_libraries
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
    libraries: tuple[ImageFile, ...]  # that the programs name, but for those of every program


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
    """The programs that an image starts; raises what reading an image does.

    It is read again for what a manifest of Gramine starts, and for what programs are linked with.
    """
    images = Images(access)
    image = images.resolve(reference)
    programs = _places(image.config, start_words(image.config.entrypoint, image.config.command))
    files = _files(images, image, lambda path, size: _is_gramine(path, size) or _is_one_of(path, programs))
    manifests = tuple(_gramine(file, files) for path, file in files.items() if path.endswith(MANIFEST))
    others = _places(image.config, [entry for each in manifests if (entry := _entry(each))])
    files |= _files(images, image, lambda path, _: _is_one_of(path, others)) if others else {}
    programs |= others
    names = {name for file in files.values() for name in needed_libraries(file.content)}
    files |= _files(images, image, lambda path, _: path.rpartition("/")[2] in names) if names else {}
    return ImageStarts(
        config=image.config,
        programs={word: _first(places, files) for word, places in programs.items()},
        manifests=manifests,
        libraries=tuple(file for path, file in sorted(files.items()) if path.rpartition("/")[2] in names),
    )


def _places(config: ImageConfig, words: Iterable[str]) -> dict[str, tuple[str, ...]]:
    return {word: start_paths(word, config.environment, config.working_dir) for word in words}


def _files(images: Images, image: Image, wants: Callable[[str, int], bool]) -> dict[str, ImageFile]:
    return {file.path: file for file in images.files(image, lambda path, size: size <= MAX_PROGRAM and wants(path, size))}


def _is_gramine(path: str, size: int) -> bool:
    return _is_manifest(path, size) or path.endswith(PAL) or (path.endswith(SIGNATURE) and size == SigStruct.SIZE)


def _is_one_of(path: str, programs: Mapping[str, tuple[str, ...]]) -> bool:
    return any(path == each or is_version_of(path, each) for places in programs.values() for each in places)


def _entry(files: ManifestFiles) -> str:
    """The program that a manifest starts; a URI of Gramine's is no path."""
    try:
        entry = read_manifest(files.manifest).entry
    except Malformed:
        return ""  # That is told of the manifest itself.
    return "" if ":" in entry else entry


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
