"""Who asks, by the word of the API server: what it tells a server behind it in headers, and how it shows that it is itself.

Source: k8s.io/apiserver `pkg/authentication/request/headerrequest`, `pkg/server/options/authentication.go`; the ConfigMap
`extension-apiserver-authentication` of kube-system.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast
from urllib.parse import unquote

from donjon.errors import Malformed, Untrusted
from donjon.formats.json import Json, JsonObject, at

CONFIGURATION = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
MASTERS = "system:masters"
"""The group that may do everything: the API server's own check of whether a server is there comes as one of it."""

ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED = "system:anonymous", "system:authenticated", "system:unauthenticated"
MAX_WORDS = 1 << 16  # characters of all that is said of a caller


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontProxy:
    """How the API server shows that it is itself, and in which headers it says who asks (each in lower case)."""

    authorities: bytes
    names: frozenset[str]  # of its certificate; none stands for any that the authorities issued
    user: tuple[str, ...]
    group: tuple[str, ...]
    extra: tuple[str, ...]  # what the names of these headers begin with
    uid: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiUser:
    """The user for whom the API server asks."""

    user: str
    groups: tuple[str, ...]
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()
    uid: str = ""

    @property
    def attributes(self) -> JsonObject:
        """The same as a SubjectAccessReview's spec says it."""
        extra: JsonObject = {name: [*values] for name, values in self.extra}
        spec: JsonObject = {"user": self.user, "groups": [*self.groups], "extra": extra}
        return spec | ({"uid": self.uid} if self.uid else {})


def front_proxy(configuration: JsonObject) -> FrontProxy:
    """What that ConfigMap says; raises `Malformed` DJ727 where the API server was told of no front proxy."""
    authorities = at(configuration, "data", "requestheader-client-ca-file")
    if not isinstance(authorities, str) or not authorities.strip():
        raise Malformed("DJ727", "extension-apiserver-authentication: it has no requestheader-client-ca-file")
    return FrontProxy(
        authorities=authorities.encode(),
        names=frozenset(_list(configuration, "requestheader-allowed-names")),
        user=_headers(configuration, "requestheader-username-headers"),
        group=_headers(configuration, "requestheader-group-headers"),
        extra=_headers(configuration, "requestheader-extra-headers-prefix"),
        uid=_headers(configuration, "requestheader-uid-headers"),
    )


def check_name(proxy: FrontProxy, common_name: str) -> None:
    """Raises `Untrusted` DJ721 where a certificate of that name is not the API server's."""
    if proxy.names and common_name not in proxy.names:
        raise Untrusted(
            "DJ721", f"client certificate: of {common_name[:100]!r}, expected one of {', '.join(sorted(proxy.names))}"
        )


def api_user(proxy: FrontProxy, headers: Iterable[tuple[bytes, bytes]]) -> ApiUser:
    """Who asks, by the headers of a request that the API server sent; raises `Untrusted` DJ721 where they name nobody."""
    pairs = [(name.decode("latin-1").lower(), text.decode("utf-8", "replace")) for name, text in headers]
    user = next((text for header in proxy.user for name, text in pairs if name == header and text), "")
    if not user:
        raise Untrusted("DJ721", "request: no header says for whom the API server asks")
    extra: dict[str, list[str]] = {}
    for name, text in pairs:
        for prefix in proxy.extra:
            if name.startswith(prefix):
                extra.setdefault(unquote(name.removeprefix(prefix)), []).append(text)
    if sum(len(name) + len(text) for name, text in pairs) > MAX_WORDS:
        raise Untrusted("DJ721", f"request: its headers say more than {MAX_WORDS} characters")
    return ApiUser(
        user=user,
        groups=_with_authenticated(user, tuple(text for name, text in pairs if name in proxy.group)),
        extra=tuple((name, tuple(texts)) for name, texts in sorted(extra.items())),
        uid=next((text for name, text in pairs if name in proxy.uid), ""),
    )


def _with_authenticated(user: str, groups: tuple[str, ...]) -> tuple[str, ...]:
    """With the group of all users, as each server behind the API server adds it (k8s.io/apiserver, `AuthenticatedGroupAdder`)."""
    if user == ANONYMOUS or AUTHENTICATED in groups or UNAUTHENTICATED in groups:
        return groups
    return (*groups, AUTHENTICATED)


def _headers(configuration: JsonObject, key: str) -> tuple[str, ...]:
    return tuple(each.lower() for each in _list(configuration, key))


def _list(configuration: JsonObject, key: str) -> tuple[str, ...]:
    text = at(configuration, "data", key)
    if text is None:
        return ()
    try:
        values = cast("Json", json.loads(str(text)))
    except (ValueError, RecursionError) as error:
        raise Malformed("DJ727", f"extension-apiserver-authentication: {key} is no JSON") from error
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        raise Malformed("DJ727", f"extension-apiserver-authentication: {key}: expected a list of texts")
    return tuple(map(str, values))
