"""Whether a node can run enclaves: a verdict with every reason at once, and what to do about each."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from donjon.findings import Finding, Severity, codes, is_refusal
from donjon.node.causes import CONSEQUENCES, cause, no_sgx
from donjon.node.devices import DriverKind
from donjon.node.facts import EDMM_KERNEL, NodeFacts
from donjon.node.readings import AesmState, DeviceNode, FileKind
from donjon.node.runtimes import OWNERSHIP

_ANYONE_MAY_USE = 0o006
_GROUP_MAY_USE = 0o060


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """The verdict on a node; `findings` are all reasons, errors first."""

    findings: tuple[Finding, ...]

    @property
    def ready(self) -> bool:
        """Whether no finding is an error."""
        return not is_refusal(self.findings)


def assess(facts: NodeFacts) -> Readiness:
    """The verdict: one finding where the node has nothing to do with SGX, otherwise the cause first, then what the checks say."""
    if not facts.has_sgx:
        return Readiness(findings=(no_sgx(facts),))
    why = cause(facts)
    reasons = [finding for check in CHECKS for finding in check(facts)]
    findings = reasons if why is None else [why, *(each for each in reasons if each.code not in CONSEQUENCES)]
    order = list(Severity)
    return Readiness(findings=tuple(sorted(findings, key=lambda finding: order.index(finding.severity))))


def _unknown_cpu(facts: NodeFacts) -> Iterator[Finding]:
    if facts.cpu.value is None:
        yield Finding.warning(
            "DJ015",
            "cpu",
            f"CPUID is unknown ({facts.cpu.source}: {facts.cpu.problem})",
            "SGX version, EPC sections and launch control cannot be told",
            "run donjon doctor on the node itself, on x86-64",
        )


def _epc_differs(facts: NodeFacts) -> Iterator[Finding]:
    if facts.numa_epc.value is None or facts.sections.value is None:
        return
    kernel, processor = sum(facts.numa_epc.value.values()), sum(section.size for section in facts.sections.value)
    if kernel == processor:
        return
    why = (
        "the kernel left part of the EPC unused; Donjon offers what the kernel manages"
        if kernel < processor
        else "the kernel claims more than the processor has, which cannot be; Donjon offers the lesser figure"
    )
    yield Finding.warning(
        "DJ007",
        "epc",
        f"{kernel} bytes by the kernel ({facts.numa_epc.source}), {processor} by the processor ({facts.sections.source})",
        why,
        "see dmesg | grep -i 'sgx: EPC section', and the firmware's memory and NUMA settings",
    )


def _epc_half_known(facts: NodeFacts) -> Iterator[Finding]:
    if facts.numa_epc.value is None and codes.SYSFS_EPC in codes.codes_in(facts.numa_epc.problem):
        yield Finding.warning(
            "DJ016",
            "epc",
            facts.numa_epc.problem,
            "the kernel's figure cannot be believed, so the processor's is used alone",
            "report the kernel's release with donjon doctor --bundle",
        )


def _provision(facts: NodeFacts) -> Iterator[Finding]:
    driver = facts.driver.value
    if facts.enclave is not None and facts.provision is None and driver is not None and driver.kind is not DriverKind.ISGX:
        yield Finding.warning(
            "DJ008",
            "provision device",
            "neither /dev/sgx_provision nor /dev/sgx/provision is a character device",
            "enclaves run, but no quoting enclave can be given the provisioning key: no attestation in the container itself",
            "see why the driver made only the enclave device (ls -l /dev/sgx*), then load it again",
        )


def _noexec(facts: NodeFacts) -> Iterator[Finding]:
    if facts.dev_noexec.value:
        yield Finding.warning(
            "DJ010",
            "/dev",
            f"mounted noexec ({facts.dev_noexec.source})",
            "processes on the host (AESM among them) and containers that mount the host's /dev cannot map an enclave; "
            "containers with their own /dev can",
            "mount -o remount,exec /dev, for good through the unit remount-dev-exec.service of Intel's packages",
        )


def _aesm(facts: NodeFacts) -> Iterator[Finding]:
    state = facts.aesm.value
    if state in {AesmState.READY, None}:
        return
    broken = state in {AesmState.NO_SOCKET, AesmState.SILENT}
    yield Finding(
        code="DJ011",
        severity=Severity.WARNING if broken else Severity.INFO,
        subject="/run/aesmd/aesm.socket",
        observation=str(state),
        why="quotes out of process (SGX_AESM_ADDR) cannot be had on this node; enclaves run, and quotes in process work",
        do="start aesmd on the node or as a DaemonSet, if your pods quote through it",
    )


def _standin(facts: NodeFacts) -> Iterator[Finding]:
    if facts.cpu_standin:
        yield Finding.info(
            "DJ019",
            "cpu",
            f"a file stands in for the processor ({facts.cpu.source})",
            "this is simulated hardware: no enclave here is protected by anything",
            "on a real node, remove that file",
        )


def _disagreement(facts: NodeFacts) -> Iterator[Finding]:
    cpu, flags = facts.cpu.value, facts.cpu_flags.value
    if cpu is not None and flags is not None and cpu.sgx1 and "sgx" not in flags:
        yield Finding.warning(
            "DJ017",
            "kernel",
            f"the processor has SGX, the kernel does not show the flag sgx ({facts.cpu_flags.source})",
            "the kernel does not use SGX itself: another driver made the device",
            "nothing with an out-of-tree driver; otherwise dmesg | grep -i sgx says why",
        )


def _launch_control(facts: NodeFacts) -> Iterator[Finding]:
    cpu = facts.cpu.value
    if cpu is not None and cpu.sgx1 and not cpu.launch_control:
        yield Finding.warning(
            "DJ003",
            "cpu",
            f"no launch control (SGX_LC, {facts.cpu.source}: leaf 7 ECX[30] is 0)",
            "enclaves run by the driver that is loaded; the in-tree and DCAP drivers, and DCAP attestation, need it",
            "nothing, if you need no DCAP attestation; otherwise use a processor with Flexible Launch Control",
        )


def _obstacles(facts: NodeFacts) -> Iterator[Finding]:
    """What stands at a device's path and is none, where no path has a device."""
    if facts.enclave is not None:
        return
    for node in facts.devices:
        if node.is_device or node.kind is FileKind.ABSENT or (node.kind is FileKind.FOLDER and node.path == "/dev/sgx"):
            continue
        leads = f" to {node.target or 'nowhere'}, which is {_with_article(node.behind)}" if node.kind is FileKind.LINK else ""
        yield Finding.error(
            "DJ005",
            node.path,
            f"{_with_article(node.kind)}{leads}, expected a character device",
            "a container cannot be given it",
            f"remove {node.path}, so that the driver can make its own; a container started with a bind mount may have made it",
        )


