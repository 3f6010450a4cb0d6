"""Service accounts, known by their tokens, of which the API server says whose they are.

Source: Kubernetes API, TokenReview in authentication.k8s.io/v1. Answers are kept for seconds, so that a token that was withdrawn
does not count for long; under the digest of the token, since a cache is no place for secrets.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable

from donjon.adapters.kubeapi.client import KubeApi
from donjon.errors import Unavailable, Untrusted
from donjon.formats.json import JsonObject, at

PATH = "/apis/authentication.k8s.io/v1/tokenreviews"
CACHE_SECONDS = 10.0  # seconds
MAX_CACHE = 1024  # answers
AT_ONCE = 8  # questions to the API server

_ACCOUNT = "system:serviceaccount:"


class TokenReviews:
    """Asks one API server, for tokens of one audience."""

    def __init__(self, api: KubeApi, audience: str, seconds: Callable[[], float]) -> None:
        self._api, self._audience, self._seconds = api, audience, seconds
        self._cache: OrderedDict[bytes, tuple[float, str | None]] = OrderedDict()  # in the order in which they end
        self._asking = asyncio.Semaphore(AT_ONCE)

    async def account(self, token: str) -> str:
        """NAMESPACE/NAME of the service account whose token that is; raises `Untrusted` DJ551, `Unavailable` DJ554."""
        digest = hashlib.sha256(token.encode()).digest()
        if not self._knows(digest):
            async with self._asking:
                if not self._knows(digest):  # Others with the same token may have asked meanwhile.
                    self._keep(digest, await self._review(token))
        _, account = self._cache[digest]
        if account is None:
            raise Untrusted("DJ551", "token: the API server does not know it as a service account's, for our audience")
        return account

    def _knows(self, digest: bytes) -> bool:
        until, _ = self._cache.get(digest, (0.0, None))
        return until > self._seconds()

    async def _review(self, token: str) -> str | None:
        spec: JsonObject = {"token": token, "audiences": [self._audience]}
        body: JsonObject = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
        try:
            answer = await self._api.create(PATH, body)
        except Unavailable as error:
            raise Unavailable("DJ554", f"token review: {error.message}") from error
        # An API server that does not know of audiences says none, and would take tokens for any (API documentation of the field).
        audiences, name = at(answer, "status", "audiences"), at(answer, "status", "user", "username")
        authenticated = (
            at(answer, "status", "authenticated") is True and isinstance(audiences, list) and self._audience in audiences
        )
        if not authenticated or not isinstance(name, str) or not name.startswith(_ACCOUNT):
            return None
        namespace, _, account = name.removeprefix(_ACCOUNT).partition(":")
        return f"{namespace}/{account}"

    def _keep(self, digest: bytes, account: str | None) -> None:
        self._cache.pop(digest, None)
        self._cache[digest] = (self._seconds() + CACHE_SECONDS, account)
        if len(self._cache) > MAX_CACHE:
            self._cache.popitem(last=False)
