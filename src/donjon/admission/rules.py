"""What Donjon refuses or warns about, when, and in which words: the one table, by which pods are judged here and from which the
API server's policies are printed.

A rule's words are templates in `str.format`'s form. What stands in braces is filled in by whoever applies the rule.
"""

from dataclasses import replace
from functools import cache

from donjon.admission import predicates
from donjon.admission.codes import TOO_MUCH
from donjon.admission.limits import MAX_CONTAINERS
from donjon.admission.predicates import limit_pointer
from donjon.admission.rule import AdmissionRule, Scope
from donjon.findings import Severity
from donjon.findings.codes import MISNAMED
from donjon.kube.names import (
    AESMD,
    ANNOTATION_EPC,
    ANNOTATION_QUOTE_PROVIDER,
    ENCLAVE,
    EPC,
    EPC_UNITS,
    LABEL_CAPABLE,
    LABEL_PROVISION,
    PROVISION,
    PROVISION_ALLOWED,
)
from donjon.kube.patch import escape

RULES = (
    AdmissionRule(
        code="DJ101",
        severity=Severity.ERROR,
        subject="container {containers}",
        observation=f"asks for EPC and came without {ENCLAVE}",
        why="not wired, it would start without its device",
        do=f"check that {{wiring}}, or set {ENCLAVE}: 1",
        concerns=lambda container, _: predicates.lacks_device(container),
        variable="unwired",
    ),
    AdmissionRule(
        code="DJ102",
        severity=Severity.ERROR,
        subject="container {containers}",
        observation="still asks for EPC under a name that no node offers",
        why=f"not wired, nothing turned it into {EPC}",
        do=f"check that {{wiring}}, or ask for {EPC} in bytes",
        concerns=lambda container, _: predicates.has_foreign_name(container),
        variable="foreign",
    ),
    AdmissionRule(
        code=TOO_MUCH,
        severity=Severity.ERROR,
        subject="container {containers}",
        observation="asks for {counted}",
        why="no machine has that much, and added up in int64 it may be less than nothing",
        do=f"ask for what an enclave needs, such as {EPC}: 10Mi (where a name counts MiB: 10, not 10Mi)",
        concerns=lambda container, _: predicates.asks_too_much(container),
        variable="tooMuch",
    ),
    AdmissionRule(
        code="DJ104",
        severity=Severity.ERROR,
        subject="container {containers}",
        observation=f"asks for {PROVISION}",
        why="namespace {namespace} may not use the provisioning key, which tells one machine from all others",
        do=f"leave it out, or have an administrator allow it: "
        f"kubectl label namespace {{namespace}} {LABEL_PROVISION}={PROVISION_ALLOWED}",
        concerns=predicates.takes_provision,
        applies=predicates.may_not_provision,
        variable="provision",
        condition="variables.provision.size() > 0 && !variables.mayProvision",
        container_place=lambda container: limit_pointer(container, (PROVISION,)),
    ),
    AdmissionRule(
        code="DJ105",
        severity=Severity.ERROR,
        subject="pod",
        observation="spec.nodeName is {node}",
        why="set by hand it bypasses the scheduler, and the kubelet may start the pod without its device",
        do="leave it out and choose the node with spec.nodeSelector, such as kubernetes.io/hostname: {node}",
        applies=predicates.bypasses_scheduler,
        condition="variables.asks && variables.nodeName != '' && !variables.mirrors",
        place="/spec/nodeName",
    ),
    AdmissionRule(
        code="DJ106",
        severity=Severity.ERROR,
        subject="container {containers}",
        observation="asks for {quantities}",
        why="these are different amounts of EPC under different names",
        do=f"keep one of them, best {EPC} in bytes; what you did not write is a LimitRange's default (kubectl get limitrange)",
        concerns=lambda container, _: predicates.has_differing_amounts(container),
        variable="differing",
    ),
    AdmissionRule(
        code="DJ107",
        severity=Severity.WARNING,
        subject="container {containers}",
        observation="asks for {quantities}",
        why="these are bytes, less than one page of EPC (4096)",
        do="did you mean Mi?",
        concerns=lambda container, _: predicates.is_below_page(container),
        variable="belowPage",
    ),
    AdmissionRule(
        code="DJ122",
        severity=Severity.WARNING,
        subject="container {containers}",
        observation="asks for {quantities}",
        why="hardly a machine has that much, and a name that ends in MiB counts MiB: 64Mi of them are 64Ti",
        do=f"did you mean {EPC}: 64Mi, or 64 under such a name?",
        concerns=lambda container, _: predicates.is_unlikely(container),
        variable="unlikely",
    ),
    AdmissionRule(
        code="DJ108",
        severity=Severity.WARNING,
        subject="container {containers}",
        observation=f"asks for {ENCLAVE} and for no EPC",
        why="what its enclaves use is not accounted for, and slows others down",
        do=f"ask for what they need, such as {EPC}: 10Mi",
        concerns=lambda container, _: predicates.is_unaccounted(container),
        variable="unaccounted",
        container_place=lambda container: limit_pointer(container, (ENCLAVE,)),
    ),
    AdmissionRule(
        code="DJ109",
        severity=Severity.WARNING,
        subject="container {containers}",
        observation="asks for {quantities}",
        why="EPC is handed out in pages of 4096 bytes, and this is no multiple",
        do="round it up to Ki or Mi",
        concerns=lambda container, _: predicates.is_unaligned(container),
        variable="unaligned",
    ),
    AdmissionRule(
        code="DJ111",
        severity=Severity.ERROR,
        subject="pod",
        observation="is for Windows and asks for SGX",
        why="Kubernetes gives no SGX device to Windows containers",
        do="leave the operating system out, or the resources",
        applies=lambda rule_input: rule_input.intent.windows,
        condition="variables.asks && variables.windows",
    ),
    AdmissionRule(
        code="DJ112",
        severity=Severity.ERROR,
        subject="pod",
        observation=f"annotation {ANNOTATION_QUOTE_PROVIDER} says {{provider}}",
        why="no container has that name, so nobody would get what makes quotes",
        do=f"name the container that quotes by itself, or {AESMD} for the quoting service",
        applies=lambda rule_input: predicates.names_nobody(rule_input.intent),
        condition=f"""\
variables.wantsEpc && variables.provider != '' && variables.provider != '{AESMD}' &&
  !variables.all.exists(c, c.name == variables.provider)""",
        place=f"/metadata/annotations/{escape(ANNOTATION_QUOTE_PROVIDER)}",
    ),
    AdmissionRule(
        code="DJ113",
        severity=Severity.ERROR,
        subject="pod",
        observation="has {number} containers and asks for SGX",
        why=f"the rules are applied to no more than {MAX_CONTAINERS} of them",
        do="make several pods of it",
        scope=Scope.CROWDED,
        condition=f"variables.number > {MAX_CONTAINERS} && (variables.devices.size() == 0 || variables.asks)",
        place="/spec/containers",
    ),
    AdmissionRule(
        code="DJ114",
        severity=Severity.WARNING,
        subject="pod",
        observation="mounts {devices} from the host",
        why="that goes around the accounting of devices and EPC",
        do=f"take the volume out and ask for {EPC}, which brings the device",
        scope=Scope.ANY,
        applies=lambda rule_input: bool(rule_input.intent.devices),
        condition="variables.devices.size() > 0",
        place="/spec/volumes",
    ),
    AdmissionRule(
        code="DJ115",
        severity=Severity.WARNING,
        subject="container {containers}",
        observation="is privileged",
        why="every device of the host is open to it, whatever the pod asks for",
        do="leave securityContext.privileged out: the device needs no privilege",
        concerns=lambda container, _: container.privileged,
        variable="privileged",
        condition="variables.asks && variables.privileged.size() > 0",
        container_place=lambda container: f"{container.here}/securityContext/privileged",
    ),
    AdmissionRule(
        code="DJ116",
        severity=Severity.WARNING,
        subject="DaemonSet",
        observation="asks for EPC on every node",
        why="its pods stay Pending where there is no SGX",
        do=f'choose nodes that have it: spec.nodeSelector {LABEL_CAPABLE}: "true"',
        applies=predicates.goes_everywhere,
        condition="object.kind == 'DaemonSet' && variables.wantsEpc && variables.anywhere",
    ),
    AdmissionRule(
        code=MISNAMED,
        severity=Severity.WARNING,
        subject="container {containers}",
        observation="asks for {strays}, which is no name of SGX",
        why="Donjon offers nothing of that name, so the pod stays Pending for ever unless another plugin does",
        do=f"ask for {EPC} in bytes; donjon check FILE says which name was probably meant",
        scope=Scope.SMALL,
        concerns=lambda container, _: bool(container.strays),
        variable="strays",
        container_place=lambda container: f"{container.path}/limits/{escape(min(container.strays))}",
    ),
    AdmissionRule(
        code="DJ123",
        severity=Severity.WARNING,
        subject="pod",
        observation=f"has the annotation {ANNOTATION_EPC}, and no container asks for SGX",
        why="an annotation brings no device and no EPC: it tells Kata the pod's total",
        do=f"ask for {EPC} under resources.limits of the container that makes enclaves; Donjon writes the annotation",
        scope=Scope.SMALL,
        applies=lambda rule_input: predicates.is_annotated_alone(rule_input.intent),
        condition=f"{ANNOTATION_EPC!r} in variables.annotations && !variables.asks && !has(variables.pod.runtimeClassName)",
        place=f"/metadata/annotations/{escape(ANNOTATION_EPC)}",
    ),
    AdmissionRule(
        code="DJ117",
        severity=Severity.ERROR,
        subject="container {containers}",
        observation="asks for {repeated}",
        why="one device is all that a container can use, and every further one is taken from another pod of its node",
        do="ask for 1",
        concerns=lambda container, _: bool(predicates.repeated_devices(container)),
        variable="repeated",
        container_place=lambda container: limit_pointer(container, predicates.repeated_devices(container)),
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
    concerns=lambda container, _: container.wants_any(EPC_UNITS),
    applies=predicates.is_beyond_nodes,
)
"""The one rule that needs to know the nodes, which no policy of the API server does; {asked} and {largest} are its own holes."""

REFUSALS = tuple(rule for rule in RULES if rule.severity is Severity.ERROR)
WARNINGS = tuple(rule for rule in RULES if rule.severity is Severity.WARNING)

HOST_DEVICES = "DJ114"
"""The one rule that may hold for a pod that does not ask."""

PRIVILEGED = "DJ115"

AROUND_THE_ACCOUNT = frozenset({HOST_DEVICES, PRIVILEGED})
"""The warnings that whoever runs the cluster may turn into refusals: ways to the host's devices that nobody counts."""


@cache
def table(*, refuse_host_devices: bool) -> tuple[AdmissionRule, ...]:
    """All rules, with the severity that was chosen."""
    harder = AROUND_THE_ACCOUNT if refuse_host_devices else frozenset()
    return tuple(replace(rule, severity=Severity.ERROR) if rule.code in harder else rule for rule in RULES)
