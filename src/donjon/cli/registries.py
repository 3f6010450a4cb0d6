"""Images that a person names, and how their registries are reached: options, and what they say."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypedDict, TypeVar

import click

from donjon.adapters import files
from donjon.cli.options import with_options
from donjon.errors import Malformed, Misconfigured
from donjon.images.access import RegistryAccess, RegistryLogin
from donjon.images.logins import MAX_LOGINS, parse_logins
from donjon.images.references import ImagePlace, ImageReference, is_host, names_registry, parse_reference

F = TypeVar("F", bound=Callable[..., object])

MAX_AUTHORITIES = 1 << 20  # bytes
_LOCAL = tuple(f"{place}:" for place in (ImagePlace.OCI_LAYOUT, ImagePlace.DOCKER_ARCHIVE))
_FILE = click.Path(path_type=Path, dir_okay=False)


class RegistryOptions(TypedDict):
    """What of registries is said on the command line."""

    logins: Path | None
    registry_authority: Path | None
    mirror: tuple[str, ...]
    plain_http: tuple[str, ...]


OPTIONS: tuple[Callable[[F], F], ...] = (
    click.option(
        "--logins",
        type=_FILE,
        metavar="FILE",
        help="config.json of Docker, or auth.json of Podman; by default whichever is there.",
    ),
    click.option(
        "--registry-authority",
        type=_FILE,
        metavar="FILE",
        help="Who signed registries' certificates, in PEM; by default the system's.",
    ),
    click.option("--mirror", multiple=True, metavar="REGISTRY=HOST", help="HOST[:PORT] that is asked before REGISTRY."),
    click.option("--plain-http", multiple=True, metavar="HOST", help="HOST[:PORT] speaks no TLS; localhost need not be named."),
)


def with_registries(command: F) -> F:
    """The options of registries."""
    return with_options(command, OPTIONS)


def image_named(text: str) -> ImageReference | None:
    """The image that an argument names, where it names no file: `oci:…`, `docker-archive:…`, or an image with its registry.

    Raises `Malformed` DJ320, and DJ932 where it names no file and an image as Docker alone would read it.
    """
    if text.startswith(_LOCAL) or (names_registry(text) and not os.path.lexists(text)):
        return parse_reference(text)
    if ":" in text.rpartition("/")[2] and not os.path.lexists(text):
        hub = "docker.io/" if "/" in text else "docker.io/library/"
        raise Malformed(
            "DJ932", f"there is no such file, and an image is named with its registry: {hub}{text}, or oci:PATH[:TAG]"
        )
    return None


def access(options: RegistryOptions) -> RegistryAccess:
    """How registries are reached; raises `Misconfigured` DJ334 or DJ335."""
    authority = options["registry_authority"]
    return RegistryAccess(
        logins=_logins(options["logins"]),
        mirrors=_mirrors(options["mirror"]),
        authorities=None if authority is None else _read(authority, MAX_AUTHORITIES, "DJ335").decode("utf-8", "replace"),
        plain_http=frozenset(options["plain_http"]),
    )


def _logins(file: Path | None) -> dict[str, RegistryLogin]:
    if file is None:
        file = next((path for path in _usual() if path.is_file()), None)
    return {} if file is None else {**parse_logins(_read(file, MAX_LOGINS, "DJ334"), str(file))}


def _usual() -> Iterator[Path]:
    """Where Docker and Podman keep logins."""
    if folder := os.environ.get("DOCKER_CONFIG"):
        yield Path(folder) / "config.json"
    if file := os.environ.get("REGISTRY_AUTH_FILE"):
        yield Path(file)
    if folder := os.environ.get("XDG_RUNTIME_DIR"):
        yield Path(folder) / "containers" / "auth.json"
    if home := os.environ.get("HOME"):
        yield Path(home) / ".docker" / "config.json"


def _read(path: Path, bound: int, code: str) -> bytes:
    try:
        return files.read(path, bound)
    except OSError as error:
        raise Misconfigured(code, f"{path}: {error.strerror or error}") from error


def _mirrors(texts: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    mirrors: dict[str, tuple[str, ...]] = {}
    for text in texts:
        registry, _, host = text.partition("=")
        if not (is_host(registry) and is_host(host)):
            raise Misconfigured("DJ335", f"mirror {text}: expected REGISTRY=HOST or REGISTRY=HOST:PORT")
        mirrors[registry] = (*mirrors.get(registry, ()), host)
    return mirrors
