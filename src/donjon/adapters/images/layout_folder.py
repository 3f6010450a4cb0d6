"""A new OCI layout: a folder that appears whole, or not at all. Source: OCI image specification v1.1, `image-layout.md`."""

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from donjon.adapters.images.whole import KeptLayer
from donjon.errors import Misconfigured, Unavailable, Untrusted
from donjon.wrapping.layers import LAYOUT, Blob, WrappedImage, index


class LayoutFolder:
    """A layout that is being written: `new_layout` makes one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._blobs = folder / "blobs" / "sha256"
        self._blobs.mkdir(parents=True)

    def copy(self, layers: Iterable[KeptLayer]) -> tuple[Blob, ...]:
        """Layers of another image, each checked as it is written."""
        return tuple(map(self._copy, layers))

    def _copy(self, layer: KeptLayer) -> Blob:
        path, size, digest = self._blobs / "part", 0, hashlib.sha256()
        with path.open("wb") as file:
            for piece in layer.pieces:
                file.write(piece)
                digest.update(piece)
                size += len(piece)
        if f"sha256:{digest.hexdigest()}" != layer.digest:
            raise Untrusted("DJ323", f"a layer with the digest sha256:{digest.hexdigest()}, expected {layer.digest}")
        path.rename(self._path(layer.digest))
        return Blob(media_type=layer.media_type, digest=layer.digest, size=size)

    def write(self, image: WrappedImage, tag: str) -> None:
        """What is new of the image, and the index that names it."""
        for blob in (*image.layers, image.config, image.manifest):
            if blob.content is not None:
                self._path(blob.digest).write_bytes(blob.content)
        (self._folder / "oci-layout").write_bytes(LAYOUT)
        (self._folder / "index.json").write_bytes(index(image, tag))

    def _path(self, digest: str) -> Path:
        return self._blobs / digest.removeprefix("sha256:")


def check_free(folder: Path) -> None:
    """Raises `Misconfigured` DJ392 where the folder is there already."""
    if folder.exists():
        raise Misconfigured("DJ392", f"{folder}: is there already; name a folder that is not")


@contextmanager
def new_layout(folder: Path) -> Iterator[LayoutFolder]:
    """A layout in a folder that is not there yet; raises `Misconfigured` DJ392 where it is, and `Unavailable` DJ349."""
    part = folder.with_name(f".{folder.name}.part")
    check_free(folder)
    try:
        part.mkdir(parents=True)
        yield LayoutFolder(part)
        part.rename(folder)
    except OSError as error:
        raise Unavailable("DJ349", f"{folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
