"""How an image is named: a folder or archive on this machine, or a place in a registry as Docker and Kubernetes read it.

Source: distribution/reference, `regexp.go` and `normalize.go`; the names of transports are skopeo's.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from donjon.errors import Malformed
from donjon.formats.words import excerpt

DEFAULT_REGISTRY = "docker.io"
DEFAULT_TAG = "latest"
MAX_NAME = 255  # signs of registry and repository
MAX_REFERENCE = 4096

_OFFICIAL = "library/"
_ALIASES = {"index.docker.io": DEFAULT_REGISTRY, "registry-1.docker.io": DEFAULT_REGISTRY}
_HOST = re.compile(r"(?:(?!-)[A-Za-z0-9-]+(?:\.(?!-)[A-Za-z0-9-]+)*|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?", re.ASCII)
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*", re.ASCII)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


class ImagePlace(StrEnum):
    """Where an image is; the value is the word before the colon."""

    OCI_LAYOUT = "oci"  # a folder, or an archive of one
    DOCKER_ARCHIVE = "docker-archive"  # of `docker save`
    REGISTRY = "registry"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReference:
    """The name of one image."""

    place: ImagePlace
    path: str = ""  # of a folder or an archive
    registry: str = ""  # HOST or HOST:PORT
    repository: str = ""
    tag: str = ""  # empty where a digest is all that was said, or a layout has one image
    digest: str = ""  # sha256:…, where it was said

    def __str__(self) -> str:
        """The name, whole."""
        tag = self.tag and f":{self.tag}"
        if self.place is not ImagePlace.REGISTRY:
            return f"{self.place}:{self.path}{tag}"
        return f"{self.registry}/{self.repository}{tag}{self.digest and '@' + self.digest}"


def is_digest(text: str) -> bool:
    """Whether a text is a digest as all of ours are, by SHA-256."""
    return _DIGEST.fullmatch(text) is not None


def is_host(text: str) -> bool:
    """Whether a text is HOST or HOST:PORT."""
    return _HOST.fullmatch(text) is not None


def names_registry(text: str) -> bool:
    """Whether a text begins with a registry, or ends with a digest, so that it can be no file that somebody forgot to make."""
    first, slash, _ = text.partition("/")
    return "@sha256:" in text or bool(slash and is_host(first) and ("." in first or ":" in first or first == "localhost"))


def parse_reference(text: str) -> ImageReference:
    """The image that is meant by `oci:PATH[:TAG]`, `docker-archive:PATH` or [REGISTRY/]REPOSITORY[:TAG][@DIGEST].

    Raises `Malformed` DJ320.
    """
    if not text or len(text) > MAX_REFERENCE or not text.isprintable():
        raise _malformed(text, "expected a name of one image, printable, and not longer than 4096 signs")
    place, _, rest = text.partition(":")
    if place == ImagePlace.OCI_LAYOUT:
        return _layout(text, rest)
    if place == ImagePlace.DOCKER_ARCHIVE:
        return ImageReference(place=ImagePlace.DOCKER_ARCHIVE, path=rest or _no_path(text))
    return _in_registry(text)


def _layout(text: str, rest: str) -> ImageReference:
    path, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:
        path, tag = rest, ""
    return ImageReference(place=ImagePlace.OCI_LAYOUT, path=path or _no_path(text), tag=tag)


def _no_path(text: str) -> str:
    raise _malformed(text, "expected a path behind the colon")


def _in_registry(text: str) -> ImageReference:
    name, at, digest = text.partition("@")
    if at and not is_digest(digest):
        raise _malformed(text, "expected a digest sha256:… with 64 digits behind the @")
    registry, repository = _split(name)
    repository, colon, tag = repository.partition(":")
    if colon and not _TAG.fullmatch(tag):
        raise _malformed(text, "expected a tag of letters, digits and . _ - behind the colon")
    if registry == DEFAULT_REGISTRY and "/" not in repository:
        repository = _OFFICIAL + repository
    if not is_host(registry) or not _REPOSITORY.fullmatch(repository) or len(registry) + len(repository) >= MAX_NAME:
        raise _malformed(text, "expected [REGISTRY/]REPOSITORY[:TAG][@sha256:…], the repository in lower case")
    return ImageReference(
        place=ImagePlace.REGISTRY,
        registry=registry,
        repository=repository,
        tag=tag or ("" if digest else DEFAULT_TAG),
        digest=digest,
    )


def _split(name: str) -> tuple[str, str]:
    """Registry and the rest: as Docker does it, the first part is a registry where it could be no part of a repository."""
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        return _ALIASES.get(first, first), rest
    return DEFAULT_REGISTRY, name


def _malformed(text: str, expected: str) -> Malformed:
    return Malformed("DJ320", f"image {excerpt(text)}: {expected}")
