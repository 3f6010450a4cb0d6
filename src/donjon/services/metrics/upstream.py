"""metrics-server, asked for CPU and memory: what it answers is handed on, its errors too, and what it cannot say is no zero.

It is shown a token of an account that may read metrics and nothing else, since where its own registration says so its certificate
is not checked, and whoever stands in its place would then have that token.
"""

import asyncio
import json
import logging
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from donjon.adapters.kubeapi.client import KubeApi
from donjon.adapters.logs import say
from donjon.adapters.transport.client import HttpClient
from donjon.adapters.transport.tls import client_context, unsafe_context
from donjon.errors import Malformed, Misconfigured, Unavailable
from donjon.formats.addresses import join
from donjon.formats.json import Json, JsonObject, at, objects
from donjon.formats.strict_json import check_values
from donjon.metricsapi.registrations import ServicePort
from donjon.runtime.certificate_secret import decode
from donjon.runtime.trouble import Trouble

LOG = logging.getLogger(__name__)

CODE = "DJ720"
PATIENCE = 8.0  # seconds for a whole answer; an autoscaler waits longer
MAX_ANSWER = 32 << 20  # bytes: 50,000 pods of some containers
MAX_VALUES = 3_000_000  # in an answer; of a pod there are some forty
TOKEN_SECONDS = 3600
RENEW_AFTER = 1800.0  # seconds
PLACE_SECONDS = 30.0  # after which its address is looked up again


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamAnswer:
    """What metrics-server answered."""

    status: int
    content_type: str
    body: bytes


def parse(body: bytes) -> JsonObject:
    """An answer of it as a value; raises `Unavailable` DJ720 for one that is none."""
    try:
        check_values(body, "metrics-server: its answer", MAX_VALUES)
        value = cast("Json", json.loads(body.decode()))  # In UTF-16, which the library would take, others were counted.
    except Malformed as error:
        raise Unavailable(CODE, error.message) from error
    except (ValueError, RecursionError) as error:
        raise Unavailable(CODE, "metrics-server: its answer is no JSON") from error
    if not isinstance(value, dict):
        raise Unavailable(CODE, "metrics-server: its answer is no object")
    return value


@dataclass(frozen=True, slots=True)
class _Way:
    """A way to it: where, whom to trust."""

    address: str
    bundle: str
    insecure: bool


class MetricsServer:
    """The Service of metrics-server."""

    def __init__(
        self,
        api: KubeApi,
        service: ServicePort,
        account: tuple[str, str],
        *,
        trust: Callable[[], JsonObject],
        seconds: Callable[[], float],
    ) -> None:
        """`account` is namespace and name of whom it is asked as; `trust` says whom to trust, as an APIService does."""
        self._api, self._service, self._account, self._trust, self._seconds = api, service, account, trust, seconds
        self._token, self._token_from = "", -RENEW_AFTER
        self._address, self._address_from = "", -PLACE_SECONDS
        self._way: _Way | None = None
        self._client: HttpClient | None = None
        self._changing = asyncio.Lock()
        self._trouble = Trouble("metrics-server")
        self._is_silent = False

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()

    def caveat(self) -> str:
        """Why its answers are none at the moment; nothing where the last was one, or nobody asked."""
        return f"metrics-server gave no answer when it was last asked [{CODE}]; the log says why" if self._is_silent else ""

    async def ask(self, path: str, parameters: Mapping[str, str], accept: str) -> UpstreamAnswer:
        """What it answers, whatever it is; raises `Unavailable` DJ720 where it does not."""
        what = f"metrics-server: GET {path}"
        try:
            async with asyncio.timeout(PATIENCE):
                client, token = await self._ready()
                headers = {"Authorization": f"Bearer {token}", "Accept": accept}
                async with client.ask("GET", path, what=what, query=parameters or None, headers=headers) as answer:
                    body = await answer.whole(MAX_ANSWER)
                    self._trouble.clear()
                    self._is_silent = False
                    return UpstreamAnswer(status=answer.status, content_type=answer.header("content-type"), body=body)
        except TimeoutError as error:
            raise self._fault(what, f"{what}: no whole answer within {PATIENCE:g} s") from error
        except Unavailable as error:
            raise self._fault(what, error.message) from error

    def _fault(self, what: str, words: str) -> Unavailable:
        """Tell it, in words that are the same for every question; it may be elsewhere by now."""
        self._address_from, self._is_silent = -PLACE_SECONDS, True
        self._trouble.report(Unavailable(CODE, words.replace(what, "metrics-server")))
        return Unavailable(CODE, words)

    async def _ready(self) -> tuple[HttpClient, str]:
        """A client that goes the way to it, and a token that is good."""
        async with self._changing:
            now = self._seconds()
            if now >= self._token_from + RENEW_AFTER:
                self._token, self._token_from = await self._new_token(), now
            if now >= self._address_from + PLACE_SECONDS:
                self._address, self._address_from = await self._find(), now
            trust = self._trust()
            way = _Way(self._address, str(trust.get("caBundle") or ""), trust.get("insecureSkipTLSVerify") is True)
            if way != self._way or self._client is None:
                await self.close()
                self._client, self._way = self._new_client(way), way
            return self._client, self._token

    async def _new_token(self) -> str:
        namespace, name = self._account
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        body: JsonObject = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}
        answer = await self._api.create(path, body | {"spec": {"expirationSeconds": TOKEN_SECONDS}})
        return str(at(answer, "status", "token") or "")

    async def _find(self) -> str:
        """Its address within the cluster, looked up in the API server and not in DNS, whose answers nobody vouches for."""
        path = f"/api/v1/namespaces/{self._service.namespace}/services/{self._service.name}"
        service = await self._api.get(path)
        address = at(service, "spec", "clusterIP")
        ports = [each.get("port") for each in objects(at(service, "spec", "ports"))]
        if not isinstance(address, str) or address in {"", "None"} or self._service.port not in ports:
            name = f"{self._service.namespace}/{self._service.name}"
            raise Unavailable(CODE, f"Service {name}: expected an address and port {self._service.port}")
        return join(address, self._service.port)

    def _new_client(self, way: _Way) -> HttpClient:
        return HttpClient(
            code=CODE,
            seconds=PATIENCE,
            trust=_context(way),
            server=f"https://{way.address}",
            name=self._service.host,
            direct=True,
        )


def _context(way: _Way) -> ssl.SSLContext:
    if way.insecure:
        say(LOG, "metrics-server is not checked, as its own APIService says: insecureSkipTLSVerify", level=logging.WARNING)
        return unsafe_context()
    try:
        return client_context(decode(way.bundle).decode("ascii") or None, code=CODE, what="metrics-server: authorities")
    except (Misconfigured, UnicodeDecodeError) as error:
        raise Unavailable(CODE, f"metrics-server: its authorities cannot be read: {error}") from error
