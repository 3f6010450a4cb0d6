"""Asks for the PCK certificates of a platform: all of them of Intel's service, or one by one of another cache."""

import asyncio
from datetime import datetime

from donjon.collateral import pck_certificates, plan
from donjon.collateral.plan import Absent, Answer, CollateralRequest
from donjon.collateral.platforms import ENCRYPTED_PPID, PCE_SVN, Registration, StoredPlatform
from donjon.collateral.selection import Tcb
from donjon.findings import codes
from donjon.services.attestation.pccs.cache import AT_ONCE, Upstream


class PckSource:
    """An upstream of PCK certificates: Intel's service, or another cache."""

    def __init__(self, upstream: Upstream, *, is_cache: bool) -> None:
        """Another cache may have all of them, too, but each PCCS has the one that should be used."""
        self._upstream, self.is_cache = upstream, is_cache
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def certificates(self, registration: Registration, moment: datetime) -> StoredPlatform:
        """What there is now, nothing of it proved.

        Raises `Absent` DJ573 where Intel has none, DJ574 where it cannot be asked; and what `Upstream` raises.
        """
        try:
            return await self._whole(registration, moment)
        except Absent as error:
            if registration.tcb is None or not self.is_cache or error.code == codes.NO_CERTIFICATES:
                raise
        return await self._one(registration, registration.tcb, moment)

    async def _whole(self, registration: Registration, moment: datetime) -> StoredPlatform:
        answer = await self._ask(_request(registration))
        offered = pck_certificates.parse_offer(answer.body)
        if not offered.certificates:
            raise Absent("DJ573", f"platform: Intel has none of its {offered.unavailable} PCK certificates now")
        return StoredPlatform(
            registration=registration,
            certificates=offered.certificates,
            chain=answer.chain,
            fetched_at=moment,
            unavailable=offered.unavailable,
            whole=True,
        )

    async def _one(self, registration: Registration, tcb: Tcb, moment: datetime) -> StoredPlatform:
        name, ppid = registration.name, registration.encrypted_ppid or bytes(ENCRYPTED_PPID)
        pce_svn = tcb.pce_svn.to_bytes(PCE_SVN, "little")
        answer = await self._ask(plan.pck_certificate_at(name.qe_id, name.pce_id, ppid, tcb.components, pce_svn))
        return StoredPlatform(
            registration=registration,
            certificates=pck_certificates.single(answer.body),
            chain=answer.chain,
            fetched_at=moment,
            unavailable=0,
            whole=False,
        )

    async def _ask(self, request: CollateralRequest) -> Answer:
        async with self._gate:
            return await asyncio.to_thread(self._upstream.answer, request)


def _request(registration: Registration) -> CollateralRequest:
    pce_id = registration.name.pce_id
    if registration.manifest is not None:
        return plan.pck_certificates_by_manifest(pce_id, registration.manifest)
    if registration.encrypted_ppid is not None:
        return plan.pck_certificates(pce_id, registration.encrypted_ppid)
    raise Absent("DJ574", "platform: neither an encrypted PPID nor a manifest, by which Intel would know it")
