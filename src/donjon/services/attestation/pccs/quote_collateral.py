"""Collateral for quotes, proved once and ready for that family of platforms as long as none of it changes."""

import hashlib
from datetime import timedelta
from functools import lru_cache

from donjon.attestation.memory import BoundedTable
from donjon.attestation.quote import Quote, read_platform
from donjon.collateral import plan, tcb_info
from donjon.collateral.bundle import unwrap
from donjon.collateral.document import Document
from donjon.collateral.plan import Absent, Answer, Channel, CollateralKind, CollateralRequest
from donjon.collateral.tcb_info import TcbInfo
from donjon.collateral.trusted import TrustedCollateral, trust
from donjon.errors import Malformed, Unavailable, Untrusted
from donjon.pki.intel import Anchor
from donjon.services.attestation.pccs.cache import Cache
from donjon.sgx.platform import Platform, Tee

MAX_PLATFORMS = 10_000
MAX_FAMILIES = 1_000

Requests = dict[str, CollateralRequest]
_KINDS = {CollateralKind.TCB_INFO, CollateralKind.QE_IDENTITY, CollateralKind.PCK_CRL, CollateralKind.ROOT_CA_CRL}
_INFO, _IDENTITY = "tcb_info", "qe_identity"  # Published together, with one number; they come from the upstream one by one.


class ReadyCollateral:
    """What the cache holds, in the form in which quotes are verified by it."""

    def __init__(self, cache: Cache, anchor: Anchor, channel: Channel = Channel.STANDARD) -> None:
        self._cache, self._anchor, self._channel = cache, anchor, channel
        self._by_chain: BoundedTable[bytes, tuple[Platform, Requests]] = BoundedTable(MAX_PLATFORMS)
        self._trusted: BoundedTable[Platform, tuple[tuple[Document, ...], TrustedCollateral]] = BoundedTable(MAX_FAMILIES)

    async def of(self, quote: Quote, staleness: timedelta) -> TrustedCollateral:
        """The collateral for that quote, ended no longer ago than that where there is none newer.

        Raises `Unavailable`, DJ203 for a quote without a chain, and `Untrusted` DJ530 for a platform of which nothing is known.
        """
        platform, requests = self._platform(quote)
        try:
            return await self._prove(platform, requests, staleness)
        except Absent as error:
            if all(request.name() in self._cache.documents for request in requests.values()):
                reason = f"what is here has ended, and no newer can be had: {error.message}"
                raise Unavailable("DJ514", f"collateral: {reason}") from error
            family = f"FMSPC {platform.fmspc.hex()}, {platform.ca} CA, {platform.tee}"
            raise Untrusted("DJ530", f"platform: no collateral for {family}") from error  # Where it was looked for, the log has.
        except (Untrusted, Malformed) as error:  # The upstream's fault, not that of who shows the quote.
            raise Unavailable(error.code, f"collateral: the upstream has none that can be used: {error.message}") from error

    def usable(self, staleness: timedelta) -> bool:
        """Whether any quote could be judged by what has ended no longer ago than that, or there is someone to ask."""
        kinds = {each.request.kind for each in self._cache.not_expired(staleness)}
        return not self._cache.offline or kinds >= _KINDS

    def tcb_infos(self, tee: Tee) -> list[TcbInfo]:
        """The TCB infos that are here, of every family of platforms."""
        requests = ((each.request, each.body) for each in self._cache.documents.values())
        return [_tcb_info(body) for request, body in requests if (request.kind, request.tee) == (CollateralKind.TCB_INFO, tee)]

    async def _prove(self, platform: Platform, requests: Requests, staleness: timedelta) -> TrustedCollateral:
        by_part = {part: await self._cache.get(request, staleness) for part, request in requests.items()}
        if by_part[_INFO].evaluation_number != by_part[_IDENTITY].evaluation_number:
            older = min((_INFO, _IDENTITY), key=lambda part: by_part[part].evaluation_number)
            by_part[older] = await self._cache.refetch(requests[older])
        documents = tuple(by_part.values())
        cached = self._trusted.get(platform)
        if cached is not None and all(one is other for one, other in zip(cached[0], documents, strict=True)):
            return cached[1]
        answers = {part: Answer(body=each.body, chain=each.chain) for part, each in by_part.items()}
        return self._trusted.keep(platform, (documents, trust(plan.assemble(answers, None), self._anchor)))[1]

    def _platform(self, quote: Quote) -> tuple[Platform, Requests]:
        if not quote.carries_chain:
            kind = f"certification data {quote.certification.kind.value} ({quote.certification.kind.name})"
            raise Unavailable("DJ203", f"PCK certificate: the quote has {kind} and carries no chain")
        chain = quote.certification.content
        key = hashlib.sha256(quote.tee.encode("ascii") + chain).digest()
        cached = self._by_chain.get(key)
        if cached is None:
            platform = read_platform(quote, chain)
            cached = self._by_chain.keep(key, (platform, plan.requests(platform, self._channel)))
        return cached


@lru_cache(maxsize=MAX_FAMILIES)
def _tcb_info(body: bytes) -> TcbInfo:
    return tcb_info.parse(unwrap(body, "tcbInfo").text)
