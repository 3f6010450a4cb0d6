"""What pod and node say of why a program can make no enclave, or no quote, though it was placed and wired."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from donjon.diagnosis.commands import change, few, node_of
from donjon.findings import Finding, Severity, codes
from donjon.fleet.placement import agent_codes, amount_text, lacks_aesm
from donjon.formats.json import JsonObject, at
from donjon.kube.names import CONDITION_READY, EPC, EPC_PAGE, PROVISION
from donjon.kube.objects import condition_of, containers_of
from donjon.kube.reserved import epc_by_container

_DEVICE = re.compile(r"(?P<path>/dev/[\w/]{1,64}): mode (?P<mode>[0-7]{4}), owner (?P<user>\d{1,10}), group (?P<group>\d{1,10})")
"""How `node.readiness` words DJ009."""
_GROUP_MAY_USE = 0o060


@dataclass(frozen=True, slots=True, kw_only=True)
class _Device:
    """A device as the agent saw it on the host: in a container its owner is the runtime's to choose."""

    path: str
    mode: int
    user: int
    group: int

    @property
    def opens_to_group(self) -> bool:
        """Whether its group may read and write it."""
        return self.mode & _GROUP_MAY_USE == _GROUP_MAY_USE

    def opens_to(self, user: int, groups: Collection[int]) -> bool:
        """Whether a process of that user and these groups may read and write it; of a device that is not everybody's."""
        return user == self.user or (self.group in groups and self.opens_to_group)

    def owners(self) -> str:
        """Who may read and write it."""
        return f"user {self.user} and group {self.group}" if self.opens_to_group else f"user {self.user}"


def closed_device(pod: JsonObject, node: JsonObject | None) -> Iterator[Finding]:
    """Containers with EPC whose user and groups the node's devices leave out.

    It is a hint: no agent sees whether the container runtime gives a device to the user of its container.
    """
    devices = _devices(node) if node is not None and codes.ROOT_ALONE in agent_codes(node) else ()
    for container, user in _ordinary_users(pod):
        groups = _groups(pod, container)
        closed = [each for each in devices if _concerns(each, container) and not each.opens_to(user, groups)]
        if closed:
            owners = "; ".join(f"{each.path} belongs to {each.owners()}" for each in closed)
            own = f"its group{'s are' if len(groups) > 1 else ' is'} {_numbers(groups)}"
            yield Finding.info(
                "DJ161",
                f"container {at(container, 'name')}",
                f"runs as user {user}, {own}; on {node_of(pod)} {owners}",
                "where the container runtime does not hand devices over, which no agent sees, it may not open that, and makes no "
                "enclave",
                f"where its log says Permission denied at {closed[0].path}, {_opening(closed)}have the administrator of "
                f"{node_of(pod)} do what donjon explain DJ009 says",
            )


def _opening(closed: Sequence[_Device]) -> str:
    """What the pod itself can do; never root's group, which opens more in a container than its device."""
    if not all(each.group and each.opens_to_group for each in closed):
        return ""
    return f"give the pod securityContext.supplementalGroups: [{_numbers({each.group for each in closed})}], or "


def _devices(node: JsonObject) -> tuple[_Device, ...]:
    """The devices of which the agent says that not everybody may open them."""
    message = str(condition_of(node, CONDITION_READY).get("message") or "")
    return tuple(
        _Device(path=match["path"], mode=int(match["mode"], 8), user=int(match["user"]), group=int(match["group"]))
        for match in _DEVICE.finditer(message)
    )


def _concerns(device: _Device, container: JsonObject) -> bool:
    """Whether the container is given that device: the provisioning one only who asks for it."""
    return "provision" not in device.path or at(container, "resources", "limits", PROVISION) is not None


def perhaps_closed_device(pod: JsonObject, node: JsonObject | None) -> Iterator[Finding]:
    """The same where the node cannot be seen: who runs as root, or has a group, is not in doubt."""
    if node is None and not any(at(pod, "spec", "securityContext", field) for field in ("supplementalGroups", "fsGroup")):
        for container, user in _ordinary_users(pod):
            yield Finding.info(
                "DJ161",
                f"container {at(container, 'name')}",
                f"runs as user {user} without supplementalGroups, and nobody can tell from here to whom {node_of(pod)} opens its "
                "SGX devices",
                "where they are open to root and a group alone, it may not open them, and makes no enclave",
                "where its log says Permission denied at /dev/sgx_enclave, ask whoever administers the cluster for the group of "
                "the device, and write that into securityContext.supplementalGroups of the pod",
            )


def _ordinary_users(pod: JsonObject) -> Iterator[tuple[JsonObject, int]]:
    """The containers with EPC that run as another than root, with their users."""
    asks = epc_by_container(pod)
    for container in containers_of(pod):
        user = _number(pod, container, "runAsUser")
        if user and asks.get(str(at(container, "name"))):
            yield container, user


def _groups(pod: JsonObject, container: JsonObject) -> frozenset[int]:
    """The groups that its pod gives it: root's where it names none for the process, as Kubernetes has it."""
    of_pod, more = at(pod, "spec", "securityContext", "fsGroup"), at(pod, "spec", "securityContext", "supplementalGroups")
    besides = (of_pod, *(more if isinstance(more, list) else ()))
    return frozenset({_number(pod, container, "runAsGroup"), *(each for each in besides if isinstance(each, int))})


def _numbers(groups: Collection[int]) -> str:
    return few([str(each) for each in sorted(groups)])


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
                do=f"did you mean {int(amount)}Mi? {change(pod)}",
            )


def _number(pod: JsonObject, container: JsonObject, field: str) -> int:
    """The number in the container's security context, or else in its pod's; 0, root's, where the image decides."""
    own, of_pod = at(container, "securityContext", field), at(pod, "spec", "securityContext", field)
    number = of_pod if own is None else own
    return number if isinstance(number, int) else 0
