"""What Donjon refuses or warns about, and in which words: a table, from which the API server's policies are printed.

A rule's words are templates in `str.format`'s form. What stands in braces is filled in by whoever applies the rule.
"""

from dataclasses import dataclass

from donjon.findings import Severity
from donjon.kube.names import ENCLAVE, EPC, LABEL_PROVISION, PROVISION, PROVISION_ALLOWED

SHOWN = 240  # characters of a list that someone else can make long; a message of the API server ends at 5 KiB


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One reason to refuse or to warn: the words of a `Finding`, still with holes.

    The holes: {containers} those concerned, {quantities} what they ask for, {namespace}, {node}, and {policy}, the name of the
    policy that should have wired the pod.
    """

    code: str
    severity: Severity
    subject: str
    found: str
    why: str
    do: str

    @property
    def sentence(self) -> str:
        """The rule in one line, in the shape of `Finding.sentence`."""
        return f"{self.subject}: {self.found}: {self.why} [{self.code}]; {self.do}"


RULES = (
    Rule(
        code="DJ101",
        severity=Severity.ERROR,
        subject="container {containers}",
        found=f"asks for EPC and came without {ENCLAVE}",
        why="not wired, it would start without its device",
        do=f"check that the policy is there (kubectl get mutatingadmissionpolicy {{policy}}), or set {ENCLAVE}: 1",
    ),
    Rule(
        code="DJ102",
        severity=Severity.ERROR,
        subject="container {containers}",
        found="still asks for EPC under a name that no node offers",
        why=f"not wired, nothing turned it into {EPC}",
        do=f"check that the policy is there (kubectl get mutatingadmissionpolicy {{policy}}), or ask for {EPC} in bytes",
    ),
    Rule(
        code="DJ103",
        severity=Severity.ERROR,
        subject="container {containers}",
        found="asks for {quantities}",
        why="in bytes more than an int64 holds, so Kubernetes would count another amount",
        do=f"ask for what an enclave needs, such as {EPC}: 10Mi",
    ),
    Rule(
        code="DJ104",
        severity=Severity.ERROR,
        subject="container {containers}",
        found=f"asks for {PROVISION}",
        why="namespace {namespace} may not use the provisioning key, which tells one machine from all others",
        do=f"leave it out, or have an administrator allow it: "
        f"kubectl label namespace {{namespace}} {LABEL_PROVISION}={PROVISION_ALLOWED}",
    ),
    Rule(
        code="DJ105",
        severity=Severity.ERROR,
        subject="pod",
        found="spec.nodeName is {node}",
        why="set by hand it bypasses the scheduler, and the kubelet may start the pod without its device",
        do="leave it out and choose the node with spec.nodeSelector, such as kubernetes.io/hostname: {node}",
    ),
    Rule(
        code="DJ106",
        severity=Severity.ERROR,
        subject="container {containers}",
        found="asks for {quantities}",
        why="these are different amounts of EPC under different names",
        do=f"keep one of them, best {EPC} in bytes",
    ),
    Rule(
        code="DJ107",
        severity=Severity.WARNING,
        subject="container {containers}",
        found="asks for {quantities}",
        why="these are bytes, less than one page of EPC (4096)",
        do="did you mean Mi?",
    ),
    Rule(
        code="DJ108",
        severity=Severity.WARNING,
        subject="container {containers}",
        found=f"asks for {ENCLAVE} and for no EPC",
        why="what its enclaves use is not accounted for, and slows others down",
        do=f"ask for what they need, such as {EPC}: 10Mi",
    ),
    Rule(
        code="DJ109",
        severity=Severity.WARNING,
        subject="container {containers}",
        found="asks for {quantities}",
        why="EPC is handed out in pages of 4096 bytes, and this is no multiple",
        do="round it up to Ki or Mi",
    ),
)

REFUSALS = tuple(rule for rule in RULES if rule.severity is Severity.ERROR)
WARNINGS = tuple(rule for rule in RULES if rule.severity is Severity.WARNING)

AGENT_RULE = "DJ110"
"""The code under which the node agent's own policy refuses."""

CORE_RULE = "DJ120"
"""The code under which `donjon check` says what Kubernetes itself refuses."""
