"""What Donjon refuses or warns about, and in which words: a table, from which the API server's policies are printed.

A rule's words are templates in `str.format`'s form. What stands in braces is filled in by whoever applies the rule.
"""

from dataclasses import dataclass, replace

from donjon.findings import Severity
from donjon.kube.names import (
    AESMD,
    ANNOTATION_QUOTE_PROVIDER,
    ENCLAVE,
    EPC,
    LABEL_CAPABLE,
    LABEL_PROVISION,
    PROVISION,
    PROVISION_ALLOWED,
)

MAX_CONTAINERS = 100  # of a pod that asks, init containers counted; the API server's budget for CEL holds several times that
MAX_DEVICES = 1 << 20  # of one container; a node offers some hundred
UNSHOWN = "\n\r\t\x1b"  # in what someone else wrote: the API server drops a message with a line break and shows the expression
MAX_LIST_LENGTH = 170  # characters of a list that someone else can make long; a message of the API server ends at 5 KiB


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionRule:
    """One reason to refuse or to warn: the words of a `Finding`, still with holes.

    The holes: {containers} those concerned, {quantities} their EPC, {counted} what is too much of it, {repeated} their devices of
    which they ask for several, {namespace}, {node}, {provider} the quote provider, {number} of containers, {devices} mounted from
    the host, and {wiring}, what should have wired the pod and how to see it.
    """

    code: str
    severity: Severity
    subject: str
    observation: str
    why: str
    do: str

    @property
    def sentence(self) -> str:
        """The rule in one line, in the shape of `Finding.sentence`."""
        return f"{self.subject}: {self.observation}: {self.why} [{self.code}]; {self.do}"


RULES = (
    AdmissionRule(
        code="DJ101",
        severity=Severity.ERROR,
        subject="container {containers}",
        observation=f"asks for EPC and came without {ENCLAVE}",
        why="not wired, it would start without its device",
        do=f"check that {{wiring}}, or set {ENCLAVE}: 1",
    ),
    AdmissionRule(
        code="DJ102",
        severity=Severity.ERROR,
        subject="container {containers}",
        observation="still asks for EPC under a name that no node offers",
        why=f"not wired, nothing turned it into {EPC}",
        do=f"check that {{wiring}}, or ask for {EPC} in bytes",
    ),
    AdmissionRule(
        code="DJ103",
        severity=Severity.ERROR,
        subject="container {containers}",
        observation="asks for {counted}",
        why="no machine has that much, and Kubernetes adds up in int64, so it could come out as less than nothing",
        do=f"ask for what an enclave needs, such as {EPC}: 10Mi",
    ),
    AdmissionRule(
        code="DJ104",
        severity=Severity.ERROR,
        subject="container {containers}",
        observation=f"asks for {PROVISION}",
        why="namespace {namespace} may not use the provisioning key, which tells one machine from all others",
        do=f"leave it out, or have an administrator allow it: "
        f"kubectl label namespace {{namespace}} {LABEL_PROVISION}={PROVISION_ALLOWED}",
    ),
    AdmissionRule(
        code="DJ105",
        severity=Severity.ERROR,
        subject="pod",
        observation="spec.nodeName is {node}",
        why="set by hand it bypasses the scheduler, and the kubelet may start the pod without its device",
        do="leave it out and choose the node with spec.nodeSelector, such as kubernetes.io/hostname: {node}",
    ),
    AdmissionRule(
        code="DJ106",
        severity=Severity.ERROR,
        subject="container {containers}",
        observation="asks for {quantities}",
        why="these are different amounts of EPC under different names",
        do=f"keep one of them, best {EPC} in bytes; what you did not write is a LimitRange's default (kubectl get limitrange)",
    ),
    AdmissionRule(
        code="DJ107",
        severity=Severity.WARNING,
        subject="container {containers}",
        observation="asks for {quantities}",
        why="these are bytes, less than one page of EPC (4096)",
        do="did you mean Mi?",
    ),
    AdmissionRule(
        code="DJ108",
        severity=Severity.WARNING,
        subject="container {containers}",
        observation=f"asks for {ENCLAVE} and for no EPC",
        why="what its enclaves use is not accounted for, and slows others down",
        do=f"ask for what they need, such as {EPC}: 10Mi",
    ),
    AdmissionRule(
        code="DJ109",
        severity=Severity.WARNING,
        subject="container {containers}",
        observation="asks for {quantities}",
        why="EPC is handed out in pages of 4096 bytes, and this is no multiple",
        do="round it up to Ki or Mi",
    ),
    AdmissionRule(
        code="DJ111",
        severity=Severity.ERROR,
        subject="pod",
        observation="is for Windows and asks for SGX",
        why="Kubernetes gives no SGX device to Windows containers",
        do="leave the operating system out, or the resources",
    ),
    AdmissionRule(
        code="DJ112",
        severity=Severity.ERROR,
        subject="pod",
        observation=f"annotation {ANNOTATION_QUOTE_PROVIDER} says {{provider}}",
        why="no container has that name, so nobody would get what makes quotes",
        do=f"name the container that quotes by itself, or {AESMD} for the quoting service",
    ),
    AdmissionRule(
        code="DJ113",
        severity=Severity.ERROR,
        subject="pod",
        observation="has {number} containers and asks for SGX",
        why=f"the rules are applied to no more than {MAX_CONTAINERS} of them",
        do="make several pods of it",
    ),
    AdmissionRule(
        code="DJ114",
        severity=Severity.WARNING,
        subject="pod",
        observation="mounts {devices} from the host",
        why="that goes around the accounting of devices and EPC",
        do=f"take the volume out and ask for {EPC}, which brings the device",
    ),
    AdmissionRule(
        code="DJ115",
        severity=Severity.WARNING,
        subject="container {containers}",
        observation="is privileged",
        why="every device of the host is open to it, whatever the pod asks for",
        do="leave securityContext.privileged out: the device needs no privilege",
    ),
    AdmissionRule(
        code="DJ116",
        severity=Severity.WARNING,
        subject="DaemonSet",
        observation="asks for EPC on every node",
        why="its pods stay Pending where there is no SGX",
        do=f'choose nodes that have it: spec.nodeSelector {LABEL_CAPABLE}: "true"',
    ),
    AdmissionRule(
        code="DJ117",
        severity=Severity.ERROR,
        subject="container {containers}",
        observation="asks for {repeated}",
        why="one device is all that a container can use, and every further one is taken from another pod of its node",
        do="ask for 1",
    ),
)

