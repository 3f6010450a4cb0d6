"""Changes of an instance's policies and certificates: judged by what holds now, kept, and only then answered."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from donjon.adapters.logs import say
from donjon.adapters.storage.instances import Change, RemovePolicy, SetCertificates, SetPolicy
from donjon.adapters.storage.journal import Journal, Stale
from donjon.adapters.storage.policy_texts import TextsFull
from donjon.audit import holdings
from donjon.audit.event import EventKind
from donjon.errors import DonjonError, Unavailable
from donjon.formats.json import JsonObject
from donjon.maa import certificates, policies, requests
from donjon.maa.versions import AttestationType
from donjon.services.attestation.maa.attester import ATTEMPTS
from donjon.services.attestation.maa.audit_events import Asker, Matter
from donjon.services.attestation.maa.instances import Instance, InstanceState
from donjon.services.attestation.turns import Line
from donjon.signing.signer_certificate import SignerCertificate

LOG = logging.getLogger(__name__)

_LOG_FACTS = ("policy", "signer", "certificate", "subject")  # of the facts of a change, in the log, too


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedChange:
    """A change that may be made, what the audit is told of it, and the claims of the answer."""

    change: Change | None  # that there is nothing to change
    facts: dict[str, str]
    answer: JsonObject
    text: str = ""  # of the policy that is set


class Changes:
    """Changes policies and certificates of instances, and has each change recorded."""

    def __init__(self, journal: Journal, now: Callable[[], datetime]) -> None:
        """Signers' certificates are looked at as of `now`."""
        self._journal, self._now = journal, now

    async def set_policy(self, instance: Instance, kind: AttestationType, text: str, asker: Asker) -> JsonObject:
        """Have that policy; raises as `policies.parse_submitted` does, and `Unavailable`."""

        def judge(state: InstanceState) -> JudgedChange:
            token = policies.parse_submitted(text, state.trust, self._now())
            facts = {"policy": token.hash, "token": token.token_hash, **_signed_by(token.signer)}
            return JudgedChange(
                change=SetPolicy(kind, text), facts=facts, answer=policies.claims_when_set(token), text=token.encoded
            )

        return await self._make(instance, _matter(EventKind.POLICY_SET, instance, asker, type=kind), judge)

    async def reset_policy(self, instance: Instance, kind: AttestationType, text: str, asker: Asker) -> JsonObject:
        """Have the default policy again; raises as `policies.reset` does, and `Unavailable`."""

        def judge(state: InstanceState) -> JudgedChange:
            signer = policies.reset(text, state.trust, self._now())
            after = policies.default(kind)
            facts = {**_signed_by(signer), **({} if after is None else {"policy": after.hash})}
            return JudgedChange(
                change=RemovePolicy(kind),
                facts=facts,
                answer=policies.claims_when_reset(),
                text="" if after is None else after.encoded,
            )

        return await self._make(instance, _matter(EventKind.POLICY_RESET, instance, asker, type=kind), judge)

    async def certificate(self, instance: Instance, change: requests.Change, text: str, asker: Asker) -> JsonObject:
        """Add or remove a certificate; raises as `certificates.change` does, `Misconfigured` DJ447, and `Unavailable`."""
        adding = change is requests.Change.ADD

        def judge(state: InstanceState) -> JudgedChange:
            before, moment = state.trust, self._now()
            request = certificates.change(text, before, moment)
            certificate = request.certificate
            after = (before.with_certificate if adding else before.without_certificate)(certificate, moment)
            former = state.signed_by(each for each in (*state.former, *before.certificates) if not after.trusts(each))
            replacement = SetCertificates(*(tuple(each.der for each in those) for those in (after.certificates, former)))
            holding = holdings.facts(replacement.certificates, replacement.former)
            return JudgedChange(
                change=None if after == before else replacement,
                facts={**_identity(certificate), **_signed_by(request.signer), **holding},
                answer=certificates.claims_when_changed(certificate, after),
            )

        kind = EventKind.CERTIFICATE_ADDED if adding else EventKind.CERTIFICATE_REMOVED
        return await self._make(instance, _matter(kind, instance, asker), judge)

    async def _make(self, instance: Instance, matter: Matter, judge: Callable[[InstanceState], JudgedChange]) -> JsonObject:
        for _ in range(ATTEMPTS):
            state = await instance.state(reread=True)
            try:
                return await self._judge_and_record(instance, matter, judge, state)
            except Stale:
                continue
        raise Unavailable("DJ532", f"{instance.name}: it is being changed faster than anything is decided by it")

    async def _judge_and_record(
        self, instance: Instance, matter: Matter, judge: Callable[[InstanceState], JudgedChange], state: InstanceState
    ) -> JsonObject:
        try:
            judged = await instance.turns.take(instance.name, Line.CHANGE, partial(judge, state), matter.asker.site)
        except DonjonError as error:
            await self._refuse(instance, matter, error, state)
            raise
        if judged.change is None:
            say(LOG, f"{matter.kind}: so already", instance=instance.name, caller=matter.asker.caller)
            return judged.answer
        event = matter.allowed_event({**judged.facts, holdings.GENERATION: str(state.generation + 1)}, judged.text)
        try:
            await self._journal.keep(event, instance=instance.name, generation=state.generation, change=judged.change)
        except TextsFull as error:
            await self._refuse(instance, matter, error, state)
            raise
        _tell(matter, judged.facts)
        await instance.state(reread=True)
        return judged.answer

    async def _refuse(self, instance: Instance, matter: Matter, error: DonjonError, state: InstanceState) -> None:
        await self._journal.keep(matter.failed_event(error), instance=instance.name, generation=state.generation)
        _tell(matter, {}, code=error.code)


def _matter(kind: EventKind, instance: Instance, asker: Asker, **facts: str) -> Matter:
    return Matter(kind=kind, instance=instance.name, asker=asker, facts=facts)


def _signed_by(signer: SignerCertificate | None) -> dict[str, str]:
    return {} if signer is None else {"signer": signer.thumbprint()}


def _identity(certificate: SignerCertificate) -> dict[str, str]:
    """The thumbprint, and the name that goes with it when the certificate itself is gone."""
    return {"certificate": certificate.thumbprint(), "subject": certificate.name()}


def _tell(matter: Matter, facts: Mapping[str, str], code: str | None = None) -> None:
    level = logging.INFO if code is None else logging.WARNING
    what = {name: facts.get(name) for name in _LOG_FACTS}
    kind = matter.facts.get("type")
    say(LOG, matter.kind, level=level, instance=matter.instance, caller=matter.asker.caller, type=kind, refused=code, **what)
