"""Calls to a registry and to where it sends the caller: which addresses may be reached, and who is told the login.

A name is looked up once, and the address that was judged is the one that is called: another answer to a second question changes
nothing. A proxy that the environment names is told the name: it looks for itself, and what is near to it is not near to us.
"""

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from ssl import SSLContext
from urllib.parse import SplitResult, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

from donjon.adapters.images.time_limit import TimeLimit
from donjon.adapters.transport.blocking import BlockingAnswer, BlockingClient
from donjon.adapters.transport.tls import client_context
from donjon.errors import Unavailable
from donjon.formats.addresses import join
from donjon.formats.words import excerpt
from donjon.images.access import RegistryAccess
from donjon.images.zones import Zone, reachable, zone

MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PORTS = {"https": 443, "http": 80}


class RegistryCalls:
    """All calls for one image."""

    def __init__(self, access: RegistryAccess, what: str) -> None:
        self._access, self._what = access, what
        self._clients: dict[str, BlockingClient] = {}
        self.limit = TimeLimit(access.patience, what, self._drop)

    def close(self) -> None:
        """Close the connections."""
        self.limit.close()
        self._drop()

    def _drop(self) -> None:
        for client in [*self._clients.values()]:
            with suppress(RuntimeError):  # The library's word for a connection that is in use, once it is closed.
                client.close()

    @cached_property
    def _trust(self) -> SSLContext | None:
        if self._access.authorities is None:
            return None
        return client_context(self._access.authorities, code="DJ335", what="authorities of registries")

    @contextmanager
    def call(
        self, url: str, registry: str, headers: Mapping[str, str], form: Mapping[str, str] | None = None
    ) -> Iterator[BlockingAnswer]:
        """The answer of a registry, or of where it sends the caller; raises `Unavailable` DJ330, DJ333 or DJ336."""
        place, base = urlsplit(url), urlsplit(registry)
        for _ in range(MAX_REDIRECTS):
            with self._ask(place, base, headers, form) as answer:
                if answer.status not in _REDIRECTS or not answer.header("Location"):
                    yield answer
                    return
                following = urlsplit(urljoin(place.geturl(), answer.header("Location")))
            if _origin(following) != _origin(place):
                headers = {name: value for name, value in headers.items() if name != "Authorization"}
            place, form = following, None
        raise Unavailable("DJ333", f"{self._what}: {base.netloc} sends the caller on more than {MAX_REDIRECTS} times")

    @contextmanager
    def _ask(
        self, place: SplitResult, base: SplitResult, headers: Mapping[str, str], form: Mapping[str, str] | None
    ) -> Iterator[BlockingAnswer]:
        self.limit.check()
        what = f"{self._what}: {excerpt(place.netloc)}"
        address = self._address(place, base)
        url = place.geturl() if not address else place._replace(netloc=join(address, _origin(place)[2])).geturl()
        pinned = {"Host": place.netloc} if address else {}
        client = self._clients.setdefault(
            place.netloc, BlockingClient(code="DJ330", seconds=self._access.seconds, trust=self._trust)
        )
        try:
            method = "GET" if form is None else "POST"
            name = place.hostname or "" if address else ""
            with client.ask(method, url, what=what, headers={**headers, **pinned}, form=form, name=name) as answer:
                yield answer
        except (Unavailable, RuntimeError):
            self.limit.check()
            raise

    def _address(self, place: SplitResult, base: SplitResult) -> str:
        """The address to call in place of a name; empty where any would do. Raises `Unavailable` DJ333 or DJ336."""
        if _origin(place) == _origin(base):
            if self._access.inside is None or base.netloc in self._access.inside:
                return ""
            return self._judge(place, frozenset({Zone.OUTSIDE}), "DJ336")
        if place.scheme not in _PORTS or (place.scheme == "http" and base.scheme != "http") or "@" in place.netloc:
            raise Unavailable(
                "DJ333", f"{self._what}: {base.netloc} sends the caller to {excerpt(place.geturl())}, expected https"
            )
        return self._judge(place, reachable(self._zones(base)), "DJ333")

    def _zones(self, base: SplitResult) -> frozenset[Zone]:
        try:
            return frozenset(map(zone, self._addresses(base)))
        except Unavailable:  # A proxy may know the name that is not known here.
            return frozenset({Zone.OUTSIDE})

    def _judge(self, place: SplitResult, zones: frozenset[Zone], code: str) -> str:
        try:
            addresses = self._addresses(place)
        except Unavailable:
            if _is_proxied(place):
                return ""
            raise
        for each in addresses:
            if zone(each) not in zones:
                raise Unavailable(code, f"{self._what}: {excerpt(place.netloc)} has the address {each}, {zone(each)}")
        return "" if _is_proxied(place) else addresses[0]

    def _addresses(self, place: SplitResult) -> list[str]:
        _, host, port = _origin(place)
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise Unavailable("DJ330", f"{self._what}: {excerpt(place.netloc)}: {error}") from error
        return [str(answer[4][0]) for answer in answers]


def _is_proxied(place: SplitResult) -> bool:
    """Whether the environment names a proxy for it; as httpx2 reads it."""
    return {place.scheme, "all"} & getproxies().keys() != set() and not proxy_bypass(place.hostname or "")


def _origin(place: SplitResult) -> tuple[str, str, int]:
    try:
        port = place.port
    except ValueError:
        port = 0
    return place.scheme, place.hostname or "", port or _PORTS.get(place.scheme, 0)
