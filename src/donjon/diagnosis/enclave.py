"""What pod and node say of why a program can make no enclave, or no quote, though it was placed and wired."""

from collections.abc import Iterator
from fractions import Fraction

from donjon.diagnosis.commands import node_of
from donjon.findings import Finding, Severity, codes
from donjon.fleet.placement import amount_text, lacks_aesm
from donjon.formats.json import JsonObject, at, objects
from donjon.kube.names import CONDITION_READY, EPC, EPC_PAGE
from donjon.kube.reserved import epc_by_container


def closed_device(pod: JsonObject, node: JsonObject | None) -> Iterator[Finding]:
    """Containers with EPC that do not run as root, where the agent says that the devices are closed to others."""
    conditions = (each for each in objects(at(node, "status", "conditions")) if at(each, "type") == CONDITION_READY)
    if not any(codes.ROOT_ALONE in codes.codes_in(str(at(each, "message") or "")) for each in conditions):
        return
    if at(pod, "spec", "securityContext", "supplementalGroups"):
        return  # Which of them is the right one, nobody here knows.
    asks = epc_by_container(pod)
    for container in (each for field in ("initContainers", "containers") for each in objects(at(pod, "spec", field))):
        user = _user(pod, container)
        if user and asks.get(str(at(container, "name"))):
            yield Finding(
                code="DJ161",
                severity=Severity.WARNING,
                subject=f"container {at(container, 'name')}",
                observation=f"runs as user {user}, and {node_of(pod)} opens its SGX devices to root and a group alone",
                why="a program that may not open the device makes no enclave",
                do=f"give the pod securityContext.supplementalGroups with the group that kubectl describe node {node_of(pod)} "
                "names at DJ009, or have the administrator of the node do what donjon explain DJ009 says",
            )


def silent_aesm(pod: JsonObject, node: JsonObject | None) -> Iterator[Finding]:
    """Whether AESM went away from under a pod that needs one."""
    if node is not None and lacks_aesm(pod, node):
        yield Finding(
            code="DJ136",
            severity=Severity.WARNING,
            subject=f"node {node_of(pod)}",
            observation="no AESM answers there any more, and the pod needs one",
            why="it gets its quotes from AESM, so attestation fails in it",
            do=f"have the administrator of {node_of(pod)} start AESM again; its socket is /run/aesmd/aesm.socket",
        )


def small_epc(pod: JsonObject) -> Iterator[Finding]:
    """Containers whose EPC is less than a page, which no enclave is: mostly MiB meant and bytes written."""
    for name, amount in epc_by_container(pod).items():
        if 0 < amount < EPC_PAGE:
            yield Finding(
                code="DJ107",
                severity=Severity.WARNING,
                subject=f"container {name}",
                observation=f"asks for {amount_text(EPC, Fraction(amount))} of EPC, less than a page",
                why=f"{EPC} counts bytes, and no enclave is so small",
                do=f"did you mean {int(amount)}Mi? write it in whatever makes the pod, and apply it again",
            )


def _user(pod: JsonObject, container: JsonObject) -> int:
    """The number of the user that it runs as; 0 for root, and where the image decides."""
    own, of_pod = at(container, "securityContext", "runAsUser"), at(pod, "spec", "securityContext", "runAsUser")
    user = of_pod if own is None else own
    return user if isinstance(user, int) else 0
