"""Paths of entries in layers, and names of archives' members."""

from collections.abc import Iterator

from donjon.errors import Malformed
from donjon.formats.words import excerpt
from donjon.images.bounds import MAX_NAME, MAX_PATH


def clean(name: str) -> str:
    """The path that a name means, from the root and without a slash before it; the root itself is empty.

    A slash before it changes nothing, as for every container runtime. Raises `Malformed` DJ327 for what leaves the root, and for
    what no file system of Linux takes.
    """
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise Malformed("DJ327", f"{excerpt(name)}: leaves the folder that it is in, expected no .. in a path")
    path = "/".join(parts)
    if len(name) > MAX_PATH or len(path.encode("utf-8", "surrogateescape")) > MAX_PATH or any(map(_too_long, parts)):
        raise Malformed("DJ327", f"{excerpt(name)}: a path of more than {MAX_PATH} bytes, or {MAX_NAME} between two slashes")
    return path


def _too_long(part: str) -> bool:
    return len(part) * 4 > MAX_NAME and len(part.encode("utf-8", "surrogateescape")) > MAX_NAME


def ancestors(path: str) -> Iterator[str]:
    """The folders that a path is in, the nearest first, without the root."""
    end = path.rfind("/")
    while end > 0:
        path = path[:end]
        yield path
        end = path.rfind("/")


def legible(path: str) -> str:
    """A path as text, no two alike: one that is no UTF-8 begins with `./`, as no other does, and has its bytes written out."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        octets = path.replace("\\", "\\\\").encode("utf-8", "surrogateescape")
        return f"./{octets.decode('utf-8', 'backslashreplace')}"
    return path
