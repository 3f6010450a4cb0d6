"""Changes of an instance's policies and certificates: judged by what holds now, kept, and only then answered."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from donjon.adapters.logs import say
from donjon.adapters.storage.instances import Change, RemovePolicy, SetCertificates, SetPolicy
from donjon.adapters.storage.journal import Journal, Stale
from donjon.audit import holdings
from donjon.audit.event import EventKind
from donjon.errors import DonjonError, Unavailable
from donjon.formats.json import JsonObject
from donjon.maa import certificates, policies, requests
from donjon.maa.versions import AttestationType
from donjon.services.attestation.maa.attester import AGAIN
from donjon.services.attestation.maa.audit_events import Asker, Matter
from donjon.services.attestation.maa.instances import Instance, Standing
from donjon.services.attestation.turns import Line

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A change that may be made, what the audit is told of it, and the claims of the answer."""

    change: Change
    facts: dict[str, str]
    answer: JsonObject


class Changes:
    """Makes them."""

    def __init__(self, journal: Journal, now: Callable[[], datetime]) -> None:
        """Signers' certificates are looked at as of `now`."""
        self._journal, self._now = journal, now

    async def set_policy(self, instance: Instance, kind: AttestationType, text: str, asker: Asker) -> JsonObject:
        """Have that policy; raises as `policies.parse_submitted` does, and `Unavailable`."""

        def judge(standing: Standing) -> Judged:
            token = policies.parse_submitted(text, standing.trust, self._now())
            signer = {} if token.signer is None else {"signer": token.signer.thumbprint()}
            facts = {"policy": token.hash, "token": token.token_hash, **signer}
            return Judged(change=SetPolicy(kind, text), facts=facts, answer=policies.claims_when_set(token))

        return await self._made(instance, _matter(EventKind.POLICY_SET, instance, asker, type=kind), judge)

    async def reset_policy(self, instance: Instance, kind: AttestationType, text: str, asker: Asker) -> JsonObject:
        """Have the default policy again; raises as `policies.reset` does, and `Unavailable`."""

        def judge(standing: Standing) -> Judged:
            signer = policies.reset(text, standing.trust, self._now())
            facts = {} if signer is None else {"signer": signer.thumbprint()}
            return Judged(change=RemovePolicy(kind), facts=facts, answer=policies.claims_when_reset())

        return await self._made(instance, _matter(EventKind.POLICY_RESET, instance, asker, type=kind), judge)

    async def certificate(self, instance: Instance, change: requests.Change, text: str, asker: Asker) -> JsonObject:
        """Add or remove a certificate; raises as `certificates.change` does, `Misconfigured` DJ447, and `Unavailable`."""
        adding = change is requests.Change.ADD

        def judge(standing: Standing) -> Judged:
            before = standing.trust
            certificate = certificates.change(text, before, self._now())
            after = before.with_certificate(certificate) if adding else before.without_certificate(certificate)
            former = standing.signed_by(each for each in (*standing.former, *before.certificates) if not after.trusts(each))
            made = SetCertificates(*(tuple(each.der for each in those) for those in (after.certificates, former)))
            return Judged(
                change=made,
                facts={"certificate": certificate.thumbprint(), **holdings.facts(made.certificates, made.former)},
                answer=certificates.claims_when_changed(certificate, after),
            )

        kind = EventKind.CERTIFICATE_ADDED if adding else EventKind.CERTIFICATE_REMOVED
        return await self._made(instance, _matter(kind, instance, asker), judge)

    async def _made(self, instance: Instance, matter: Matter, judge: Callable[[Standing], Judged]) -> JsonObject:
        for _ in range(AGAIN):
            standing = await instance.standing(again=True)
            try:
                return await self._kept(instance, matter, judge, standing)
            except Stale:
                continue
        raise Unavailable("DJ532", f"{instance.name}: it is being changed faster than anything is decided by it")

    async def _kept(
        self, instance: Instance, matter: Matter, judge: Callable[[Standing], Judged], standing: Standing
    ) -> JsonObject:
        try:
            judged = await instance.turns.take(instance.name, Line.CHANGE, partial(judge, standing), matter.asker.site)
        except DonjonError as error:
            await self._journal.keep(matter.failed(error), instance=instance.name, generation=standing.generation)
            _tell(matter, refused=error.code)
            raise
        event = matter.allowed({**judged.facts, holdings.GENERATION: str(standing.generation + 1)})
        await self._journal.keep(event, instance=instance.name, generation=standing.generation, change=judged.change)
        _tell(matter)
        await instance.standing(again=True)
        return judged.answer


def _matter(kind: EventKind, instance: Instance, asker: Asker, **facts: str) -> Matter:
    return Matter(kind=kind, instance=instance.name, asker=asker, facts=facts)


def _tell(matter: Matter, refused: str | None = None) -> None:
    kind = matter.facts.get("type")
    level = logging.INFO if refused is None else logging.WARNING
    say(LOG, matter.kind, level=level, instance=matter.instance, caller=matter.asker.caller, type=kind, refused=refused)
