"""The image as an OCI archive: the root as its first layer, then what Containerfile says, in its order.

`deploy/images/build` calls it with what it made. Containerfile runs nothing, so that its steps are data: a layer for each COPY,
the rest is configuration. The same input gives the same bytes: files are sorted, root's, and dated by one moment; nothing is
compressed.
"""

import hashlib
import json
import shlex
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TypeAlias

CONTAINERFILE = Path(__file__).with_name("Containerfile")
EPOCH = 1767225600  # as in `build`
_OCI = "application/vnd.oci.image"

Json: TypeAlias = "dict[str, object]"
Step: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """A part of the image by its hash, in a file of its own."""

    path: Path
    digest: str

    def descriptor(self, kind: str) -> Json:
        """How another part names this one, which is of a media type of OCI's."""
        return {"mediaType": f"{_OCI}.{kind}", "digest": f"sha256:{self.digest}", "size": self.path.stat().st_size}


def main(context: str, root: str, archive: str, image: str, revision: str) -> None:
    """Write an image of this name and tag, and with the commit that it was built from."""
    steps = list(_steps(CONTAINERFILE.read_text(encoding="utf-8")))
    values = {"REVISION": revision, "VERSION": image.rpartition(":")[2]}
    with tempfile.TemporaryDirectory(dir=Path(archive).parent) as name:
        folder = Path(name)
        copies = [text.split() for word, text in steps if word == "COPY"]
        layers = [_blob(Path(root)), *(_blob(_layer(Path(context, source), target, folder)) for source, target in copies)]
        config = _blob(_json(_config(steps, values, layers), folder))
        manifest = _blob(_json(_manifest(config, layers), folder))
        index = _json(_index(manifest, image), folder)
        files = {"oci-layout": _json({"imageLayoutVersion": "1.0.0"}, folder), "index.json": index}
        files |= {f"blobs/sha256/{blob.digest}": blob.path for blob in (manifest, config, *layers)}
        part = folder / "archive"
        _archive(files, part)
        part.replace(archive)


def _steps(text: str) -> Iterator[Step]:
    """Containerfile's steps, a word and what follows."""
    joined = "\n".join(line for line in text.splitlines() if not line.startswith("#")).replace("\\\n", " ")
    for line in filter(None, map(str.strip, joined.splitlines())):
        word, _, rest = line.partition(" ")
        yield word, rest.strip()


def _pairs(steps: list[Step], word: str) -> list[str]:
    """NAME=VALUE of every such step."""
    return [pair for each, text in steps if each == word for pair in shlex.split(text)]


def _config(steps: list[Step], values: dict[str, str], layers: list[Blob]) -> Json:
    """The image's configuration: how its program is started, and what it is."""
    arguments = dict(pair.split("=", 1) for pair in _pairs(steps, "ARG")) | values
    labels = dict(pair.split("=", 1) for pair in _pairs(steps, "LABEL"))
    for name, value in arguments.items():
        labels = {label: text.replace(f"${{{name}}}", value) for label, text in labels.items()}
    said = dict(steps)
    created = datetime.fromtimestamp(EPOCH, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    history = ["root", *(f"COPY {text}" for word, text in steps if word == "COPY")]
    return {
        "created": created,
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "User": said["USER"],
            "Env": _pairs(steps, "ENV"),
            "Entrypoint": json.loads(said["ENTRYPOINT"]),
            "WorkingDir": "/",
            "Labels": dict(sorted(labels.items())),
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.digest}" for layer in layers]},
        "history": [{"created": created, "created_by": text} for text in history],
    }


def _manifest(config: Blob, layers: list[Blob]) -> Json:
    named = [layer.descriptor("layer.v1.tar") for layer in layers]
    return {
        "schemaVersion": 2,
        "mediaType": f"{_OCI}.manifest.v1+json",
        "config": config.descriptor("config.v1+json"),
        "layers": named,
    }


def _index(manifest: Blob, image: str) -> Json:
    """The archive's table of contents. Containerd and Docker read the name from the first annotation, Podman from the second."""
    names = {"io.containerd.image.name": image, "org.opencontainers.image.ref.name": image}
    entry = manifest.descriptor("manifest.v1+json") | {"platform": {"architecture": "amd64", "os": "linux"}, "annotations": names}
    return {"schemaVersion": 2, "mediaType": f"{_OCI}.index.v1+json", "manifests": [entry]}


def _layer(source: Path, target: str, folder: Path) -> Path:
    """A tar of a file or a folder of the context, at its place in the image, with the folders above it."""
    path = _new(folder)
    place = PurePosixPath(target.lstrip("/"))
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for above in list(place.parents)[-2::-1]:
            archive.addfile(_entry(str(above), kind=tarfile.DIRTYPE))
        for each in (source, *sorted(source.rglob("*"))):
            name = str(place / each.relative_to(source))
            if each.is_symlink():
                raise SystemExit(f"layout: {each} is a link; layers of the context hold files and folders alone")
            if each.is_dir():
                archive.addfile(_entry(name, kind=tarfile.DIRTYPE))
                continue
            with each.open("rb") as stream:
                archive.addfile(_entry(name, size=each.stat().st_size, runs=bool(each.stat().st_mode & 0o100)), stream)
    return path


def _entry(name: str, *, kind: bytes = tarfile.REGTYPE, size: int = 0, runs: bool = False) -> tarfile.TarInfo:
    """Root's, dated by the one moment, readable by everybody."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.size, entry.mtime = kind, size, EPOCH
    entry.mode = 0o755 if runs or kind == tarfile.DIRTYPE else 0o644
    return entry


def _archive(files: dict[str, Path], path: Path) -> None:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name in sorted(files):
            with files[name].open("rb") as stream:
                archive.addfile(_entry(name, size=files[name].stat().st_size), stream)


def _json(value: Json, folder: Path) -> Path:
    path = _new(folder)
    path.write_text(json.dumps(value, separators=(",", ":")), encoding="utf-8")
    return path


def _blob(path: Path) -> Blob:
    with path.open("rb") as stream:
        return Blob(path=path, digest=hashlib.file_digest(stream, "sha256").hexdigest())


def _new(folder: Path) -> Path:
    return folder / str(len(list(folder.iterdir())))


if __name__ == "__main__":
    main(*sys.argv[1:])
