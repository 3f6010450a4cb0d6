"""What becomes of a quote: proved, held against an operator's gate, and appraised by a policy.

Nothing here knows in which protocol it was shown, or what is made of the answer.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TypeAlias

from donjon.adapters.http.fairlock import FairLock
from donjon.adapters.metrics.attestation import AttestationMetrics
from donjon.attestation import acceptance, appraise, binding, claims, verify
from donjon.attestation.acceptance import Acceptance, AcceptedQuote
from donjon.attestation.appraise import Appraisal, PolicyInForce
from donjon.attestation.binding import BoundQuote, HeldData
from donjon.attestation.memory import Memory
from donjon.attestation.quote import Quote
from donjon.attestation.verify import VerifiedQuote
from donjon.findings import Finding
from donjon.policy.budget import Allowance
from donjon.policy.decision import Decision
from donjon.services.attestation.pccs.quote_collateral import ReadyCollateral
from donjon.services.attestation.slowness import Slowness
from donjon.sgx.report import ReportBody
from donjon.sgx.td import TdReport

LIGHT_DATA = 4 << 10  # bytes of data in JSON that are told in a claim at once: they take some ms at most
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
class Evidence:
    """What somebody shows: the quote, as it came and as it was read, and data that the enclave held."""

    submitted: bytes = field(repr=False)
    quote: Quote
    held_data: HeldData
    site: str  # where from, as addresses are counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """What a quote is held against."""

    policy: PolicyInForce
    gate: Acceptance


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedQuote:
    """A quote that the policy permits, and what it says of it."""

    facts: dict[str, str]  # for the audit: the policy's hash, the TCB's status, which enclave or TD it is
    appraisal: Appraisal


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedQuote:
    """A true quote that the gate refuses, or that the policy does, by its decision."""

    facts: dict[str, str]
    findings: tuple[Finding, ...]
    decision: Decision | None


Judgement: TypeAlias = AllowedQuote | RefusedQuote
Evaluation: TypeAlias = Callable[[], Appraisal | Decision]
Queue: TypeAlias = Callable[[Evaluation], Awaitable[Appraisal | Decision]]
"""Has an evaluation done when its turn has come."""


class Judge:
    """Judges quotes, one service's; it remembers platforms, and which policies take long."""

    def __init__(self, collateral: ReadyCollateral, clocks: Clocks, metrics: AttestationMetrics, turns: FairLock) -> None:
        """In `turns` is done what takes long on the event loop."""
        self._collateral, self._clocks, self._metrics, self._turns = collateral, clocks, metrics, turns
        self._memory = Memory()
        self._glance, self._whole = Allowance(share=GLANCE, seconds=clocks.labour), Allowance(seconds=clocks.labour_aside)
        self._slow = Slowness()

    @asynccontextmanager
    async def judge(self, evidence: Evidence, criteria: Criteria, queue: Queue) -> AsyncIterator[Judgement]:
        """The judgement; the block is for what is made of it, which is as large as what it is made of.

        Raises `Untrusted` or `Malformed` where the quote, or what was shown with it, is not true; `Unavailable` where there is
        nothing to judge by, or no room in the queue.
        """
        verified = await self._verify(evidence.quote, criteria.gate)
        facts = {"policy": criteria.policy.hash, "tcb": str(verified.tcb.status), **_identity(verified.quote.body)}
        gate_result = acceptance.accept(verified, criteria.gate)
        if not isinstance(gate_result, AcceptedQuote):
            yield RefusedQuote(facts=facts, findings=gate_result, decision=None)
            return
        bound = binding.bind(gate_result, evidence.held_data)
        async with self._turn(evidence):
            if (answer := self._at_a_glance(bound, evidence.submitted, criteria.policy)) is not None:
                yield _judgement(facts, answer)
                return
        yield _judgement(facts, await queue(partial(self._in_turn, bound, evidence.submitted, criteria.policy)))

    def _turn(self, evidence: Evidence) -> AbstractAsyncContextManager[None]:
        """In which much data are told, and something is made of them: what is large does not wait in between."""
        data = (evidence.held_data.runtime, evidence.held_data.initial)
        much = sum(len(each.raw) for each in data if each is not None and each.is_json) > LIGHT_DATA
        return self._turns.turn(evidence.site) if much else nullcontext()

    async def _verify(self, quote: Quote, gate: Acceptance) -> VerifiedQuote:
        collateral = await self._collateral.of(quote, gate.staleness)
        began = self._clocks.seconds()
        try:
            return verify.verify(quote, collateral, self._clocks.judging(), self._memory)
        finally:
            self._metrics.observe_verification(self._clocks.seconds() - began)

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


def _identity(body: ReportBody | TdReport) -> dict[str, str]:
    """By what people know an enclave or a TD; numbers in decimal, hashes in hexadecimal."""
    if isinstance(body, TdReport):
        return {"mrtd": body.mr_td.hex()}
    return {
        "mrenclave": body.mr_enclave.hex(),
        "mrsigner": body.mr_signer.hex(),
        "product": str(body.isv_prod_id),
        "svn": str(body.isv_svn),
    }


def _decision(answer: Appraisal | Decision) -> Decision:
    return answer.decision if isinstance(answer, Appraisal) else answer


def _judgement(facts: dict[str, str], answer: Appraisal | Decision) -> Judgement:
    if isinstance(answer, Appraisal):
        return AllowedQuote(facts=facts, appraisal=answer)
    return RefusedQuote(facts=facts, findings=answer.findings, decision=answer)
