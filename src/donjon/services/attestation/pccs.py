"""The routes of Intel's PCCS for collateral: paths, parameters, statuses, headers and encodings as its clients expect.

Source: intel/confidential-computing.tee.dcap.pccs, service/routes and controllers; Intel SGX and TDX PCS API v4. Errors are plain
text. Of a parameter that stands twice, the first is taken. `crl?uri=` fetches nothing: it names one of the lists that are served
here anyway, by the address at which Intel's certificates say that it is.
"""

import hashlib
import hmac
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from urllib.parse import parse_qsl, quote

from starlette.requests import Request as Asked
from starlette.responses import Response
from starlette.routing import Route

from donjon.adapters.metrics.attestation import AttestationMetrics
from donjon.collateral import plan
from donjon.collateral.document import Document
from donjon.collateral.highwater import Channel
from donjon.collateral.plan import Absent, Request
from donjon.errors import Malformed, Unavailable, Untrusted
from donjon.services.attestation.cache import Cache
from donjon.sgx.platform import Ca, Tee

LOG = logging.getLogger(__name__)

ADMIN_TOKEN = "admin-token"  # noqa: S105 - a header's name.
MAX_URI = 2048  # characters

_JSON, _CRL, _PEM, _TEXT = "application/json", "application/pkix-crl", "application/x-pem-file", "text/plain; charset=utf-8"
_TCB_CHAIN, _CRL_CHAIN = "TCB-Info-Issuer-Chain", "SGX-PCK-CRL-Issuer-Chain"
_IDENTITY_CHAIN = "SGX-Enclave-Identity-Issuer-Chain"
_OK, _BAD, _UNAUTHORIZED, _NO_DATA, _GONE, _OURS, _UPSTREAM, _UNAVAILABLE = 200, 400, 401, 404, 410, 500, 502, 503

_FMSPC = re.compile(r"[0-9A-Fa-f]{12}", re.ASCII)
_ROOT_LIST = re.compile(r"https://certificates\.trustedservices\.intel\.com/IntelSGXRootCA\.(?:der|crl)", re.ASCII)
_PCK_LIST = re.compile(
    r"https://api\.trustedservices\.intel\.com/sgx/certification/v[34]/pckcrl\?ca=(processor|platform)(?:&encoding=der)?",
    re.ASCII,
)
_QUERY = "donjon.query"  # where the scope keeps what it was parsed into
_UNRESERVED = "!~*'()"  # what Intel's servers leave as it is beyond letters, digits and "-_."


Handler = Callable[[Asked], Awaitable[Response]]


class Pccs:
    """The routes, over one cache."""

    def __init__(self, cache: Cache, metrics: AttestationMetrics, admin_token_hash: bytes | None) -> None:
        """Without a hash (SHA-512 of the token) nobody is an administrator."""
        self._cache, self._metrics, self._admin = cache, metrics, admin_token_hash

    def routes(self) -> list[Route]:
        """All of them; those of version 3 answer from the same documents."""
        v3, v4, tdx = "/sgx/certification/v3", plan.SGX, "/tdx/certification/v4"
        both: Mapping[str, Handler] = {
            "/qe/identity": self._qe_identity(Tee.SGX),
            "/pckcrl": self._pck_crl,
            "/rootcacrl": self._root_ca_crl,
            "/qve/identity": self._qve_identity,
            "/crl": self._crl,
        }
        # They are looked through in this order, so what is asked most stands first.
        reads: dict[str, Handler] = {f"{v4}/tcb": self._tcb(Tee.SGX), f"{tdx}/tcb": self._tcb(Tee.TDX)}
        reads |= {f"{tdx}/qe/identity": self._qe_identity(Tee.TDX)}
        reads |= {f"{base}{path}": handler for base in (v4, v3) for path, handler in both.items()}
        reads |= {f"{v3}/tcb": _ended}
        refresh = Route(f"{v4}/refresh", self._answering("refresh", self._refresh), methods=["GET", "POST"])
        return [*(Route(path, self._answering(path, handler), methods=["GET"]) for path, handler in reads.items()), refresh]

    def _answering(self, path: str, handler: Handler) -> Handler:
        route = path.partition("/certification/")[2] or path

        async def answer(asked: Asked) -> Response:
            try:
                response = await handler(asked)
            except _Wrong as wrong:
                response = _refusal(wrong.status, wrong.message, wrong.code)
            except Exception as error:  # noqa: BLE001 - whatever happens, there is an answer.
                response = _failed(error)
            self._metrics.answered(route, response.status_code)
            return response

        return answer

    def _tcb(self, tee: Tee) -> Handler:
        async def answer(asked: Asked) -> Response:
            fmspc = _first(asked, "fmspc") or ""
            if not _FMSPC.fullmatch(fmspc):
                raise _Wrong("fmspc: expected 12 hexadecimal digits")
            found = await self._cache.document(plan.tcb_info(tee, bytes.fromhex(fmspc), _channel(asked)))
            return _response(found.body, _JSON, _TCB_CHAIN, found.chain)

        return answer

    def _qe_identity(self, tee: Tee) -> Handler:
        async def answer(asked: Asked) -> Response:
            return _identity(await self._cache.document(plan.qe_identity(tee, _channel(asked))))

        return answer

    async def _qve_identity(self, asked: Asked) -> Response:
        return _identity(await self._cache.document(plan.qve_identity(_channel(asked))))

    async def _pck_crl(self, asked: Asked) -> Response:
        ca = next((each for each in Ca if each == (_first(asked, "ca") or "").lower()), None)
        if ca is None:
            raise _Wrong("ca: expected processor or platform")
        found = await self._cache.document(plan.pck_crl(ca))
        binary = (_first(asked, "encoding") or "").lower() == "der"
        body = found.body if binary else found.body.hex().encode()
        return _response(body, _CRL if binary else _PEM, _CRL_CHAIN, found.chain)

    async def _root_ca_crl(self, _: Asked) -> Response:
        found = await self._cache.document(plan.root_ca_crl())
        return _response(found.body.hex().encode(), _CRL)

    async def _crl(self, asked: Asked) -> Response:
        found = await self._cache.document(_listed(_first(asked, "uri") or ""))
        return _response(found.body, _CRL)

    async def _refresh(self, asked: Asked) -> Response:
        self._check_admin(asked)
        if _first(asked, "type"):
            raise _Wrong("type: PCK certificates are not kept here")
        await self._cache.refresh(everything=True)
        return Response("refreshed\n", _OK, {"content-type": _TEXT})

    def _check_admin(self, asked: Asked) -> None:
        token = asked.headers.get(ADMIN_TOKEN, "")
        digest = hashlib.sha512(token.encode("latin-1")).digest()
        if not token or self._admin is None or not hmac.compare_digest(digest, self._admin):
            raise _Wrong("token: it is missing or not the administrator's", _UNAUTHORIZED, "DJ515")


