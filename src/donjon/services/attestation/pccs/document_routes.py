"""The routes of Intel's PCCS for collateral: paths, parameters, statuses, headers and encodings as its clients expect.

Source: intel/confidential-computing.tee.dcap.pccs, service/routes and controllers; Intel SGX and TDX PCS API v4. `crl?uri=`
fetches nothing: it names one of the lists that are served here anyway, by the address at which Intel's certificates say it is.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from donjon.adapters.metrics.attestation import AttestationMetrics
from donjon.collateral import plan
from donjon.collateral.document import Document
from donjon.collateral.plan import Absent, Channel, CollateralRequest, Edition
from donjon.errors import Untrusted
from donjon.findings import codes
from donjon.runtime.rates import Rates
from donjon.services.attestation.pccs.answers import (
    HTTP_GONE,
    JSON,
    NO_DATA,
    UNAVAILABLE,
    Handler,
    RequestRefused,
    check_rate,
    check_token,
    document_response,
    done,
    families,
    first,
    wrap_handler,
)
from donjon.services.attestation.pccs.cache import Cache
from donjon.services.attestation.pccs.platforms import Platforms
from donjon.sgx.platform import Ca, Tee

ADMIN_TOKEN = "admin-token"  # noqa: S105 - a header's name.
MAX_URI = 2048  # characters

_CRL, _PEM = "application/pkix-crl", "application/x-pem-file"
_TCB_CHAIN, _CRL_CHAIN = "TCB-Info-Issuer-Chain", "SGX-PCK-CRL-Issuer-Chain"
_IDENTITY_CHAIN, _NUMBERS_CHAIN = "SGX-Enclave-Identity-Issuer-Chain", "TCB-Evaluation-Data-Numbers-Issuer-Chain"

_NUMBER = re.compile(r"[0-9]{1,10}", re.ASCII)
_FMSPC = re.compile(r"[0-9A-Fa-f]{12}", re.ASCII)
_ROOT_LIST = re.compile(r"https://certificates\.trustedservices\.intel\.com/IntelSGXRootCA\.(?:der|crl)", re.ASCII)
_PCK_LIST = re.compile(
    r"https://api\.trustedservices\.intel\.com/sgx/certification/v[34]/pckcrl\?ca=(processor|platform)(?:&encoding=der)?",
    re.ASCII,
)


class _OtherEdition(Exception):
    """The upstream has something else than the number that it was asked for."""


class Pccs:
    """The routes of Intel's PCCS for collateral, answered from one cache."""

    def __init__(
        self,
        cache: Cache,
        metrics: AttestationMetrics,
        admin_token_hash: bytes | None,
        platforms: Platforms | None = None,
        rates: Rates | None = None,
    ) -> None:
        """Without a hash (SHA-512 of the token) nobody is an administrator; rates are for what has to be fetched."""
        self._cache, self._metrics, self._admin, self._platforms, self._rates = cache, metrics, admin_token_hash, platforms, rates

    def routes(self) -> list[Route]:
        """The routes for documents; those of version 3 answer from the same ones."""
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
        reads |= {plan.tcb_numbers(tee).path: self._tcb_numbers(tee) for tee in Tee}
        reads |= {f"{base}{path}": handler for base in (v4, v3) for path, handler in both.items()}
        reads |= {f"{v3}/tcb": _refuse_version_3}
        refresh = Route(f"{v4}/refresh", self._wrap("refresh", self._refresh), methods=["GET", "POST"])
        return [*(Route(path, self._wrap(path, handler), methods=["GET"]) for path, handler in reads.items()), refresh]

    def _wrap(self, path: str, handler: Handler) -> Handler:
        return wrap_handler(path.partition("/certification/")[2] or path, handler, self._metrics)

    def _tcb(self, tee: Tee) -> Handler:
        async def answer(request: Request) -> Response:
            fmspc = first(request, "fmspc") or ""
            if not _FMSPC.fullmatch(fmspc):
                raise RequestRefused("fmspc: expected 12 hexadecimal digits")
            document = await self._edition(request, partial(plan.tcb_info, tee, bytes.fromhex(fmspc)))
            return document_response(document.body, JSON, _TCB_CHAIN, document.chain)

        return answer

    def _tcb_numbers(self, tee: Tee) -> Handler:
        async def answer(request: Request) -> Response:
            document = await self._get_document(request, plan.tcb_numbers(tee))
            return document_response(document.body, JSON, _NUMBERS_CHAIN, document.chain)

        return answer

    async def _get_document(self, request: Request, document_request: CollateralRequest) -> Document:
        if self._cache.must_fetch(document_request):
            check_rate(request, self._rates)
        return await self._cache.get(document_request)

    async def _edition(self, request: Request, of: Callable[[Edition], CollateralRequest]) -> Document:
        """The one of the channel, or of the number, that is asked for: never another one."""
        number = first(request, plan.NUMBER)
        if number is None:
            return await self._get_document(request, of(_channel(request)))
        if first(request, "update") is not None:
            raise RequestRefused(f"update, {plan.NUMBER}: expected one of both")
        if not _NUMBER.fullmatch(number):
            raise RequestRefused(f"{plan.NUMBER}: expected a number")
        newest = -1
        for edition in (*Channel, int(number)):
            with suppress(Absent, _OtherEdition):
                document = await self._get_matching(request, of(edition))
                if document.evaluation_number == int(number):
                    return document
                newest = max(newest, document.evaluation_number)
        raise RequestRefused(
            f"{plan.NUMBER}: there is none of number {int(number)}", HTTP_GONE if int(number) < newest else NO_DATA, "DJ562"
        )

    async def _get_matching(self, request: Request, document_request: CollateralRequest) -> Document:
        """The document; raises `_OtherEdition` where an upstream that knows no numbers answers one by what it has."""
        try:
            return await self._get_document(request, document_request)
        except Untrusted as error:
            if plan.NUMBER in document_request.query and error.code == codes.OTHER_COLLATERAL:
                raise _OtherEdition from error
            raise

    def _qe_identity(self, tee: Tee) -> Handler:
        async def answer(request: Request) -> Response:
            return _identity_response(await self._edition(request, partial(plan.qe_identity, tee)))

        return answer

    async def _qve_identity(self, request: Request) -> Response:
        return _identity_response(await self._edition(request, plan.qve_identity))

    async def _pck_crl(self, request: Request) -> Response:
        ca = next((each for each in Ca if each == (first(request, "ca") or "").lower()), None)
        if ca is None:
            raise RequestRefused("ca: expected processor or platform")
        document = await self._cache.get(plan.pck_crl(ca))
        binary = (first(request, "encoding") or "").lower() == "der"
        body = document.body if binary else document.body.hex().encode()
        return document_response(body, _CRL if binary else _PEM, _CRL_CHAIN, document.chain)

    async def _root_ca_crl(self, _: Request) -> Response:
        document = await self._cache.get(plan.root_ca_crl())
        return document_response(document.body.hex().encode(), _CRL)

    async def _crl(self, request: Request) -> Response:
        document = await self._cache.get(_crl_request(first(request, "uri") or ""))
        return document_response(document.body, _CRL)

    async def _refresh(self, request: Request) -> Response:
        check_token(request, ADMIN_TOKEN, self._admin, "DJ515")
        if self._cache.offline:
            raise RequestRefused("refresh: nothing is fetched in offline mode", UNAVAILABLE, "DJ512")
        match first(request, "type"):
            case None | "":
                await self._cache.refresh(everything=True)
            case "certs" if self._platforms is not None:
                fmspc = (first(request, "fmspc") or "").removeprefix("all")
                registrations = await self._platforms.registrations(families(fmspc.split(",") if fmspc else []))
                await self._platforms.refresh([each.name for each in registrations])
            case _:
                raise RequestRefused("type: expected certs, or none for documents")
        return done("refreshed")


async def _refuse_version_3(_: Request) -> Response:
    raise RequestRefused("tcb: version 3 has ended, and its documents are of another form; ask for version 4", HTTP_GONE)


def _crl_request(uri: str) -> CollateralRequest:
    """The list that Intel has at that address."""
    if len(uri) <= MAX_URI and _ROOT_LIST.fullmatch(uri):
        return plan.root_ca_crl()
    match = _PCK_LIST.fullmatch(uri) if len(uri) <= MAX_URI else None
    if match is None:
        raise RequestRefused("uri: expected the address of one of Intel's lists, as its certificates state it")
    return plan.pck_crl(Ca(match[1]))


def _channel(request: Request) -> Channel:
    update = first(request, "update")
    if update is None:
        return Channel.STANDARD
    try:
        return Channel(update.lower())
    except ValueError as error:
        raise RequestRefused("update: expected early or standard") from error


def _identity_response(document: Document) -> Response:
    return document_response(document.body, JSON, _IDENTITY_CHAIN, document.chain)
