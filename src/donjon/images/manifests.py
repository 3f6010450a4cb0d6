"""Manifests, indexes and configs as values.

Source: OCI image specification (`manifest.md`, `image-index.md`, `config.md`), Docker's "Image Manifest Version 2, Schema 2".
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from donjon.errors import Malformed
from donjon.findings.codes import NOT_STRICT_JSON
from donjon.formats import strict_json
from donjon.formats.json import Json, at
from donjon.formats.strict_json import Members
from donjon.formats.words import excerpt
from donjon.images.bounds import MAX_DESCRIPTORS, MAX_LAYERS, MAX_MANIFEST, MAX_PACKED
from donjon.images.image import Compression, ImageConfig, Layer
from donjon.images.references import is_digest

_OCI, _DOCKER = "application/vnd.oci.image", "application/vnd.docker"
INDEXES = (f"{_OCI}.index.v1+json", f"{_DOCKER}.distribution.manifest.list.v2+json")
MANIFESTS = (f"{_OCI}.manifest.v1+json", f"{_DOCKER}.distribution.manifest.v2+json")
CONFIGS = (f"{_OCI}.config.v1+json", f"{_DOCKER}.container.image.v1+json")
LAYERS: Mapping[str, Compression] = {
    f"{_OCI}.layer.v1.tar": Compression.NONE,
    f"{_OCI}.layer.v1.tar+gzip": Compression.GZIP,
    f"{_OCI}.layer.v1.tar+zstd": Compression.ZSTD,
    f"{_DOCKER}.image.rootfs.diff.tar": Compression.NONE,
    f"{_DOCKER}.image.rootfs.diff.tar.gzip": Compression.GZIP,
    f"{_DOCKER}.image.rootfs.diff.tar.zstd": Compression.ZSTD,
}
_TAG = "org.opencontainers.image.ref.name"
_OF_MANIFESTS = frozenset(
    {"mediaType", "manifests", "layers", "config", "digest", "size", "urls", "platform", "os", "architecture"}
)
_OF_CONFIGS = frozenset({"os", "architecture", "rootfs", "diff_ids"})
_FREE = frozenset({"annotations", "Labels", "Volumes", "ExposedPorts", "history"})  # whose members are anybody's words
SYSTEM, ARCHITECTURE = "linux", "amd64"


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """Where one document points to another."""

    media_type: str
    digest: str
    size: int
    architecture: str = ""
    system: str = ""
    variant: str = ""
    tag: str = ""  # in a layout, what it is called there


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageIndex:
    """Several images, one a platform."""

    manifests: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One image."""

    config: Descriptor
    layers: tuple[Layer, ...]


@contextmanager
def _one_code() -> Iterator[None]:
    try:
        yield
    except Malformed as error:
        if error.code not in NOT_STRICT_JSON:
            raise
        raise Malformed("DJ322", error.message) from error


def _require_one_reading(document: Members, names: frozenset[str]) -> None:
    """Container runtimes read JSON by Go's library, to which `Layers` is `layers`: of two the last counts there, and here one."""
    contents: list[Json] = [dict(document.content)]
    while contents:
        content = contents.pop()
        if isinstance(content, list):
            contents += content
        elif isinstance(content, dict):
            folded = {name.casefold(): name for name in content}
            odd = next((folded[name.casefold()] for name in names if folded.get(name.casefold(), name) != name), "")
            if odd or len(folded) < len(content):
                raise Malformed(
                    "DJ322", f"{document.subject}: a member in two spellings, or in another than its own: {excerpt(odd)}"
                )
            contents += (value for name, value in content.items() if name not in _FREE)


def parse_document(text: bytes, media_type: str, subject: str) -> ImageIndex | Manifest:
    """An index or a manifest; `media_type` is how it came, or empty, and must be what the document says itself.

    Raises `Malformed` DJ322, and DJ328 for layers that are elsewhere.
    """
    with _one_code():
        document = strict_json.parse(text, subject, MAX_MANIFEST, fractions=True)
        _require_one_reading(document, _OF_MANIFESTS)
        own = document.text("mediaType") if document.has("mediaType") else media_type
        if document.has("manifests") == document.has("layers") or (media_type and own != media_type):
            raise Malformed("DJ322", f"{subject}: two kinds of document at once, or none: {excerpt(media_type or own)}")
        return _index(document, own) if document.has("manifests") else _manifest(document, own)


def _index(document: Members, media_type: str) -> ImageIndex:
    _check_type(document.subject, media_type, INDEXES)
    entries = document.members("manifests")
    if len(entries) > MAX_DESCRIPTORS:
        raise Malformed("DJ322", f"{document.subject}: {len(entries)} images, expected at most {MAX_DESCRIPTORS}")
    return ImageIndex(manifests=tuple(map(_descriptor, entries)))


