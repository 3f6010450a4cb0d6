"""Whether a node can run enclaves: a verdict with every reason at once, and what to do about each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from donjon.findings import Finding, Severity, is_refusal
from donjon.node.devices import DriverKind
from donjon.node.facts import NodeFacts
from donjon.node.readings import AesmState, FileKind

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
    """The verdict: one finding where the node has nothing to do with SGX, otherwise what each check has to say."""
    if not facts.has_sgx:
        return Readiness(findings=(_no_sgx(facts),))
    findings = [finding for check in CHECKS for finding in check(facts)]
    order = list(Severity)
    return Readiness(findings=tuple(sorted(findings, key=lambda finding: order.index(finding.severity))))


def _no_sgx(facts: NodeFacts) -> Finding:
    return Finding(
        code="DJ001",
        severity=Severity.ERROR,
        subject="cpu",
        found=f"no SGX ({facts.cpu.source}: leaf 7 EBX[2] is 0)",
        why="this machine cannot run enclaves",
        do="nothing, if this node is not meant for enclaves; otherwise choose a processor or VM size with SGX and, in a VM, "
        "have the hypervisor pass it through",
    )


def _firmware(facts: NodeFacts) -> Iterator[Finding]:
    cpu = facts.cpu.value
    if cpu is not None and cpu.sgx and not cpu.sgx1:
        yield Finding(
            code="DJ002",
            severity=Severity.ERROR,
            subject="cpu",
            found=f"SGX is there but off ({facts.cpu.source}: leaf 12H says no SGX1)",
            why="no enclave can be made",
            do="enable SGX (not 'software controlled') in the firmware's setup and power-cycle the machine",
        )


def _launch_control(facts: NodeFacts) -> Iterator[Finding]:
    cpu = facts.cpu.value
    if cpu is not None and cpu.sgx1 and not cpu.launch_control:
        yield Finding(
            code="DJ003",
            severity=Severity.WARNING,
            subject="cpu",
            found=f"no launch control (SGX_LC, {facts.cpu.source}: leaf 7 ECX[30] is 0)",
            why="the in-tree and DCAP drivers refuse this processor, and DCAP attestation needs it",
            do="enable 'Flexible Launch Control' or 'Launch Control: unlocked' in the firmware, where it is offered",
        )


def _cpu_unknown(facts: NodeFacts) -> Iterator[Finding]:
    if facts.cpu.value is None:
        yield Finding(
            code="DJ015",
            severity=Severity.WARNING,
            subject="cpu",
            found=f"CPUID is unknown ({facts.cpu.source}: {facts.cpu.problem})",
            why="SGX version, EPC sections and launch control cannot be told",
            do="run donjon doctor on the node itself, on x86-64",
        )


def _driver(facts: NodeFacts) -> Iterator[Finding]:
    if facts.enclave is not None:
        return
    for node in facts.devices:
        if node.kind in {FileKind.FILE, FileKind.BLOCK, FileKind.OTHER, FileKind.UNREADABLE, FileKind.SOCKET} or (
            node.kind is FileKind.FOLDER and node.path != "/dev/sgx"
        ):
            yield Finding(
                code="DJ005",
                severity=Severity.ERROR,
                subject=node.path,
                found=f"{node.kind}, expected a character device",
                why="a container cannot be given it",
                do=f"remove {node.path} and load the SGX driver again; a container started with a bind mount may have made it",
            )
    yield Finding(
        code="DJ004",
        severity=Severity.ERROR,
        subject="/dev",
        found="no enclave device of any driver (/dev/sgx_enclave, /dev/sgx/enclave, /dev/isgx)",
        why="no SGX driver is loaded, so no enclave can be made",
        do="use Linux 5.11 or later with CONFIG_X86_SGX=y, or load the DCAP driver; dmesg | grep -i sgx says why the "
        "kernel declined",
    )


def _links(facts: NodeFacts) -> Iterator[Finding]:
    for node in facts.devices:
        if node.kind is FileKind.LINK and facts.enclave is None:
            yield Finding(
                code="DJ005",
                severity=Severity.ERROR,
                subject=node.path,
                found=f"a link to {node.target or 'nowhere'}, and no device of a known path behind it",
                why="Donjon offers devices, not links",
                do="load the SGX driver, so that its own device appears",
            )


def _epc(facts: NodeFacts) -> Iterator[Finding]:
    if facts.epc.value:
        return
    found = f"unknown ({facts.epc.problem})" if facts.epc.value is None else f"0 bytes ({facts.epc.source})"
    yield Finding(
        code="DJ006",
        severity=Severity.ERROR,
        subject="epc",
        found=found,
        why="there is no enclave memory to offer",
        do="reserve EPC (PRMRR) in the firmware's setup, or give the VM EPC in the hypervisor; then look again",
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
    yield Finding(
        code="DJ007",
        severity=Severity.WARNING,
        subject="epc",
        found=f"{kernel} bytes by the kernel ({facts.numa_epc.source}), {processor} by the processor ({facts.sections.source})",
        why=why,
        do="see dmesg | grep -i 'sgx: EPC section', and the firmware's memory and NUMA settings",
    )


def _epc_half_known(facts: NodeFacts) -> Iterator[Finding]:
    if facts.numa_epc.value is None and facts.numa_epc.problem.endswith("[DJ903]"):
        yield Finding(
            code="DJ016",
            severity=Severity.WARNING,
            subject="epc",
            found=facts.numa_epc.problem,
            why="the kernel's figure cannot be believed, so the processor's is used alone",
            do="report the kernel's release with donjon doctor --bundle",
        )


def _provision(facts: NodeFacts) -> Iterator[Finding]:
    driver = facts.driver.value
    if facts.enclave is not None and facts.provision is None and driver is not None and driver.kind is not DriverKind.ISGX:
        yield Finding(
            code="DJ008",
            severity=Severity.WARNING,
            subject="provision device",
            found="neither /dev/sgx_provision nor /dev/sgx/provision is a character device",
            why="enclaves run, but no quoting enclave can be given the provisioning key: no attestation in the container itself",
            do="see why the driver made only the enclave device (ls -l /dev/sgx*), then load it again",
        )


def _legacy_driver(facts: NodeFacts) -> Iterator[Finding]:
    if facts.driver.value is not None and facts.driver.value.kind is DriverKind.ISGX:
        yield Finding(
            code="DJ013",
            severity=Severity.WARNING,
            subject="driver",
            found="the legacy driver isgx",
            why="it knows EPID only: no DCAP quotes, and Intel has ended EPID",
            do="move to Linux 5.11 or later, whose own driver serves DCAP",
        )


def _non_root(facts: NodeFacts) -> Iterator[Finding]:
    node, ownership = facts.enclave, facts.device_ownership
    if node is None or node.mode & _ANYONE_MAY_USE == _ANYONE_MAY_USE or ownership.value:
        return
    group = (
        f"or give the pod securityContext.supplementalGroups: [{node.gid}]"
        if node.mode & _GROUP_MAY_USE == _GROUP_MAY_USE and node.gid != 0
        else "or let udev give the device a group (systemd's rule: GROUP sgx, MODE 0660) and the pod that supplemental group"
    )
    unseen = f"whether they can depends on the runtime's configuration, which was not seen ({ownership.problem})"
    yield Finding(
        code="DJ009",
        severity=Severity.INFO if ownership.value is None else Severity.WARNING,
        subject=node.path,
        found=f"mode {node.mode:04o}, owner {node.uid}, group {node.gid}",
        why=unseen if ownership.value is None else "containers that do not run as root cannot open it",
        do="for containers that do not run as root: set device_ownership_from_security_context = true in the configuration of "
        f"containerd or CRI-O, {group}",
    )


def _noexec(facts: NodeFacts) -> Iterator[Finding]:
    if facts.dev_noexec.value:
        yield Finding(
            code="DJ010",
            severity=Severity.WARNING,
            subject="/dev",
            found=f"mounted noexec ({facts.dev_noexec.source})",
            why="processes on the host (AESM among them) and containers that mount the host's /dev cannot map an enclave; "
            "containers with their own /dev can",
            do="mount -o remount,exec /dev, for good through the unit remount-dev-exec.service of Intel's packages",
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
        found=str(state),
        why="quotes out of process (SGX_AESM_ADDR) cannot be had on this node; enclaves run, and quotes in process work",
        do="start aesmd on the node or as a DaemonSet, if your pods quote through it",
    )


def _edmm(facts: NodeFacts) -> Iterator[Finding]:
    if facts.edmm.value is False:
        cpu = facts.cpu.value
        lack = "the processor has SGX1 only" if cpu is not None and not cpu.sgx2 else f"kernel {facts.kernel.value}"
        yield Finding(
            code="DJ012",
            severity=Severity.INFO,
            subject="edmm",
            found=f"not available: {lack}",
            why="enclaves commit all their memory at start and cannot grow",
            do="for EDMM use a processor with SGX2 and Linux 6.0 or later",
        )


def _standin(facts: NodeFacts) -> Iterator[Finding]:
    if facts.cpu_standin:
        yield Finding(
            code="DJ019",
            severity=Severity.INFO,
            subject="cpu",
            found=f"a file stands in for the processor ({facts.cpu.source})",
            why="this is simulated hardware: no enclave here is protected by anything",
            do="on a real node, remove that file",
        )


def _disagreement(facts: NodeFacts) -> Iterator[Finding]:
    cpu, flags = facts.cpu.value, facts.cpu_flags.value
    if cpu is not None and flags is not None and cpu.sgx1 and "sgx" not in flags:
        yield Finding(
            code="DJ017",
            severity=Severity.WARNING,
            subject="kernel",
            found=f"the processor has SGX, the kernel does not show the flag sgx ({facts.cpu_flags.source})",
            why="the kernel turned SGX off for itself: the in-tree driver is not there",
            do="see dmesg | grep -i sgx; expected with an out-of-tree driver on kernels before 5.11, otherwise enable SGX and "
            "launch control in the firmware",
        )


Check = Callable[[NodeFacts], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (
    _firmware,
    _launch_control,
    _cpu_unknown,
    _driver,
    _links,
    _epc,
    _epc_differs,
    _epc_half_known,
    _provision,
    _legacy_driver,
    _non_root,
    _noexec,
    _disagreement,
    _aesm,
    _edmm,
    _standin,
)
