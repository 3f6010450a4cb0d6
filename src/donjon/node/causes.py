"""Why a host has no enclave device: the one cause that lies deepest of all that was read.

What follows from it is not said beside it, and no advice is given that a fact already read makes useless. The conditions are
those under which Linux offers SGX (arch/x86/kernel/cpu/feat_ctl.c; arch/x86/kernel/cpu/sgx/main.c, sgx_init).
"""

from collections.abc import Callable

from donjon.findings import Finding, codes
from donjon.node.devices import DriverKind
from donjon.node.facts import IN_TREE_KERNEL, NodeFacts
from donjon.sgx.cpuid import SgxCpu

CONSEQUENCES = frozenset(
    (
        *(codes.LAUNCH_CONTROL, codes.NO_EPC, codes.EPC_DIFFERS, codes.ROOT_ALONE, codes.NO_AESM),
        *(codes.NO_EDMM, codes.LEGACY_DRIVER, codes.EPC_NOT_BELIEVED, codes.NOT_SHOWN),
    )
)
"""What is not worth saying beside the cause: it goes with the cause, or cannot be mended before."""

_SETUP = "in the firmware's setup, and power-cycle the machine"


def cause(facts: NodeFacts) -> Finding | None:
    """Why there is no enclave device; `None` where there is one."""
    if facts.enclave is not None:
        return None
    return next(finding for check in _CAUSES if (finding := check(facts)) is not None)


def no_sgx(facts: NodeFacts) -> Finding:
    """The whole verdict on a host that nothing of SGX speaks of."""
    if facts.virtual:
        do = "choose a VM size with SGX, or have the hypervisor pass it through"
    else:
        do = "choose a processor with SGX; where its data sheet says that this one has it, enable SGX " + _SETUP
    return Finding.error(
        "DJ001",
        "cpu",
        f"no SGX ({facts.cpu.source}: leaf 7 EBX[2] is 0)",
        "this machine cannot run enclaves",
        f"nothing, if this node is not meant for enclaves; otherwise {do}",
    )


def _no_sgx(facts: NodeFacts) -> Finding | None:
    return None if _processor(facts).sgx else no_sgx(facts)


def _firmware(facts: NodeFacts) -> Finding | None:
    if _processor(facts).sgx1:
        return None
    mend = "give the VM SGX and EPC in the hypervisor" if facts.virtual else f"enable SGX (not 'software controlled') {_SETUP}"
    return Finding.error(
        "DJ002",
        "cpu",
        f"SGX is there but off ({facts.cpu.source}: leaf 12H says no SGX1)",
        "no enclave can be made, whatever the kernel does",
        mend,
    )


def _command_line(facts: NodeFacts) -> Finding | None:
    if "nosgx" not in (facts.kernel_options.value or ()):
        return None
    return Finding.error(
        "DJ035",
        "kernel",
        f"nosgx on its command line ({facts.kernel_options.source})",
        "the kernel keeps SGX off, so there is no SGX device",
        "take nosgx out of the boot loader's configuration (GRUB_CMDLINE_LINUX in /etc/default/grub) and restart the machine",
    )


def _no_launch_control(facts: NodeFacts) -> Finding | None:
    """The processor's own; isgx is the one driver for such a processor, and then its device is what is missing."""
    if _processor(facts).launch_control or _module(facts) is DriverKind.ISGX:
        return None
    if facts.virtual:
        do = "have the hypervisor pass launch control through (QEMU: the CPU flag sgxlc), or choose a VM size that has it"
    else:
        do = "use a processor with Flexible Launch Control; the legacy driver isgx serves this one, without DCAP attestation"
    return Finding.error(
        "DJ003",
        "cpu",
        f"no launch control (SGX_LC, {facts.cpu.source}: leaf 7 ECX[30] is 0)",
        "the in-tree and DCAP drivers refuse this processor, so there is no SGX device",
        do,
    )


def _module_without_device(facts: NodeFacts) -> Finding | None:
    kind, name = _module(facts), facts.driver.source
    if kind is None:
        return None
    return Finding.error(
        "DJ038",
        "driver",
        f"the {name} is loaded, and its device is not there",
        "the driver declined this machine, or its device was removed, so no enclave can be made",
        f"dmesg | grep -i sgx says why; then load it again: modprobe -r {name.split()[-1]} && modprobe {name.split()[-1]}",
    )


