"""The routes of Intel's PCCS for platforms: their PCK certificates, who registers, and what administrators bring and ask for.

Source: intel/confidential-computing.tee.dcap.pccs, service/routes and controllers. Two things differ from it: who waits for
certificates is told until they are there, and not once; and nothing that was brought is kept unless all of it is proved.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache

from starlette.requests import Request as Asked
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
    Identified,
    Wrong,
    answering,
    brought,
    check_token,
    counted,
    done,
    escaped,
    families,
    first,
)
from donjon.services.attestation.pccs.cache import Cache
from donjon.services.attestation.pccs.platform_memory import Issued
from donjon.services.attestation.pccs.platforms import Platforms
from donjon.sgx.platform import Ca, Tee

ADMIN_TOKEN, USER_TOKEN = "admin-token", "user-token"
UPLOAD = "/platformcollateral"

_DONE = "Operation successful."
_CHANNELS = {"standard": (Channel.STANDARD,), "early": (Channel.EARLY,), "all": (Channel.STANDARD, Channel.EARLY)}
_V4, _V3 = plan.SGX, "/sgx/certification/v3"


class PlatformRoutes:
    """The routes, over one cache and its platforms."""

    def __init__(
        self,
        cache: Cache,
        kept: Platforms,
        metrics: AttestationMetrics,
        *,
        moment: Callable[[], datetime],
        admin_token_hash: bytes | None,
        user_token_hash: bytes | None,
        rates: Rates | None = None,
    ) -> None:
        """Without a hash (SHA-512 of the token) there is no such person; rates are for platforms that are not at hand."""
        self._rates = rates
        self._cache, self._kept, self._metrics, self._moment = cache, kept, metrics, moment
        self._admin, self._user = admin_token_hash, user_token_hash

    def routes(self) -> list[Route]:
        """All of them; a PCK certificate is the same in version 3."""
        both = [("/pckcert", self._certificate, "GET"), ("/platforms", self._register, "POST"), ("/platforms", self._list, "GET")]
        found = [self._route(base, path, handler, method) for base in (_V4, _V3) for path, handler, method in both]
        return [*found, self._route(_V4, UPLOAD, self._take, "PUT")]

    def _route(self, base: str, path: str, handler: Handler, method: str) -> Route:
        named = f"{base.rpartition('/')[2]}{path}"
        return Route(base + path, answering(named, handler, self._metrics), methods=[method])

    async def _certificate(self, asked: Asked) -> Response:
        tcb = platforms.tcb(_octets(asked, "cpusvn", platforms.CPU_SVN), _octets(asked, "pcesvn", platforms.PCE_SVN))
        ppid = _octets(asked, "encrypted_ppid", platforms.ENCRYPTED_PPID) if first(asked, "encrypted_ppid") is not None else None
        name = PlatformName(qe_id=_qe_id(asked), pce_id=_octets(asked, "pceid", platforms.PCE_ID))
        said = Registration(name=name, tcb=tcb, encrypted_ppid=platforms.encrypted_ppid(ppid), manifest=None)
        if self._kept.lacks(name, tcb):
            counted(asked, self._rates)
        return _issued(await self._kept.certificate(said, tcb))

    async def _register(self, asked: Asked) -> Response:
        check_token(asked, USER_TOKEN, self._user, "DJ577")
        channels = _CHANNELS.get((first(asked, "update") or "standard").lower())
        if channels is None:
            raise Wrong(f"update: expected {', '.join(_CHANNELS)}")
        try:
            said = platforms.parse(await asked.body())
        except Malformed as error:
            raise brought(error) from error
        known = await self._kept.register(said)
        if known is not None and not self._cache.offline:
            await self._fetch(known, channels)
        return done(_DONE)

    async def _fetch(self, known: KnownPlatform, channels: tuple[Channel, ...]) -> None:
        """What the verification of its quotes needs, and what else there is for it; raises where something needed is missing."""
        needed, others = _wanted(known, channels)
        found = await asyncio.gather(*map(self._cache.require, (*needed, *others)), return_exceptions=True)
        for each in found[: len(needed)]:
            if isinstance(each, BaseException):
                raise each

    async def _list(self, asked: Asked) -> Response:
        check_token(asked, ADMIN_TOKEN, self._admin, "DJ515")
        source = first(asked, "source") or "reg"
        match source:
            case "reg":
                found = await self._kept.waiting()
            case "reg_na":
                found = await self._kept.kept((), lacking=True)
            case _:
                found = await self._kept.kept(_families(source))
        return _listed(found)

    async def _take(self, asked: Asked) -> Response:
        check_token(asked, ADMIN_TOKEN, self._admin, "DJ515")
        text = await asked.body()
        try:
            found, known = await asyncio.to_thread(self._proved, text)
        except (Malformed, Untrusted) as error:
            raise brought(error) from error
        await self._cache.take(found)
        await self._kept.take(known)
        return done(_DONE)

    def _proved(self, text: bytes) -> tuple[dict[str, Document], list[KnownPlatform]]:
        """All that was brought, each part of it proved; whatever it needs beside is here already."""
        content = upload.parse(text, self._moment())
        found = self._cache.proved(content.answers)
        root = found[plan.root_ca_crl().name()]
        _, revoked = document.prove_root_crl(Answer(body=root.body, chain=root.chain), self._cache.anchor)
        known = self._kept.proved(content.platforms, revoked)
        for each in known:
            _check_complete(each, {*found, *self._cache.held})
        return found, known


def _check_complete(known: KnownPlatform, names: set[str]) -> None:
    """Raises `Malformed` DJ575 where its certificates cannot be selected from what is here."""
    fmspc, ca = known.pck_certificates.fmspc, known.pck_certificates.ca
    if not {plan.tcb_info(Tee.SGX, fmspc, channel).name() for channel in Channel} & names:
        raise Malformed("DJ575", f"upload: no TCB info of SGX for the family {fmspc.hex()}")
    if plan.pck_crl(ca).name() not in names:
        raise Malformed("DJ575", f"upload: no revocation list of the {ca} CA")


def _wanted(known: KnownPlatform, channels: tuple[Channel, ...]) -> tuple[list[CollateralRequest], list[CollateralRequest]]:
    fmspc, ca = known.pck_certificates.fmspc, known.pck_certificates.ca
    needed = [plan.root_ca_crl(), plan.pck_crl(ca)]
    needed += [plan.tcb_info(Tee.SGX, fmspc, channels[0]), plan.qe_identity(Tee.SGX, channels[0])]
    others = [plan.pck_crl(each) for each in Ca if each is not ca]
    for channel in channels:
        others += [plan.qve_identity(channel), plan.tcb_info(Tee.TDX, fmspc, channel), plan.qe_identity(Tee.TDX, channel)]
    for channel in channels[1:]:
        others += [plan.tcb_info(Tee.SGX, fmspc, channel), plan.qe_identity(Tee.SGX, channel)]
    return needed, others


def _octets(asked: Asked, name: str, length: int) -> bytes:
    found = hexadecimal(first(asked, name) or "")
    if len(found) != length:
        raise Wrong(f"{name}: expected {2 * length} hexadecimal digits")
    return found


def _qe_id(asked: Asked) -> str:
    try:
        return platforms.qe_id(first(asked, "qeid") or "")
    except Malformed as error:
        raise Wrong(error.message) from error


def _families(source: str) -> list[bytes]:
    """The families in `[FMSPC,…]`; none stand for all."""
    listed = source[1:-1].strip() if source[:1] == "[" and source[-1:] == "]" else "?"
    return families(listed.split(",") if listed else [])


def _listed(found: list[Registration]) -> Response:
    return Identified(platforms.encode(found), OK, {"platform-count": str(len(found)), "content-type": JSON})


@lru_cache(maxsize=512)
def _issued(issued: Issued) -> Response:
    found, proved = issued.certificate, issued.known.pck_certificates
    headers = {
        "SGX-TCBm": found.tcbm,
        "SGX-FMSPC": proved.fmspc.hex().upper(),
        "SGX-PCK-Certificate-CA-Type": proved.ca.upper(),
        "SGX-PCK-Certificate-Issuer-Chain": escaped(proved.chain),
        "content-type": "application/x-pem-file",
    }
    return Identified(found.pem, OK, headers)
