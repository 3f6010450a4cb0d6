"""The routes of Intel's PCCS for collateral: paths, parameters, statuses, headers and encodings as its clients expect.

Source: intel/confidential-computing.tee.dcap.pccs, service/routes and controllers; Intel SGX and TDX PCS API v4. `crl?uri=`
fetches nothing: it names one of the lists that are served here anyway, by the address at which Intel's certificates say it is.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

from starlette.requests import Request as Asked
from starlette.responses import Response
from starlette.routing import Route

from donjon.adapters.metrics.attestation import AttestationMetrics
from donjon.collateral import plan
from donjon.collateral.document import Document
from donjon.collateral.plan import Absent, Channel, CollateralRequest, Edition
from donjon.errors import Untrusted
from donjon.runtime.rates import Rates
from donjon.services.attestation.pccs.answers import (
    GONE,
    JSON,
    NO_DATA,
    UNAVAILABLE,
    Handler,
    Wrong,
    answering,
    check_token,
    counted,
    done,
    families,
    first,
    signed,
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


class _Another(Exception):
    """The upstream has something else than the number that it was asked for."""


class Pccs:
    """The routes, over one cache."""

    def __init__(
        self,
        cache: Cache,
        metrics: AttestationMetrics,
        admin_token_hash: bytes | None,
        kept: Platforms | None = None,
        rates: Rates | None = None,
    ) -> None:
        """Without a hash (SHA-512 of the token) nobody is an administrator; rates are for what has to be fetched."""
        self._cache, self._metrics, self._admin, self._kept, self._rates = cache, metrics, admin_token_hash, kept, rates

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
        reads |= {plan.tcb_numbers(tee).path: self._tcb_numbers(tee) for tee in Tee}
        reads |= {f"{base}{path}": handler for base in (v4, v3) for path, handler in both.items()}
        reads |= {f"{v3}/tcb": _ended}
        refresh = Route(f"{v4}/refresh", self._answering("refresh", self._refresh), methods=["GET", "POST"])
        return [*(Route(path, self._answering(path, handler), methods=["GET"]) for path, handler in reads.items()), refresh]

    def _answering(self, path: str, handler: Handler) -> Handler:
        return answering(path.partition("/certification/")[2] or path, handler, self._metrics)

    def _tcb(self, tee: Tee) -> Handler:
        async def answer(asked: Asked) -> Response:
            fmspc = first(asked, "fmspc") or ""
            if not _FMSPC.fullmatch(fmspc):
                raise Wrong("fmspc: expected 12 hexadecimal digits")
            found = await self._edition(asked, partial(plan.tcb_info, tee, bytes.fromhex(fmspc)))
            return signed(found.body, JSON, _TCB_CHAIN, found.chain)

        return answer

    def _tcb_numbers(self, tee: Tee) -> Handler:
        async def answer(asked: Asked) -> Response:
            found = await self._document(asked, plan.tcb_numbers(tee))
            return signed(found.body, JSON, _NUMBERS_CHAIN, found.chain)

        return answer

    async def _document(self, asked: Asked, request: CollateralRequest) -> Document:
        if self._cache.lacks(request):
            counted(asked, self._rates)
        return await self._cache.document(request)

    async def _edition(self, asked: Asked, of: Callable[[Edition], CollateralRequest]) -> Document:
        """The one of the channel, or of the number, that is asked for: never another one."""
        said = first(asked, plan.NUMBER)
        if said is None:
            return await self._document(asked, of(_channel(asked)))
        if first(asked, "update") is not None:
            raise Wrong(f"update, {plan.NUMBER}: expected one of both")
        if not _NUMBER.fullmatch(said):
            raise Wrong(f"{plan.NUMBER}: expected a number")
        newest = -1
        for edition in (*Channel, int(said)):
            with suppress(Absent, _Another):
                found = await self._fitting(asked, of(edition))
                if found.evaluation_number == int(said):
                    return found
                newest = max(newest, found.evaluation_number)
        raise Wrong(f"{plan.NUMBER}: there is none of number {int(said)}", GONE if int(said) < newest else NO_DATA, "DJ562")

    async def _fitting(self, asked: Asked, request: CollateralRequest) -> Document:
        """The document; raises `_Another` where the upstream answers a number by what it has, as one that knows none does."""
        try:
            return await self._document(asked, request)
        except Untrusted as error:
            if plan.NUMBER in request.query and error.code == "DJ510":
                raise _Another from error
            raise

    def _qe_identity(self, tee: Tee) -> Handler:
        async def answer(asked: Asked) -> Response:
            return _identity(await self._edition(asked, partial(plan.qe_identity, tee)))

        return answer

    async def _qve_identity(self, asked: Asked) -> Response:
        return _identity(await self._edition(asked, plan.qve_identity))

    async def _pck_crl(self, asked: Asked) -> Response:
        ca = next((each for each in Ca if each == (first(asked, "ca") or "").lower()), None)
        if ca is None:
            raise Wrong("ca: expected processor or platform")
        found = await self._cache.document(plan.pck_crl(ca))
        binary = (first(asked, "encoding") or "").lower() == "der"
        body = found.body if binary else found.body.hex().encode()
        return signed(body, _CRL if binary else _PEM, _CRL_CHAIN, found.chain)

    async def _root_ca_crl(self, _: Asked) -> Response:
        found = await self._cache.document(plan.root_ca_crl())
        return signed(found.body.hex().encode(), _CRL)

    async def _crl(self, asked: Asked) -> Response:
        found = await self._cache.document(_listed(first(asked, "uri") or ""))
        return signed(found.body, _CRL)

    async def _refresh(self, asked: Asked) -> Response:
        check_token(asked, ADMIN_TOKEN, self._admin, "DJ515")
        if self._cache.offline:
            raise Wrong("refresh: nothing is fetched in offline mode", UNAVAILABLE, "DJ512")
        match first(asked, "type"):
            case None | "":
                await self._cache.refresh(everything=True)
            case "certs" if self._kept is not None:
                fmspc = (first(asked, "fmspc") or "").removeprefix("all")
                chosen = await self._kept.kept(families(fmspc.split(",") if fmspc else []))
                await self._kept.refresh([each.name for each in chosen])
            case _:
                raise Wrong("type: expected certs, or none for documents")
        return done("refreshed")


async def _ended(_: Asked) -> Response:
    raise Wrong("tcb: version 3 has ended, and its documents are of another form; ask for version 4", GONE)


def _listed(uri: str) -> CollateralRequest:
    """The list that Intel has at that address."""
    if len(uri) <= MAX_URI and _ROOT_LIST.fullmatch(uri):
        return plan.root_ca_crl()
    found = _PCK_LIST.fullmatch(uri) if len(uri) <= MAX_URI else None
    if found is None:
        raise Wrong("uri: expected the address of one of Intel's lists, as its certificates state it")
    return plan.pck_crl(Ca(found[1]))


def _channel(asked: Asked) -> Channel:
    update = first(asked, "update")
    if update is None:
        return Channel.STANDARD
    try:
        return Channel(update.lower())
    except ValueError as error:
        raise Wrong("update: expected early or standard") from error


def _identity(found: Document) -> Response:
    return signed(found.body, JSON, _IDENTITY_CHAIN, found.chain)
