"""Images in a registry, by the distribution API.

Source: OCI distribution specification 1.1, "Pull"; distribution, `docs/spec/auth`. By a client of ours: docs/decisions.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Self, TypeVar

from donjon.adapters.images.calls import RegistryCalls
from donjon.adapters.images.endpoint import RegistryEndpoint
from donjon.adapters.images.sources import check, digest_of, image_of
from donjon.errors import Unavailable
from donjon.findings.codes import REGISTRY_SILENT
from donjon.images.access import RegistryAccess
from donjon.images.image import Image, Layer
from donjon.images.logins import login_for
from donjon.images.manifests import INDEXES, MANIFESTS, Descriptor
from donjon.images.references import DEFAULT_REGISTRY, ImageReference

_HOSTS = {DEFAULT_REGISTRY: "registry-1.docker.io"}
_THIS_MACHINE = re.compile(r"(?:localhost|127(?:\.[0-9]+){3}|\[::1\])(?::[0-9]+)?", re.ASCII)
_T = TypeVar("_T")


class Registry:
    """One image's place in a registry and its mirrors; the mirrors are asked first, and whoever has it answers."""

    def __init__(self, access: RegistryAccess, reference: ImageReference) -> None:
        self._reference = reference
        self._calls = RegistryCalls(access, str(reference))
        self._endpoints = [
            RegistryEndpoint(
                self._calls,
                f"{scheme}://{_HOSTS.get(host, host)}",
                reference.repository,
                login_for(access.logins, host, reference.repository),
            )
            for host in (*access.mirrors.get(reference.registry, ()), reference.registry)
            for scheme in _schemes(host, access)
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._calls.close()

    def image(self, reference: ImageReference) -> Image:
        """The image for linux/amd64."""
        return self._first(lambda endpoint: _image_at(endpoint, reference))

    def document(self, path: str, types: tuple[str, ...]) -> bytes:
        """A document beside the image, as it comes: whoever asked checks it."""
        return self._first(lambda endpoint: endpoint.document(path, types)[1])

    @contextmanager
    def layer(self, layer: Layer) -> Iterator[Iterator[bytes]]:
        """A blob, as it comes."""
        with ExitStack() as stack:
            yield self._first(lambda endpoint: stack.enter_context(endpoint.pieces(f"blobs/{layer.digest}")))

    def _first(self, look: Callable[[RegistryEndpoint], _T]) -> _T:
        """What the first endpoint answers that has it; raises what says most: that one answered, then what the first said."""
        refusals: list[Unavailable] = []
        for endpoint in self._endpoints:
            try:
                return look(endpoint)
            except Unavailable as error:
                refusals.append(error)
        raise next((each for each in refusals if each.code != REGISTRY_SILENT), refusals[0])


def _schemes(host: str, access: RegistryAccess) -> tuple[str, ...]:
    """TLS; none where somebody said so; and on this machine whichever there is."""
    if host in access.plain_http:
        return ("http",)
    return ("https", "http") if _THIS_MACHINE.fullmatch(host) else ("https",)


def _image_at(endpoint: RegistryEndpoint, reference: ImageReference) -> Image:
    media_type, text, digest = endpoint.document(f"manifests/{reference.digest or reference.tag}", (*MANIFESTS, *INDEXES))
    check(text, reference.digest or digest or digest_of(text), str(reference))
    top = Descriptor(media_type=media_type, digest=digest_of(text), size=len(text))
    return image_of(_Documents(endpoint, top, text), top, reference)


class _Documents:
    """Documents of one endpoint; the first is here."""

    def __init__(self, endpoint: RegistryEndpoint, top: Descriptor, text: bytes) -> None:
        self._endpoint, self._top, self._text = endpoint, top, text

    def document(self, descriptor: Descriptor) -> bytes:
        if descriptor == self._top:
            return self._text
        kind = "manifests" if descriptor.media_type in {*MANIFESTS, *INDEXES} else "blobs"
        return self._endpoint.document(f"{kind}/{descriptor.digest}", (descriptor.media_type,))[1]