def _with_article(kind: FileKind) -> str:
    return kind if kind in {FileKind.ABSENT, FileKind.UNREADABLE, FileKind.OTHER} else f"a {kind}"


def _epc(facts: NodeFacts) -> Iterator[Finding]:
    if facts.epc.value:
        return
    observation = f"unknown ({facts.epc.problem})" if facts.epc.value is None else f"0 bytes ({facts.epc.source})"
    mend = "give the VM EPC in the hypervisor" if facts.virtual else "reserve EPC (PRMRR) in the firmware's setup"
    yield Finding.error(
        "DJ006",
        "epc",
        observation,
        "there is no enclave memory to offer",
        f"{mend}; then look again",
    )


def _legacy_driver(facts: NodeFacts) -> Iterator[Finding]:
    if facts.driver.value is None or facts.driver.value.kind is not DriverKind.ISGX:
        return
    cpu = facts.cpu.value
    flexible = cpu is None or cpu.launch_control
    yield Finding.warning(
        "DJ013",
        "driver",
        "the legacy driver isgx",
        "it knows EPID only: no DCAP quotes, and Intel has ended EPID",
        "move to Linux 5.11 or later, whose own driver serves DCAP"
        if flexible
        else "move to a processor with launch control and Linux 5.11 or later; this processor has no other driver",
    )


def _closed_to_users(facts: NodeFacts) -> Iterator[Finding]:
    """Both devices: a pod that asks for both needs both groups."""
    closed = [node for node in (facts.enclave, facts.provision) if node is not None and not _is_open(node)]
    ownership = facts.device_ownership
    if not closed or ownership.value:
        return
    unseen = f"whether they can depends on the runtime's configuration, which was not seen ({ownership.problem})"
    apart = "" if facts.enclave in closed else "; those that do not ask for the provisioning device are not concerned"
    yield Finding(
        code="DJ009",
        severity=Severity.INFO if ownership.value is None or apart else Severity.WARNING,
        subject=", ".join(node.path for node in closed),
        observation="; ".join(f"{node.path}: mode {node.mode:04o}, owner {node.uid}, group {node.gid}" for node in closed),
        why=(unseen if ownership.value is None else "containers that do not run as root cannot open it") + apart,
        do=f"for containers that do not run as root: set {OWNERSHIP} = true in the configuration of containerd or CRI-O, "
        f"{_groups(closed)}",
    )


def _is_open(node: DeviceNode) -> bool:
    return node.mode & _ANYONE_MAY_USE == _ANYONE_MAY_USE


def _groups(closed: Sequence[DeviceNode]) -> str:
    """What groups can do for these devices."""
    by_group = [node for node in closed if node.mode & _GROUP_MAY_USE == _GROUP_MAY_USE and node.gid != 0]
    groups = ", ".join(str(gid) for gid in dict.fromkeys(node.gid for node in by_group))
    others = ", ".join(node.path for node in closed if node not in by_group)
    pod = f"or give the pod securityContext.supplementalGroups: [{groups}]"
    udev = f"or let udev give {others} a group (systemd's rule: GROUP sgx, MODE 0660) and the pod that supplemental group"
    return "; ".join([pod] * bool(by_group) + [udev] * bool(others))


def _edmm(facts: NodeFacts) -> Iterator[Finding]:
    if facts.edmm.value is not False:
        return
    cpu, release = facts.cpu.value, facts.kernel_version
    lacks = [("the processor has SGX1 only", "a processor with SGX2")] if cpu is not None and not cpu.sgx2 else []
    if release is not None and release < EDMM_KERNEL:
        lacks.append((f"kernel {facts.kernel.value}", "Linux 6.0 or later"))
    yield Finding.info(
        "DJ012",
        "edmm",
        f"not available: {', '.join(lack for lack, _ in lacks)}",
        "enclaves commit all their memory at start and cannot grow",
        f"for EDMM use {' and '.join(mend for _, mend in lacks)}",
    )


Check = Callable[[NodeFacts], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (
    _launch_control,
    _unknown_cpu,
    _obstacles,
    _epc,
    _epc_differs,
    _epc_half_known,
    _provision,
    _legacy_driver,
    _closed_to_users,
    _noexec,
    _disagreement,
    _aesm,
    _edmm,
    _standin,
)
