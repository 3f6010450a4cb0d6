"""How the cache's routes answer: statuses, headers and encodings as the clients of Intel's PCCS expect them.

Source: intel/confidential-computing.tee.dcap.pccs, service/constants and middleware. Errors are plain text. Of a parameter that
stands twice, the first is taken. Every answer has a `Request-ID`, which the log has where a mistake of ours is told.
"""

import hashlib
import hmac
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from urllib.parse import parse_qsl, quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from donjon.adapters.metrics.attestation import AttestationMetrics
from donjon.collateral.plan import Absent
from donjon.errors import DonjonError, Malformed, Unavailable, Untrusted
from donjon.findings import codes
from donjon.runtime.rates import Rates, site
from donjon.services.attestation.identity import identity

LOG = logging.getLogger(__name__)

JSON, TEXT = "application/json", "text/plain; charset=utf-8"
OK, BAD, UNAUTHORIZED, NO_DATA, HTTP_GONE, TOO_LARGE = 200, 400, 401, 404, 410, 413
TOO_MANY = 429
INTEGRITY, UNKNOWN_PLATFORM, NO_CERTIFICATES, OURS, UPSTREAM, UNAVAILABLE = 460, 461, 462, 500, 502, 503

MAX_FAMILIES = 256  # in one request

_ABSENT: Mapping[str, tuple[int, str]] = {
    codes.NO_CERTIFICATE_FOR_TCB: (NO_DATA, "platform: none of its PCK certificates fits its TCB"),
    codes.UNKNOWN_PLATFORM: (UNKNOWN_PLATFORM, "platform: not known here"),
    codes.NO_CERTIFICATES: (NO_CERTIFICATES, "platform: Intel has none of its PCK certificates now"),
    codes.NOT_TO_BE_ASKED_FOR: (NO_DATA, "platform: without an encrypted PPID or a manifest it cannot be asked for"),
}
_OURS: Mapping[str, tuple[int, str]] = {
    codes.DATABASE_AWAY: (UNAVAILABLE, "service: its database is away"),
    codes.CACHE_FULL: (UNAVAILABLE, "service: it fetches as much as it can; try again"),
    codes.PLATFORMS_FULL: (UNAVAILABLE, "service: as many platforms as may be kept"),
    codes.PLATFORMS_TOO_MANY: (TOO_LARGE, "platforms: more than one answer holds; ask for fewer families"),
}
_FAMILY = re.compile(r"[0-9A-Fa-f]{12}", re.ASCII)
_QUERY = "donjon.query"  # where the scope keeps what it was parsed into
_UNRESERVED = "!~*'()"  # what Intel's servers leave as it is beyond letters, digits and "-_."

Handler = Callable[[Request], Awaitable[Response]]


class RequestRefused(Exception):
    """A request that is not answered as asked."""

    def __init__(self, message: str, status: int = BAD, code: str = "DJ516") -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


class IdentifiedResponse(Response):
    """An answer that is told apart from all others; it may be given many times."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - as Starlette calls it.
        """Send it, with a `Request-ID` of its own."""
        headers = [*self.raw_headers, (b"request-id", identity(scope).encode())]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


def wrap_handler(route: str, handler: Handler, metrics: AttestationMetrics) -> Handler:
    """The handler, its errors answered and its answers counted."""

    async def answer(request: Request) -> Response:
        try:
            response = await handler(request)
        except RequestRefused as refused_request:
            response = refusal(refused_request.status, refused_request.message, refused_request.code)
        except ClientDisconnect:
            response = refusal(BAD, "request: its caller has gone", "DJ516")
        except Exception as error:  # noqa: BLE001 - whatever happens, there is an answer.
            response = _failure_response(error, request.scope)
        metrics.count_answer(route, response.status_code)
        return response

    return answer


def first(request: Request, name: str) -> str | None:
    """The value of a parameter of the query; of several, the first."""
    if _QUERY not in request.scope:
        pairs = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
        request.scope[_QUERY] = dict(reversed(pairs))
    value: str | None = request.scope[_QUERY].get(name)
    return value


def families(texts: list[str]) -> list[bytes]:
    """FMSPCs in hexadecimal; raises `RequestRefused` for anything else."""
    fmspcs = [each.strip() for each in texts]
    if len(fmspcs) > MAX_FAMILIES or not all(map(_FAMILY.fullmatch, fmspcs)):
        raise RequestRefused(f"expected up to {MAX_FAMILIES} FMSPCs of 12 hexadecimal digits")
    return [bytes.fromhex(each) for each in fmspcs]


@lru_cache(maxsize=512)
def document_response(body: bytes, kind: str, header: str = "", chain: bytes = b"") -> Response:
    """What Intel signed, with the chain of its signer; made once for each document: many ask for the same few."""
    return IdentifiedResponse(body, OK, {**({header: escape(chain)} if header else {}), "content-type": kind})


def escape(chain: bytes) -> str:
    """Certificates in PEM as they stand in a header."""
    return quote(chain, safe=_UNRESERVED)


def done(text: str) -> Response:
    """The answer where what was asked for was done."""
    return IdentifiedResponse(f"{text}\n", OK, {"content-type": TEXT})


def refusal(status: int, message: str, code: str) -> Response:
    """The answer where what was asked for is not answered, with the code of the reason."""
    return IdentifiedResponse(f"{message} [{code}]\n", status, {"content-type": TEXT})


def check_token(request: Request, header: str, expected: bytes | None, code: str) -> None:
    """Raises `RequestRefused` unless the header has the token of which this is the SHA-512."""
    token = request.headers.get(header, "")
    digest = hashlib.sha512(token.encode("latin-1")).digest()
    if not token or expected is None or not hmac.compare_digest(digest, expected):
        raise RequestRefused(f"{header}: it is missing or not the one that is expected", UNAUTHORIZED, code)


def check_rate(request: Request, rates: Rates | None) -> None:
    """Count a request for which somebody else has to be asked; raises `RequestRefused` DJ560 for one too many."""
    address = "" if request.client is None else request.client.host
    if rates is not None and (wait := rates.wait(site(address))):
        raise RequestRefused(f"too many requests for what is not here: expected the next in {wait:.1f} s", TOO_MANY, "DJ560")


def rejection(error: DonjonError) -> RequestRefused:
    """Why what somebody brought is not taken: he may know."""
    return RequestRefused(error.message, INTEGRITY if isinstance(error, Untrusted) else BAD, error.code)


def _failure_response(error: Exception, scope: Scope) -> Response:
    """Who asks is told which kind of failure it is; the log has the rest."""
    match error:
        case Absent(code=code):
            status, message = _ABSENT.get(code, (NO_DATA, "collateral: there is none"))
            return refusal(status, message, code if code in _ABSENT else codes.NO_COLLATERAL)
        case Unavailable(code=code) if code in _OURS:
            return refusal(*_OURS[code], code)
        case Unavailable(code=code) | Untrusted(code=code) | Malformed(code=code):
            return refusal(UPSTREAM, "collateral: the upstream gives none that can be served", code)
    LOG.error("a mistake in Donjon; please report it", exc_info=error, extra={"fields": {"request": identity(scope)}})
    return refusal(OURS, "service: it could not answer; its log says more", "DJ517")
