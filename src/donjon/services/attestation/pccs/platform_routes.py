"""The routes of Intel's PCCS for platforms: their PCK certificates, who registers, and what administrators bring and ask for.

Source: intel/confidential-computing.tee.dcap.pccs, service/routes and controllers. Two things differ from it: who waits for
certificates is told until they are there, and not once; and nothing that was brought is kept unless all of it is proved.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from donjon.adapters.metrics.attestation import AttestationMetrics
from donjon.collateral import document, plan, platforms, upload
from donjon.collateral.document import Document
from donjon.collateral.plan import Answer, Channel, CollateralRequest
from donjon.collateral.platforms import KnownPlatform, PlatformName, Registration
from donjon.errors import Malformed, Untrusted
from donjon.formats.strict_json import hexadecimal
from donjon.runtime.rates import Rates
from donjon.services.attestation.pccs.answers import (
    JSON,
    OK,
    Handler,
    IdentifiedResponse,
    RequestRefused,
    check_rate,
    check_token,
    done,
    escape,
    families,
    first,
    rejection,
    wrap_handler,
)
from donjon.services.attestation.pccs.cache import Cache
from donjon.services.attestation.pccs.platform_memory import PlatformCertificate
from donjon.services.attestation.pccs.platforms import Platforms
from donjon.sgx.platform import Ca, Tee

ADMIN_TOKEN, USER_TOKEN = "admin-token", "user-token"
UPLOAD = "/platformcollateral"

_DONE = "Operation successful."
_CHANNELS = {"standard": (Channel.STANDARD,), "early": (Channel.EARLY,), "all": (Channel.STANDARD, Channel.EARLY)}
_V4, _V3 = plan.SGX, "/sgx/certification/v3"


class PlatformRoutes:
    """The routes of Intel's PCCS for platforms, answered from one cache."""

    def __init__(
        self,
        cache: Cache,
        platforms: Platforms,
        metrics: AttestationMetrics,
        *,
        moment: Callable[[], datetime],
        admin_token_hash: bytes | None,
        user_token_hash: bytes | None,
        rates: Rates | None = None,
    ) -> None:
        """Without a hash (SHA-512 of the token) there is no such person; rates are for platforms that are not at hand."""
        self._rates = rates
        self._cache, self._platforms, self._metrics, self._moment = cache, platforms, metrics, moment
        self._admin, self._user = admin_token_hash, user_token_hash

    def routes(self) -> list[Route]:
        """The routes for platforms; a PCK certificate is the same in version 3."""
        both = [("/pckcert", self._certificate, "GET"), ("/platforms", self._register, "POST"), ("/platforms", self._list, "GET")]
        routes = [self._route(base, path, handler, method) for base in (_V4, _V3) for path, handler, method in both]
        return [*routes, self._route(_V4, UPLOAD, self._accept_upload, "PUT")]

    def _route(self, base: str, path: str, handler: Handler, method: str) -> Route:
        label = f"{base.rpartition('/')[2]}{path}"
        return Route(base + path, wrap_handler(label, handler, self._metrics), methods=[method])

    async def _certificate(self, request: Request) -> Response:
        tcb = platforms.tcb(_octets(request, "cpusvn", platforms.CPU_SVN), _octets(request, "pcesvn", platforms.PCE_SVN))
        ppid = (
            _octets(request, "encrypted_ppid", platforms.ENCRYPTED_PPID) if first(request, "encrypted_ppid") is not None else None
        )
        name = PlatformName(qe_id=_qe_id(request), pce_id=_octets(request, "pceid", platforms.PCE_ID))
        registration = Registration(name=name, tcb=tcb, encrypted_ppid=platforms.encrypted_ppid(ppid), manifest=None)
        if self._platforms.must_ask(name, tcb):
            check_rate(request, self._rates)
        return _certificate_response(await self._platforms.certificate(registration, tcb))

    async def _register(self, request: Request) -> Response:
        check_token(request, USER_TOKEN, self._user, "DJ577")
        channels = _CHANNELS.get((first(request, "update") or "standard").lower())
        if channels is None:
            raise RequestRefused(f"update: expected {', '.join(_CHANNELS)}")
        try:
            registration = platforms.parse(await request.body())
        except Malformed as error:
            raise rejection(error) from error
        platform = await self._platforms.register(registration)
        if platform is not None and not self._cache.offline:
            await self._fetch(platform, channels)
        return done(_DONE)

    async def _fetch(self, platform: KnownPlatform, channels: tuple[Channel, ...]) -> None:
        """What the verification of its quotes needs, and what else there is for it; raises where something needed is missing."""
        needed, others = _requests_for(platform, channels)
        outcomes = await asyncio.gather(*map(self._cache.get_or_fetch, (*needed, *others)), return_exceptions=True)
        for each in outcomes[: len(needed)]:
            if isinstance(each, BaseException):
                raise each

    async def _list(self, request: Request) -> Response:
        check_token(request, ADMIN_TOKEN, self._admin, "DJ515")
        source = first(request, "source") or "reg"
        match source:
            case "reg":
                registrations = await self._platforms.waiting()
            case "reg_na":
                registrations = await self._platforms.registrations((), lacking=True)
            case _:
                registrations = await self._platforms.registrations(_families(source))
        headers = {"platform-count": str(len(registrations)), "content-type": JSON}
        return IdentifiedResponse(platforms.encode(registrations), OK, headers)

    async def _accept_upload(self, request: Request) -> Response:
        check_token(request, ADMIN_TOKEN, self._admin, "DJ515")
        text = await request.body()
        try:
            documents, known_platforms = await asyncio.to_thread(self._prove_upload, text)
        except (Malformed, Untrusted) as error:
            raise rejection(error) from error
        await self._cache.accept(documents)
        await self._platforms.accept(known_platforms)
        return done(_DONE)

    def _prove_upload(self, text: bytes) -> tuple[dict[str, Document], list[KnownPlatform]]:
        """All that was brought, each part of it proved; whatever it needs beside is here already."""
        content = upload.parse(text, self._moment())
        documents = self._cache.prove_all(content.answers)
        root = documents[plan.root_ca_crl().name()]
        _, root_crl = document.prove_root_crl(Answer(body=root.body, chain=root.chain), self._cache.anchor)
        known_platforms = self._platforms.prove_all(content.platforms, root_crl)
        for each in known_platforms:
            _check_complete(each, {*documents, *self._cache.documents})
        return documents, known_platforms


