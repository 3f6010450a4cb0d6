"""From a request to a token: the stages in their order, the decision kept before it is told.

Should the instance's policies have been replaced meanwhile, by another process perhaps, it is decided once more, by the new ones.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from donjon.adapters.http.fairlock import FairLock
from donjon.adapters.keys import signing
from donjon.adapters.metrics.attestation import AttestationMetrics
from donjon.adapters.storage.journal import Journal, Stale
from donjon.attestation import acceptance, appraise, binding, claims, token, verify
from donjon.attestation.acceptance import AcceptedQuote
from donjon.attestation.appraise import Appraisal, PolicyInForce
from donjon.attestation.binding import BoundQuote, HeldData
from donjon.attestation.memory import Memory
from donjon.attestation.verify import VerifiedQuote
from donjon.audit.event import Event
from donjon.errors import Malformed, Unavailable, Untrusted
from donjon.maa import policies, refusals
from donjon.maa.refusals import Refusal
from donjon.maa.requests import AttestRequest
from donjon.maa.versions import AttestationType
from donjon.policy.budget import Allowance
from donjon.policy.decision import Decision
from donjon.services.attestation.maa import audit_events
from donjon.services.attestation.maa.audit_events import Asker, Matter
from donjon.services.attestation.maa.instances import Applied, Instance
from donjon.services.attestation.pccs.quote_collateral import ReadyCollateral
from donjon.services.attestation.slowness import Slowness
from donjon.services.attestation.turns import Line

AGAIN = 5  # times that it is decided anew
LIGHT = 4 << 10  # bytes of data in JSON that are told in a claim at once: they take some ms at most
GLANCE = 0.01  # of what an evaluation may do, on the event loop: some 2 ms; what is not done by then is done anew, in its turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """What time it is."""

    now: Callable[[], datetime]  # for tokens and whoever calls
    judging: Callable[[], datetime]  # for quotes and collateral: the same, unless it was set
    seconds: Callable[[], float]
    labour: Callable[[], float]  # seconds that the processor has worked for the thread that asks
    labour_aside: Callable[[], float]  # the same, where the event loop goes first


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A token, or why there is none; and what the audit is told."""

    event: Event
    answer: str | Refusal


class Attester:
    """Makes tokens."""

    def __init__(
        self, collateral: ReadyCollateral, journal: Journal, clocks: Clocks, metrics: AttestationMetrics, turns: FairLock
    ) -> None:
        """In `turns` is done what takes long on the event loop."""
        self._collateral, self._journal, self._clocks, self._metrics, self._turns = collateral, journal, clocks, metrics, turns
        self._memory = Memory()
        self._glance, self._whole = Allowance(share=GLANCE, seconds=clocks.labour), Allowance(seconds=clocks.labour_aside)
        self._slow = Slowness()

    async def attest(self, instance: Instance, kind: AttestationType, asked: AttestRequest, asker: Asker) -> Outcome:
        """The token, or the refusal, once it is kept; raises what the stages raise where there is nothing to decide."""
        draft = await self._draft(instance, asked, asker.site)
        matter = audit_events.attestation(asked, kind, instance.name, asker)
        standing = await instance.standing()
        for _ in range(AGAIN):
            try:
                applied = await standing.applied(kind) if draft is None else standing.trying(draft)
                outcome = await self._decided(instance, matter, asked, applied)
            except (Untrusted, Malformed) as error:
                outcome = Outcome(event=matter.failed(error), answer=refusals.of_error(error))
            try:
                await self._journal.keep(outcome.event, instance=instance.name, generation=standing.generation)
            except Stale:
                standing = await instance.standing(again=True)
            else:
                self._metrics.decided(kind, outcome.event.verdict, next(iter(outcome.event.codes), ""))
                return outcome
        raise Unavailable("DJ532", f"{instance.name}: its policies are being replaced faster than anything is decided by them")

    async def _decided(self, instance: Instance, matter: Matter, asked: AttestRequest, applied: Applied) -> Outcome:
        verified = await self._verified(asked, applied)
        facts = {"policy": applied.policy.hash, "tcb": str(verified.tcb.status)}
        accepted = acceptance.accept(verified, applied.gate)
        if not isinstance(accepted, AcceptedQuote):
            codes = tuple(finding.code for finding in accepted)
            return Outcome(event=matter.refused(codes, facts), answer=refusals.of_findings(accepted))
        bound = binding.bind(accepted, asked.held_data)
        async with self._turn(asked.held_data, matter.asker.site):
            if (answer := self._at_a_glance(bound, asked.submitted, applied.policy)) is not None:
                return self._outcome(instance, matter, facts, answer)
        line = Line.DRAFT if applied.policy.draft else Line.ATTEST
        work = partial(self._in_turn, bound, asked.submitted, applied.policy)
        return self._outcome(instance, matter, facts, await instance.turns.take(instance.name, line, work, matter.asker.site))

    def _turn(self, held: HeldData, site: str) -> AbstractAsyncContextManager[None]:
        """In which much data are told, and the token is made: what is read of them is large, so it does not wait in between."""
        much = sum(len(each.raw) for each in (held.runtime, held.initial) if each is not None and each.is_json) > LIGHT
        return self._turns.turn(site) if much else nullcontext()

    def _outcome(self, instance: Instance, matter: Matter, facts: dict[str, str], answer: Appraisal | Decision) -> Outcome:
        if not isinstance(answer, Appraisal):
            codes = tuple(finding.code for finding in answer.findings)
            return Outcome(event=matter.refused(codes, facts, answer), answer=refusals.of_decision(answer))
        jti = signing.fresh_jti()
        made = token.issue(answer, instance.authorities(), self._clocks.now(), jti)
        return Outcome(event=matter.allowed({**facts, "jti": jti}, answer.decision), answer=made)

    async def _verified(self, asked: AttestRequest, applied: Applied) -> VerifiedQuote:
        collateral = await self._collateral.of(asked.quote, applied.gate.staleness)
        began = self._clocks.seconds()
        try:
            return verify.verify(asked.quote, collateral, self._clocks.judging(), self._memory)
        finally:
            self._metrics.verified(self._clocks.seconds() - began)

    async def _draft(self, instance: Instance, asked: AttestRequest, site: str) -> PolicyInForce | None:
        if asked.draft is None:
            return None
        return await instance.turns.take(instance.name, Line.DRAFT, partial(policies.draft, asked.draft), site)

    def _at_a_glance(self, bound: BoundQuote, submitted: bytes, policy: PolicyInForce) -> Appraisal | Decision | None:
        """What the policy says, unless it takes long to say it."""
        statement = claims.derive(bound, submitted)
        if not self._slow.foresees(policy, statement):
            answer = appraise.appraise(statement, policy, self._glance)
            if not _decision(answer).exhausted:
                return answer
            self._slow.learn(policy, statement)
        return None

    def _in_turn(self, bound: BoundQuote, submitted: bytes, policy: PolicyInForce) -> Appraisal | Decision:
        """The same, however long it takes; what is said of the quote is large, so it is said again, and does not wait in line."""
        return appraise.appraise(claims.derive(bound, submitted), policy, self._whole)


def _decision(answer: Appraisal | Decision) -> Decision:
    return answer.decision if isinstance(answer, Appraisal) else answer
