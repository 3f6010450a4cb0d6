"""Images made here: layers as tar archives, OCI layouts as folders or archives, and archives as `docker save` writes them."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from backports import zstd

from donjon.formats.json import Json, JsonObject
from donjon.images.image import Compression

_OCI = "application/vnd.oci.image"
LAYER_TYPES = {
    Compression.NONE: f"{_OCI}.layer.v1.tar",
    Compression.GZIP: f"{_OCI}.layer.v1.tar+gzip",
    Compression.ZSTD: f"{_OCI}.layer.v1.tar+zstd",
}


def member(name: str, kind: bytes = tarfile.REGTYPE, **changed: Json) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode = kind, 0o755
    for attribute, value in changed.items():
        setattr(info, attribute, value)
    return info


def layer(files: Mapping[str, bytes] | Sequence[tuple[tarfile.TarInfo, bytes]], layout: int = tarfile.PAX_FORMAT) -> bytes:
    """A layer, as its tar archive."""
    entries = [(member(name), content) for name, content in files.items()] if isinstance(files, Mapping) else files
    octets = io.BytesIO()
    with tarfile.open(fileobj=octets, mode="w", format=layout) as archive:
        for info, content in entries:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return octets.getvalue()


def pack(archive: bytes, compression: Compression) -> bytes:
    match compression:
        case Compression.NONE:
            return archive
        case Compression.GZIP:
            return gzip.compress(archive, 1, mtime=0)
        case Compression.ZSTD:
            return zstd.compress(archive)


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class MadeImage:
    """An image's blobs by their digests, and its manifest."""

    def __init__(
        self,
        *layers: bytes,
        compression: Compression = Compression.GZIP,
        platform: tuple[str, str] = ("linux", "amd64"),
        process: JsonObject | None = None,
        changed_manifest: JsonObject | None = None,
    ) -> None:
        self.layers = layers
        self.blobs: dict[str, bytes] = {}
        descriptors: list[Json] = [self.add(pack(each, compression), LAYER_TYPES[compression]) for each in layers]
        self.config: JsonObject = {
            "os": platform[0],
            "architecture": platform[1],
            "config": process or {},
            "rootfs": {"type": "layers", "diff_ids": [digest(each) for each in layers]},
        }
        manifest: JsonObject = {
            "schemaVersion": 2,
            "mediaType": f"{_OCI}.manifest.v1+json",
            "config": self.add(json.dumps(self.config).encode(), f"{_OCI}.config.v1+json"),
            "layers": descriptors,
            **(changed_manifest or {}),
        }
        self.manifest = json.dumps(manifest).encode()
        self.descriptor = self.add(self.manifest, f"{_OCI}.manifest.v1+json")

    def index(self, *images: "MadeImage") -> JsonObject:
        """An index of images, as one more blob."""
        entries: list[Json] = []
        for each in images:
            platform: JsonObject = {"os": each.config["os"], "architecture": each.config["architecture"]}
            entries.append({**each.descriptor, "platform": platform})
        index: JsonObject = {"schemaVersion": 2, "mediaType": f"{_OCI}.index.v1+json", "manifests": entries}
        return self.add(json.dumps(index).encode(), f"{_OCI}.index.v1+json")

    def add(self, content: bytes, media_type: str) -> JsonObject:
        self.blobs[digest(content)] = content
        return {"mediaType": media_type, "digest": digest(content), "size": len(content)}


def write_layout(folder: Path, image: MadeImage, index: Sequence[JsonObject] = ()) -> Path:
    """An OCI layout, with that image as its only one, or another index."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for name, content in image.blobs.items():
        (blobs / name.removeprefix("sha256:")).write_bytes(content)
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [*index] or [image.descriptor]}))
    return folder


def write_archive(folder: Path, path: Path) -> Path:
    """A folder as an archive."""
    with tarfile.open(path, "w") as archive:
        for each in sorted(folder.rglob("*")):
            archive.add(each, each.relative_to(folder), recursive=False)
    return path


def write_docker_archive(path: Path, image: MadeImage) -> Path:
    """As `docker save` wrote it before it wrote OCI layouts: layers as they are, and a link where a layer comes again."""
    config = json.dumps(image.config).encode()
    places: dict[bytes, str] = {}
    names: list[Json] = []
    with tarfile.open(path, "w") as archive:
        for number, each in enumerate(image.layers):
            name = f"{number:064x}/layer.tar"
            info = member(name)
            if each in places:
                info.type, info.linkname = tarfile.SYMTYPE, f"../{places[each]}"
                archive.addfile(info)
            else:
                info.size = len(each)
                archive.addfile(info, io.BytesIO(each))
            places.setdefault(each, name)
            names.append(name)
        for name, content in (
            (f"{digest(config).removeprefix('sha256:')}.json", config),
            (
                "manifest.json",
                json.dumps([{"Config": f"{digest(config)[7:]}.json", "RepoTags": ["a:1"], "Layers": names}]).encode(),
            ),
        ):
            info = member(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path
