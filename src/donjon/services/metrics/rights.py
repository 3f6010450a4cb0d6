"""Whether a user may ask what is asked: the API server is asked, and its answers are kept for seconds.

Source: Kubernetes API, SubjectAccessReview in authorization.k8s.io/v1.
"""

import asyncio
import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable

from donjon.adapters.kubeapi.client import KubeApi
from donjon.errors import Unavailable
from donjon.formats.json import JsonObject, at
from donjon.metricsapi.callers import MASTERS, ApiUser

PATH = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
CACHE_SECONDS = 10.0  # as the API server's own servers keep a yes
MAX_CACHE = 4096  # answers
AT_ONCE = 16  # questions to the API server


class AccessReviews:
    """Asks one API server."""

    def __init__(self, api: KubeApi, seconds: Callable[[], float]) -> None:
        self._api, self._seconds = api, seconds
        self._cache: OrderedDict[bytes, tuple[float, bool]] = OrderedDict()  # in the order in which they end
        self._asking = asyncio.Semaphore(AT_ONCE)

    async def may(self, user: ApiUser, right: JsonObject) -> bool:
        """Whether the user has that right; raises `Unavailable` DJ723 where the API server does not say."""
        if MASTERS in user.groups:
            return True
        spec = user.attributes | right
        key = hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).digest()  # What is said of a user may be long.
        if (past := self._past(key)) is not None:
            return past
        async with self._asking:
            if (past := self._past(key)) is not None:  # Others with the same question may have asked meanwhile.
                return past
            yes = await self._review(spec)
        self._keep(key, yes=yes)
        return yes

    def _past(self, key: bytes) -> bool | None:
        until, yes = self._cache.get(key, (0.0, False))
        return yes if until > self._seconds() else None

    async def _review(self, spec: JsonObject) -> bool:
        body: JsonObject = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        try:
            answer = await self._api.create(PATH, body)
        except Unavailable as error:
            raise Unavailable("DJ723", f"access review: {error.message}") from error
        return at(answer, "status", "allowed") is True and at(answer, "status", "denied") is not True

    def _keep(self, key: bytes, *, yes: bool) -> None:
        self._cache.pop(key, None)
        self._cache[key] = (self._seconds() + CACHE_SECONDS, yes)
        if len(self._cache) > MAX_CACHE:
            self._cache.popitem(last=False)