def _kernel_without_driver(facts: NodeFacts) -> Finding | None:
    option, flags = facts.kernel_has_sgx, facts.cpu_flags.value or frozenset()
    old = facts.kernel_version is not None and facts.kernel_version < IN_TREE_KERNEL
    if option.value is False:
        observation = f"built without CONFIG_X86_SGX ({option.source})"
    elif old and option.value is None and "sgx" not in flags:
        observation = f"release {facts.kernel.value}, which is before 5.11"
    else:
        return None
    return Finding.error(
        "DJ036",
        "kernel",
        observation,
        "this kernel has no SGX driver of its own, and no other one is loaded",
        "use a kernel of Linux 5.11 or later with CONFIG_X86_SGX=y" + (", or load the DCAP driver" if old else ""),
    )


def _lock(facts: NodeFacts) -> Finding | None:
    flags = facts.cpu_flags.value
    if flags is None or "sgx_lc" in flags or not _processor(facts).launch_control or not _knows_sgx(facts):
        return None
    signs = f"the processor has launch control ({facts.cpu.source}), the kernel shows "
    signs += f"sgx without sgx_lc ({facts.cpu_flags.source})" if "sgx" in flags else f"no flag sgx_lc ({facts.cpu_flags.source})"
    guests = "; SGX serves KVM guests alone" if _has_virtual_epc(facts) or "sgx" in flags else ""
    mend = (
        "have the hypervisor leave launch control writable for the VM"
        if facts.virtual
        else f"enable SGX and set launch control to unlocked ('SGX Launch Control Policy', 'Flexible Launch Control') {_SETUP}"
    )
    return Finding.error(
        "DJ034",
        "firmware",
        signs,
        f"the firmware has locked launch control, or SGX, so the kernel's driver keeps off{guests}",
        f"{mend}; dmesg | grep -i sgx tells which of the two it is",
    )


def _guests_alone(facts: NodeFacts) -> Finding | None:
    if not _has_virtual_epc(facts):
        return None
    return Finding.error(
        "DJ037",
        "driver",
        "/dev/sgx_vepc alone: SGX for KVM guests, and no enclave device",
        "the kernel offers EPC to virtual machines only; enclaves of this host itself need launch control",
        f"set launch control to unlocked {_SETUP}; dmesg | grep -i sgx says why the kernel declined",
    )


def _no_epc(facts: NodeFacts) -> Finding | None:
    if facts.sections.value is None or facts.sections.value:
        return None
    mend = "give the VM EPC in the hypervisor" if facts.virtual else f"reserve EPC (PRMRR) {_SETUP}"
    return Finding.error(
        "DJ006",
        "epc",
        f"the processor has no EPC section ({facts.sections.source})",
        "there is no enclave memory, so the kernel's driver keeps off",
        mend,
    )


def _no_device(facts: NodeFacts) -> Finding:
    """Nothing that was read says why."""
    is_modern = facts.kernel_version is not None and facts.kernel_version >= IN_TREE_KERNEL
    driver = "" if is_modern else "use Linux 5.11 or later with CONFIG_X86_SGX=y, or load the DCAP driver; "
    return Finding.error(
        "DJ004",
        "/dev",
        "no enclave device of any driver (/dev/sgx_enclave, /dev/sgx/enclave, /dev/isgx)",
        "no SGX driver offers one, so no enclave can be made",
        f"{driver}dmesg | grep -i sgx says why the kernel declined",
    )


Cause = Callable[[NodeFacts], Finding | None]

_CAUSES: tuple[Cause, ...] = (
    _no_sgx,
    _firmware,
    _command_line,
    _no_launch_control,
    _module_without_device,
    _kernel_without_driver,
    _no_epc,
    _lock,
    _guests_alone,
    _no_device,
)

_UNKNOWN = SgxCpu(sgx=True, launch_control=True, sgx1=True, sgx2=True, kss=True, sections=())
"""A processor of which nothing could be read is blamed for nothing."""


def _processor(facts: NodeFacts) -> SgxCpu:
    return facts.cpu.value or _UNKNOWN


def _module(facts: NodeFacts) -> DriverKind | None:
    """The out-of-tree driver whose module is loaded: without a device, only a module tells of a driver."""
    return None if facts.driver.value is None else facts.driver.value.kind


def _knows_sgx(facts: NodeFacts) -> bool:
    """Whether this kernel would show the flags where it used SGX; of one whose release cannot be read, only the flag tells."""
    release, flags = facts.kernel_version, facts.cpu_flags.value or frozenset()
    return bool(facts.kernel_has_sgx.value) or "sgx" in flags or (release is not None and release >= IN_TREE_KERNEL)


def _has_virtual_epc(facts: NodeFacts) -> bool:
    return facts.virtual_epc is not None
