"""A pod to its verdict: the patch that wires it, the pod after it, and every rule that then holds.

The API server asks in the same order, the mutating policy first; so what is refused here is what is refused there.
"""

from dataclasses import dataclass

from donjon.admission.intent import read
from donjon.admission.mutation import patch
from donjon.admission.predicates import RuleInput
from donjon.admission.reasons import Reason, reasons
from donjon.admission.settings import AdmissionContext, Settings
from donjon.findings import Finding, is_refusal
from donjon.formats.json import JsonObject
from donjon.kube.patch import Operation, apply


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionVerdict:
    """What is to be said of a pod, and what is to be changed in it."""

    reasons: tuple[Reason, ...]
    patch: tuple[Operation, ...]
    admitted: JsonObject  # the pod after the patch

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All rules that hold, errors and warnings."""
        return tuple(reason.finding for reason in self.reasons)

    @property
    def is_refused(self) -> bool:
        """Whether the pod may not be made."""
        return is_refusal(self.findings)


def decide(pod: JsonObject, around: AdmissionContext, settings: Settings) -> AdmissionVerdict:
    """The verdict on a pod that is to be made; it never raises, whatever stands in the pod."""
    original = read(pod)
    operations = patch(original)
    admitted = apply(pod, operations) if operations else pod
    after = read(admitted) if operations else original
    rule_input = RuleInput(intent=after, original=original, context=around, settings=settings)
    return AdmissionVerdict(reasons=reasons(rule_input), patch=operations, admitted=admitted)
