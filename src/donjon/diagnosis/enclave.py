"""What pod and node say of why a program can make no enclave, or no quote, though it was placed and wired."""

from collections.abc import Iterator
from fractions import Fraction

from donjon.diagnosis.commands import node_of
from donjon.findings import Finding, Severity, codes
from donjon.fleet.placement import agent_codes, amount_text, lacks_aesm
from donjon.formats.json import JsonObject, at
from donjon.kube.names import EPC, EPC_PAGE
from donjon.kube.objects import containers_of
from donjon.kube.reserved import epc_by_container


def closed_device(pod: JsonObject, node: JsonObject | None) -> Iterator[Finding]:
    """Containers with EPC that do not run as root, where the agent says that the devices are closed to others."""
    if node is not None and codes.ROOT_ALONE in agent_codes(node):
        for container, user in _without_group(pod):
            yield Finding.warning(
                "DJ161",
                f"container {container}",
                f"runs as user {user}, and {node_of(pod)} opens its SGX devices to root and a group alone",
                "a program that may not open the device makes no enclave",
                f"give the pod securityContext.supplementalGroups with the group that kubectl describe node {node_of(pod)} "
                "names at DJ009, or have the administrator of the node do what donjon explain DJ009 says",
            )


def perhaps_closed_device(pod: JsonObject, node: JsonObject | None) -> Iterator[Finding]:
    """The same where the node cannot be seen: who runs as root, or has a group, is not in doubt."""
    if node is None:
        for container, user in _without_group(pod):
            yield Finding.warning(
                "DJ161",
                f"container {container}",
                f"runs as user {user} without supplementalGroups, and nobody can tell from here to whom {node_of(pod)} opens its "
                "SGX devices",
                "where they are open to root and a group alone, it may not open them, and makes no enclave",
                "where its log says Permission denied at /dev/sgx_enclave, ask whoever administers the cluster for the group of "
                "the device, and write that into securityContext.supplementalGroups of the pod",
            )


def _without_group(pod: JsonObject) -> Iterator[tuple[str, int]]:
    """The containers with EPC that run as another than root, with their users; which group is the right one nobody here knows."""
    if any(at(pod, "spec", "securityContext", field) for field in ("supplementalGroups", "fsGroup")):
        return
    asks = epc_by_container(pod)
    for container in containers_of(pod):
        name, user = str(at(container, "name")), _user(pod, container)
        if user and asks.get(name):
            yield name, user


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