class _Wrong(Exception):
    """A request that is not answered as asked."""

    def __init__(self, message: str, status: int = _BAD, code: str = "DJ516") -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


async def _ended(_: Asked) -> Response:
    raise _Wrong("tcb: version 3 has ended, and its documents are of another form; ask for version 4", _GONE)


def _listed(uri: str) -> Request:
    """The list that Intel has at that address."""
    if len(uri) <= MAX_URI and _ROOT_LIST.fullmatch(uri):
        return plan.root_ca_crl()
    found = _PCK_LIST.fullmatch(uri) if len(uri) <= MAX_URI else None
    if found is None:
        raise _Wrong("uri: expected the address of one of Intel's lists, as its certificates state it")
    return plan.pck_crl(Ca(found[1]))


def _first(asked: Asked, name: str) -> str | None:
    if _QUERY not in asked.scope:
        told = parse_qsl(asked.scope["query_string"].decode("latin-1"), keep_blank_values=True)
        asked.scope[_QUERY] = dict(reversed(told))
    value: str | None = asked.scope[_QUERY].get(name)
    return value


def _channel(asked: Asked) -> Channel:
    update = _first(asked, "update")
    if update is None:
        return Channel.STANDARD
    try:
        return Channel(update.lower())
    except ValueError as error:
        raise _Wrong("update: expected early or standard") from error


def _identity(found: Document) -> Response:
    return _response(found.body, _JSON, _IDENTITY_CHAIN, found.chain)


@lru_cache(maxsize=512)
def _response(body: bytes, kind: str, header: str = "", chain: bytes = b"") -> Response:
    """Made once for each document: many ask for the same few."""
    headers = {header: quote(chain, safe=_UNRESERVED)} if header else {}
    return Response(body, _OK, {**headers, "content-type": kind})


def _refusal(status: int, message: str, code: str) -> Response:
    return Response(f"{message} [{code}]\n", status, {"content-type": _TEXT})


def _failed(error: Exception) -> Response:
    """Who asks is told which kind of failure it is; the log has the rest."""
    match error:
        case Absent():
            return _refusal(_NO_DATA, "collateral: there is none", "DJ512")
        case Unavailable(code="DJ502"):
            return _refusal(_UNAVAILABLE, "service: its database is away", error.code)
        case Unavailable(code=code) | Untrusted(code=code) | Malformed(code=code):
            return _refusal(_UPSTREAM, "collateral: the upstream gives none that can be served", code)
    LOG.error("a mistake in Donjon; please report it", exc_info=error)
    return _refusal(_OURS, "service: it could not answer; its log says more", "DJ517")