def _check_complete(platform: KnownPlatform, names: set[str]) -> None:
    """Raises `Malformed` DJ575 where its certificates cannot be selected from what is here."""
    fmspc, ca = platform.pck_certificates.fmspc, platform.pck_certificates.ca
    if not {plan.tcb_info(Tee.SGX, fmspc, channel).name() for channel in Channel} & names:
        raise Malformed("DJ575", f"upload: no TCB info of SGX for the family {fmspc.hex()}")
    if plan.pck_crl(ca).name() not in names:
        raise Malformed("DJ575", f"upload: no revocation list of the {ca} CA")


def _requests_for(
    platform: KnownPlatform, channels: tuple[Channel, ...]
) -> tuple[list[CollateralRequest], list[CollateralRequest]]:
    fmspc, ca = platform.pck_certificates.fmspc, platform.pck_certificates.ca
    needed = [plan.root_ca_crl(), plan.pck_crl(ca)]
    needed += [plan.tcb_info(Tee.SGX, fmspc, channels[0]), plan.qe_identity(Tee.SGX, channels[0])]
    others = [plan.pck_crl(each) for each in Ca if each is not ca]
    for channel in channels:
        others += [plan.qve_identity(channel), plan.tcb_info(Tee.TDX, fmspc, channel), plan.qe_identity(Tee.TDX, channel)]
    for channel in channels[1:]:
        others += [plan.tcb_info(Tee.SGX, fmspc, channel), plan.qe_identity(Tee.SGX, channel)]
    return needed, others


def _octets(request: Request, name: str, length: int) -> bytes:
    octets = hexadecimal(first(request, name) or "")
    if len(octets) != length:
        raise RequestRefused(f"{name}: expected {2 * length} hexadecimal digits")
    return octets


def _qe_id(request: Request) -> str:
    try:
        return platforms.qe_id(first(request, "qeid") or "")
    except Malformed as error:
        raise RequestRefused(error.message) from error


def _families(source: str) -> list[bytes]:
    """The families in `[FMSPC,…]`; none stand for all."""
    text = source[1:-1].strip() if source[:1] == "[" and source[-1:] == "]" else "?"
    return families(text.split(",") if text else [])


@lru_cache(maxsize=512)
def _certificate_response(selected: PlatformCertificate) -> Response:
    certificate, pck_certificates = selected.certificate, selected.platform.pck_certificates
    headers = {
        "SGX-TCBm": certificate.tcbm,
        "SGX-FMSPC": pck_certificates.fmspc.hex().upper(),
        "SGX-PCK-Certificate-CA-Type": pck_certificates.ca.upper(),
        "SGX-PCK-Certificate-Issuer-Chain": escape(pck_certificates.chain),
        "content-type": "application/x-pem-file",
    }
    return IdentifiedResponse(certificate.pem, OK, headers)