def _manifest(document: Members, media_type: str) -> Manifest:
    _check_type(document.subject, media_type, MANIFESTS)
    config = _descriptor(document.member("config"))
    _check_type(f"{document.subject}.config", config.media_type, CONFIGS)
    entries = document.members("layers")
    if len(entries) > MAX_LAYERS:
        raise Malformed("DJ326", f"{document.subject}: {len(entries)} layers, expected at most {MAX_LAYERS}")
    return Manifest(config=config, layers=tuple(map(_layer, entries)))


def _check_type(subject: str, media_type: str, types: Collection[str]) -> None:
    if media_type and media_type not in types:
        raise Malformed("DJ322", f"{subject}: {excerpt(media_type)} is no part of an image that is read here")


def _descriptor(entry: Members) -> Descriptor:
    digest = entry.text("digest")
    if not is_digest(digest):
        raise Malformed("DJ322", f"{entry.subject}: the digest {excerpt(digest)}, expected sha256: and 64 digits")
    platform = entry.member("platform") if entry.has("platform") else Members(entry.subject, {})
    annotations = entry.content.get("annotations")
    return Descriptor(
        media_type=entry.text("mediaType"),
        digest=digest,
        size=entry.number("size", MAX_PACKED),
        architecture=_text(platform, "architecture"),
        system=_text(platform, "os"),
        variant=_text(platform, "variant"),
        tag=str(at(annotations, _TAG) or ""),
    )


def _text(members: Members, name: str) -> str:
    return members.text(name) if members.content.get(name) is not None else ""


def _layer(entry: Members) -> Layer:
    descriptor = _descriptor(entry)
    if entry.texts("urls") or "foreign" in descriptor.media_type or "nondistributable" in descriptor.media_type:
        raise Malformed(
            "DJ328", f"{entry.subject}: {descriptor.digest[:19]}… is kept elsewhere, expected every layer in one place"
        )
    if descriptor.media_type not in LAYERS:
        raise Malformed("DJ322", f"{entry.subject}: a layer of the type {excerpt(descriptor.media_type)} is not read here")
    return Layer(digest=descriptor.digest, size=descriptor.size, compression=LAYERS[descriptor.media_type])


def choose(index: ImageIndex, subject: str) -> Descriptor:
    """The image for linux/amd64, or one more index; raises `Malformed` DJ324."""
    fitting = [each for each in index.manifests if (each.system, each.architecture) == (SYSTEM, ARCHITECTURE)]
    plain = [each for each in fitting if not each.variant]
    unsaid = [each for each in index.manifests if not each.system and not each.architecture]
    for candidates in (plain, fitting, unsaid):
        if candidates:
            return candidates[0]
    platforms = ", ".join(sorted({f"{each.system}/{each.architecture}" for each in index.manifests}))
    raise Malformed("DJ324", f"{subject}: has {excerpt(platforms)}, expected {SYSTEM}/{ARCHITECTURE}")


def parse_config(text: bytes, subject: str) -> ImageConfig:
    """What an image's config says; raises `Malformed` DJ322, and DJ324 where it is for another platform."""
    with _one_code():
        document = strict_json.parse(text, subject, MAX_MANIFEST, fractions=True)
        _require_one_reading(document, _OF_CONFIGS)
        system, architecture = document.text("os"), document.text("architecture")
        if (system, architecture) != (SYSTEM, ARCHITECTURE):
            raise Malformed("DJ324", f"{subject}: is for {excerpt(f'{system}/{architecture}')}, expected {SYSTEM}/{ARCHITECTURE}")
        diff_ids = document.member("rootfs").texts("diff_ids")
        if not all(map(is_digest, diff_ids)):
            raise Malformed("DJ322", f"{subject}: digests of layers that are none")
        return _config(_sub(document, "config"), diff_ids)


def _config(process: Members, diff_ids: tuple[str, ...]) -> ImageConfig:
    return ImageConfig(
        entrypoint=_texts(process, "Entrypoint"),
        command=_texts(process, "Cmd"),
        environment=_texts(process, "Env"),
        working_dir=_text(process, "WorkingDir"),
        user=_text(process, "User"),
        labels={name: str(value) for name, value in _sub(process, "Labels").content.items()},
        exposed_ports=tuple(_sub(process, "ExposedPorts").content),
        volumes=tuple(_sub(process, "Volumes").content),
        stop_signal=_text(process, "StopSignal"),
        architecture=ARCHITECTURE,
        system=SYSTEM,
        diff_ids=diff_ids,
    )


def _sub(members: Members, name: str) -> Members:
    return Members(members.subject, {}) if members.content.get(name) is None else members.member(name)


def _texts(members: Members, name: str) -> tuple[str, ...]:
    return () if members.content.get(name) is None else members.texts(name)


def with_diff_ids(layers: Sequence[Layer], config: ImageConfig, subject: str) -> tuple[Layer, ...]:
    """The layers with the digest that each has uncompressed; raises `Malformed` DJ322 where there are not as many of both."""
    if len(layers) != len(config.diff_ids):
        raise Malformed("DJ322", f"{subject}: {len(layers)} layers and {len(config.diff_ids)} digests of layers in the config")
    return tuple(replace(layer, diff_id=diff_id) for layer, diff_id in zip(layers, config.diff_ids, strict=True))
