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
from donjon.services.attestation.maa.instances import Criteria, Instance
from donjon.services.attestation.pccs.quote_collateral import ReadyCollateral
from donjon.services.attestation.slowness import Slowness
from donjon.services.attestation.turns import Line

AGAIN = 5  # times that it is decided anew
LIGHT = 4 << 10  # bytes of data in JSON that are told in a claim at once: they take some ms at most
GLANCE = 0.01  # of what an evaluation may do, on the event loop: some 2 ms; what is not done by then is done anew, in its turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """What time it is, and how long things take."""

    now: Callable[[], datetime]  # for tokens and whoever calls
    judging: Callable[[], datetime]  # for quotes and collateral: the same, unless it was set
    seconds: Callable[[], float]
    labour: Callable[[], float]  # seconds that the processor has worked for the thread that asks
    labour_aside: Callable[[], float]  # the same, where the event loop goes first


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestOutcome:
    """A token, or why there is none; and what the audit is told."""

    event: Event
    answer: str | Refusal


class Attester:
    """Decides about quotes, has each decision recorded, and issues tokens."""

    def __init__(
        self, collateral: ReadyCollateral, journal: Journal, clocks: Clocks, metrics: AttestationMetrics, turns: FairLock
    ) -> None:
        """In `turns` is done what takes long on the event loop."""
        self._collateral, self._journal, self._clocks, self._metrics, self._turns = collateral, journal, clocks, metrics, turns
        self._memory = Memory()
        self._glance, self._whole = Allowance(share=GLANCE, seconds=clocks.labour), Allowance(seconds=clocks.labour_aside)
        self._slow = Slowness()

    async def attest(self, instance: Instance, kind: AttestationType, request: AttestRequest, asker: Asker) -> AttestOutcome:
        """The token, or the refusal, once it is kept; raises what the stages raise where there is nothing to decide."""
        draft = await self._draft(instance, request, asker.site)
        matter = audit_events.attestation(request, kind, instance.name, asker)
        state = await instance.state()
        for _ in range(AGAIN):
            try:
                criteria = await state.criteria(kind) if draft is None else state.with_policy(draft)
                outcome = await self._decide(instance, matter, request, criteria)
            except (Untrusted, Malformed) as error:
                outcome = AttestOutcome(event=matter.failed_event(error), answer=refusals.of_error(error))
            try:
                await self._journal.keep(outcome.event, instance=instance.name, generation=state.generation)
            except Stale:
                state = await instance.state(again=True)
            else:
                self._metrics.count_decision(kind, outcome.event.verdict, next(iter(outcome.event.codes), ""))
                return outcome
        raise Unavailable("DJ532", f"{instance.name}: its policies are being replaced faster than anything is decided by them")

    async def _decide(self, instance: Instance, matter: Matter, request: AttestRequest, criteria: Criteria) -> AttestOutcome:
        verified = await self._verify(request, criteria)
        facts = {"policy": criteria.policy.hash, "tcb": str(verified.tcb.status)}
        gate_result = acceptance.accept(verified, criteria.gate)
        if not isinstance(gate_result, AcceptedQuote):
            codes = tuple(finding.code for finding in gate_result)
            return AttestOutcome(event=matter.refused_event(codes, facts), answer=refusals.of_findings(gate_result))
        bound = binding.bind(gate_result, request.held_data)
        async with self._turn(request.held_data, matter.asker.site):
            if (answer := self._at_a_glance(bound, request.submitted, criteria.policy)) is not None:
                return self._outcome(instance, matter, facts, answer)
        line = Line.DRAFT if criteria.policy.draft else Line.ATTEST
        work = partial(self._in_turn, bound, request.submitted, criteria.policy)
        return self._outcome(instance, matter, facts, await instance.turns.take(instance.name, line, work, matter.asker.site))

    def _turn(self, held_data: HeldData, site: str) -> AbstractAsyncContextManager[None]:
        """In which much data are told, and the token is made: what is read of them is large, so it does not wait in between."""
        much = sum(len(each.raw) for each in (held_data.runtime, held_data.initial) if each is not None and each.is_json) > LIGHT
        return self._turns.turn(site) if much else nullcontext()

    def _outcome(self, instance: Instance, matter: Matter, facts: dict[str, str], answer: Appraisal | Decision) -> AttestOutcome:
        if not isinstance(answer, Appraisal):
            codes = tuple(finding.code for finding in answer.findings)
            return AttestOutcome(event=matter.refused_event(codes, facts, answer), answer=refusals.of_decision(answer))
        jti = signing.fresh_jti()
        jwt = token.issue(answer, instance.authorities(), self._clocks.now(), jti)
        return AttestOutcome(event=matter.allowed_event({**facts, "jti": jti}, answer.decision), answer=jwt)

    async def _verify(self, request: AttestRequest, criteria: Criteria) -> VerifiedQuote:
        collateral = await self._collateral.of(request.quote, criteria.gate.staleness)
        began = self._clocks.seconds()
        try:
            return verify.verify(request.quote, collateral, self._clocks.judging(), self._memory)
        finally:
            self._metrics.observe_verification(self._clocks.seconds() - began)

    async def _draft(self, instance: Instance, request: AttestRequest, site: str) -> PolicyInForce | None:
        if request.draft is None:
            return None
        return await instance.turns.take(instance.name, Line.DRAFT, partial(policies.draft, request.draft), site)

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
        """What the policy says, however long it takes; the claims are large, so they are made again, and do not wait in line."""
        return appraise.appraise(claims.derive(bound, submitted), policy, self._whole)


def _decision(answer: Appraisal | Decision) -> Decision:
    return answer.decision if isinstance(answer, Appraisal) else answer
