"""From a request to a token: the stages in their order, the decision kept before it is told.

Should the instance's policies have been replaced meanwhile, by another process perhaps, it is decided once more, by the new ones.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from donjon.adapters.keys import signing
from donjon.adapters.metrics.attestation import AttestationMetrics
from donjon.adapters.storage.journal import Journal, Stale
from donjon.attestation import token
from donjon.attestation.appraise import Appraisal, PolicyInForce
from donjon.audit.event import Event
from donjon.errors import Malformed, Unavailable, Untrusted
from donjon.maa import policies, refusals
from donjon.maa.refusals import Refusal
from donjon.maa.requests import AttestRequest
from donjon.maa.versions import AttestationType
from donjon.policy.decision import Decision
from donjon.services.attestation.judging import Criteria, Evaluation, Evidence, Judge, RefusedQuote
from donjon.services.attestation.maa import audit_events
from donjon.services.attestation.maa.audit_events import Asker, Matter
from donjon.services.attestation.maa.instances import Instance
from donjon.services.attestation.turns import Line

ATTEMPTS = 5  # at a decision that nobody's change comes between


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestOutcome:
    """A token, or why there is none; and what the audit is told."""

    event: Event
    answer: str | Refusal


class Attester:
    """Decides about quotes, has each decision recorded, and issues tokens."""

    def __init__(self, judge: Judge, journal: Journal, now: Callable[[], datetime], metrics: AttestationMetrics) -> None:
        """Tokens are dated `now`."""
        self._judge, self._journal, self._now, self._metrics = judge, journal, now, metrics

    async def attest(self, instance: Instance, kind: AttestationType, request: AttestRequest, asker: Asker) -> AttestOutcome:
        """The token, or the refusal, once it is kept; raises what the stages raise where there is nothing to decide."""
        draft = await self._draft(instance, request, asker.site)
        matter = audit_events.attestation(request, kind, instance.name, asker)
        state = await instance.state()
        for _ in range(ATTEMPTS):
            try:
                criteria = await state.criteria(kind) if draft is None else state.with_policy(draft)
                outcome = await self._decide(instance, matter, request, criteria)
            except (Untrusted, Malformed) as error:
                outcome = AttestOutcome(event=matter.failed_event(error), answer=refusals.of_error(error))
            try:
                await self._journal.keep(outcome.event, instance=instance.name, generation=state.generation)
            except Stale:
                state = await instance.state(reread=True)
            else:
                self._metrics.count_decision(kind, outcome.event.verdict, next(iter(outcome.event.codes), ""))
                return outcome
        raise Unavailable("DJ532", f"{instance.name}: its policies are being replaced faster than anything is decided by them")

    async def _decide(self, instance: Instance, matter: Matter, request: AttestRequest, criteria: Criteria) -> AttestOutcome:
        site, is_draft = matter.asker.site, criteria.policy.draft
        line, text = (Line.DRAFT, "") if is_draft else (Line.ATTEST, criteria.policy.text)
        evidence = Evidence(submitted=request.submitted, quote=request.quote, held_data=request.held_data, site=site)

        async def queue(evaluation: Evaluation) -> Appraisal | Decision:
            return await instance.turns.take(instance.name, line, evaluation, site)

        async with self._judge.judge(evidence, criteria, queue) as judgement:
            if isinstance(judgement, RefusedQuote):
                return _refused_outcome(matter, judgement, text)
            jti = signing.fresh_jti()
            jwt = token.issue(judgement.appraisal, instance.authorities(), self._now(), jti)
            event = matter.allowed_event({**judgement.facts, "jti": jti}, text, judgement.appraisal.decision)
            return AttestOutcome(event=event, answer=jwt)

    async def _draft(self, instance: Instance, request: AttestRequest, site: str) -> PolicyInForce | None:
        if request.draft is None:
            return None
        return await instance.turns.take(instance.name, Line.DRAFT, partial(policies.draft, request.draft), site)


def _refused_outcome(matter: Matter, judgement: RefusedQuote, text: str) -> AttestOutcome:
    codes, decision = tuple(finding.code for finding in judgement.findings), judgement.decision
    refusal = refusals.of_findings(judgement.findings) if decision is None else refusals.of_decision(decision)
    return AttestOutcome(event=matter.refused_event(codes, judgement.facts, text, decision), answer=refusal)