BY_HAND = AdmissionRule(
    code="DJ101",
    severity=Severity.ERROR,
    subject="container {containers}",
    observation=f"asks for EPC and says {ENCLAVE}: 0",
    why="it would start without its device",
    do=f"take {ENCLAVE} out: EPC brings the device",
)
"""DJ101 in other words, for pods of which nothing is missing but what they themselves say that they do not want."""

BEYOND_NODES = AdmissionRule(
    code="DJ132",
    severity=Severity.WARNING,
    subject="pod",
    observation="asks for {asked} of EPC, and no node has that much: {largest}",
    why="it would stay Pending for ever, whatever else ends",
    do="ask for less, or add a node with more EPC",
)
"""The one rule that needs to know the nodes, which no policy of the API server does; {asked} and {largest} are its own holes."""

REFUSALS = tuple(rule for rule in RULES if rule.severity is Severity.ERROR)
WARNINGS = tuple(rule for rule in RULES if rule.severity is Severity.WARNING)

HOST_DEVICES = "DJ114"
"""The one rule that may hold for a pod that does not ask."""

PRIVILEGED = "DJ115"

AROUND_THE_ACCOUNT = frozenset({HOST_DEVICES, PRIVILEGED})
"""The warnings that whoever runs the cluster may turn into refusals: ways to the host's devices that nobody counts."""


def table(*, refuse_host_devices: bool) -> tuple[AdmissionRule, ...]:
    """All rules, with the severity that was chosen."""
    harder = AROUND_THE_ACCOUNT if refuse_host_devices else frozenset()
    return tuple(replace(rule, severity=Severity.ERROR) if rule.code in harder else rule for rule in RULES)


AGENT_RULE = "DJ110"
"""The code under which the node agent's own policy refuses."""

CLEANUP_RULE, EVENT_RULE = "DJ118", "DJ119"
"""The codes under which the policies about the cleanup's account and the agent's Events refuse."""

DEVICE_CLASS_RULE = "DJ121"
"""The code under which device classes that claim our names are refused."""

CORE_RULE = "DJ120"
"""The code under which `donjon check` says what Kubernetes itself refuses."""

MISPLACED, MISNAMED, WITHOUT_NUMBER = "DJ150", "DJ151", "DJ152"
"""The codes under which `donjon check` says what no policy sees: SGX asked for in vain."""

UNLABELLED, ELSEWHERE = "DJ154", "DJ155"
"""Those of a node chosen by a label that nobody of ours writes, and of a name that means nothing where it stands."""

UNCOUNTED, GIVEN_TO_ALL, BOUNDING = "DJ156", "DJ157", "DJ158"
"""Those of objects that bound or offer EPC: a quota's key that counts nothing, a LimitRange's defaults, and all others."""

IN_A_SANDBOX = "DJ159"
"""That of a socket of the host in a virtual machine."""

TWICE = "DJ160"
"""That of a key that stands twice in its object."""
