"""Layers of an image, and what is said of them: the same inputs make the same bytes, and so the same digest.

Nothing of the moment is in them: every file is of the first second of 1970, and root's. They are not compressed, for two versions
of one library compress differently. Source: OCI image specification v1.1, `layer.md`, `config.md`, `manifest.md`.
"""

import hashlib
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO

from donjon.errors import Malformed
from donjon.formats.json import Json, JsonObject
from donjon.wrapping.tree import normal, parent

LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
EPOCH = "1970-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerFile:
    """A file, or a link, of a new layer."""

    path: str
    content: bytes = b""
    mode: int = 0o644
    target: str = ""  # of a link


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """Bytes by their digest, and what a manifest says of them."""

    media_type: str
    digest: str
    size: int
    content: bytes | None = None  # `None`: it is of the image that was wrapped, and copied

    def descriptor(self) -> JsonObject:
        """As a manifest says it."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


def digest_of(content: bytes) -> str:
    """As registries write it."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def blob(media_type: str, content: bytes) -> Blob:
    """Bytes of our own."""
    return Blob(media_type=media_type, digest=digest_of(content), size=len(content), content=content)


def layer(files: Iterable[LayerFile], folders: Iterable[str] = ()) -> Blob:
    """A layer of these files; folders that are in no layer below are made, those named in `folders` are there already."""
    stream = BytesIO()
    there = {"/", *folders}
    with tarfile.TarFile(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for file in sorted(files, key=lambda each: each.path):
            for folder in _above(file.path, there):
                archive.addfile(_member(folder, tarfile.DIRTYPE, 0o755))
            if file.target:
                archive.addfile(_member(file.path, tarfile.SYMTYPE, 0o777, link=file.target))
            else:
                archive.addfile(_member(file.path, tarfile.REGTYPE, file.mode, len(file.content)), BytesIO(file.content))
    return blob(LAYER_TYPE, stream.getvalue())


def _above(path: str, there: set[str]) -> Sequence[str]:
    folders = []
    while (path := parent(path)) not in there:
        there.add(path)
        folders.append(path)
    return folders[::-1]


def _member(path: str, kind: bytes, mode: int, size: int = 0, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(normal(path).removeprefix("/"))
    member.type, member.mode, member.size, member.linkname = kind, mode, size, link
    return member


@dataclass(frozen=True, slots=True, kw_only=True)
class WrappedImage:
    """A whole image: its layers, the lowest first, and what is said of them."""

    layers: tuple[Blob, ...]
    config: Blob
    manifest: Blob

    @property
    def digest(self) -> str:
        """By which a pod names it."""
        return self.manifest.digest


def add_layers(config: JsonObject, lower: Sequence[Blob], new: Mapping[str, Blob], process: JsonObject) -> WrappedImage:
    """An image with new layers, by what made each, and another process; the rest of its config stays.

    Raises `Malformed` DJ391 where the config says nothing of its layers.
    """
    root, history, old = config.get("rootfs"), config.get("history"), config.get("config")
    diff_ids = root.get("diff_ids") if isinstance(root, dict) else None
    if not isinstance(diff_ids, list) or len(diff_ids) != len(lower):
        raise Malformed("DJ391", "the image's config does not say which layers it has")
    whole: JsonObject = {
        **config,
        "config": {name: value for name, value in {**(old if isinstance(old, dict) else {}), **process}.items() if value},
        "rootfs": {"type": "layers", "diff_ids": [*diff_ids, *(each.digest for each in new.values())]},
        "history": _history(history, lower, new),
    }
    if not whole["history"]:
        del whole["history"]
    config_blob = blob(CONFIG_TYPE, _json(whole))
    layers = (*lower, *new.values())
    manifest: JsonObject = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": config_blob.descriptor(),
        "layers": [each.descriptor() for each in layers],
    }
    return WrappedImage(layers=layers, config=config_blob, manifest=blob(MANIFEST_TYPE, _json(manifest)))


def _history(old: Json, lower: Sequence[Blob], new: Iterable[str]) -> list[Json]:
    """What made each layer; nothing where the image does not say it of all of its own, for it is all or none."""
    entries = old if isinstance(old, list) else []
    count = sum(isinstance(each, dict) and each.get("empty_layer") is not True for each in entries)
    if count != len(lower):
        return []
    notes: list[Json] = [{"created": EPOCH, "created_by": f"donjon wrap: {name}"} for name in new]
    return [*entries, *notes]


def index(image: WrappedImage, tag: str) -> bytes:
    """The index of a layout that holds one image."""
    entry = image.manifest.descriptor()
    if tag:
        entry["annotations"] = {"org.opencontainers.image.ref.name": tag}
    document: JsonObject = {
        "schemaVersion": 2,
        "mediaType": INDEX_TYPE,
        "manifests": [entry],
    }
    return _json(document)


LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


def _json(document: JsonObject) -> bytes:
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()
