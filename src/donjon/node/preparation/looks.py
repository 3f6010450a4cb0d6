"""What no program does on a node: settings of its firmware, its registration with Intel, what only a start mends."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from donjon.findings import codes
from donjon.node.preparation.outline import HostOutline, NodeRuntime
from donjon.node.preparation.steps import PersonalLook
from donjon.node.preparation.wishes import NodeWishes

_SETUP = "in the firmware's setup, then power-cycle the machine (a restart is not enough)"

_OF_CODES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        codes.SGX_OFF: ("SGX is off", f"enable memory encryption (TME) first, then SGX, not 'software controlled', {_SETUP}"),
        codes.LAUNCH_CONTROL: (
            "the processor has no launch control",
            "no setting helps: take a processor with Flexible Launch Control",
        ),
        codes.NO_DEVICE: ("there is no SGX device, and nothing that was read says why", "see dmesg | grep -i sgx"),
        codes.OBSTACLE: ("something stands in a device's place", "see donjon doctor; remove it, and restart what made it"),
        codes.NO_EPC: ("there is no EPC", f"set its size (PRMRR; of each socket a power of two) {_SETUP}"),
        codes.EPC_DIFFERS: (
            "the kernel manages less EPC than the processor has, or claims more",
            f"turn clustering within a socket (SNC, UMA-based) off {_SETUP}; see dmesg | grep -i 'sgx: EPC'",
        ),
        codes.NO_PROVISION: (
            "the device for the provisioning key is not there",
            "see dmesg | grep -i sgx, and load the driver again",
        ),
        codes.LEGACY_DRIVER: (
            "the driver is isgx, which serves no DCAP quotes",
            "move to Linux 5.11 or later, and take isgx off",
        ),
        codes.LOCKED: (
            "launch control is locked, or SGX is",
            f"set launch control to unlocked ('SGX Launch Control Policy', 'Flexible Launch Control') {_SETUP}",
        ),
        codes.NOSGX: (
            "nosgx was on the kernel's command line",
            "restart the machine once it is out of the boot loader's configuration",
        ),
        codes.GUESTS_ALONE: ("the kernel offers EPC to virtual machines alone", f"set launch control to unlocked {_SETUP}"),
        codes.NO_SUCH_DEVICE: ("the driver is loaded and made no device", "see dmesg | grep -i sgx; it declined this machine"),
    }
)
"""By code of a finding: what is so, and what to do."""

_IN_A_GUEST = (
    "have whoever runs the hypervisor give the VM SGX, EPC and a launch control that it can write; nothing within the VM does"
)


def looks(host: HostOutline, wishes: NodeWishes) -> Iterator[PersonalLook]:
    """All that is left to a person, the most urgent first."""
    for code, (what, do) in _OF_CODES.items():
        if code in host.codes:
            yield PersonalLook(what=what, do=_IN_A_GUEST if host.virtual and _SETUP in do else do, codes=(code,))
    yield from _driver(host, wishes)
    yield from _runtime(host, wishes)
    if not host.virtual:
        yield from _metal(host, wishes)


def _driver(host: HostOutline, wishes: NodeWishes) -> Iterator[PersonalLook]:
    if codes.DRIVERLESS not in host.codes or (wishes.driver is not None and host.old is not False):
        return
    older = "" if host.old is False else _OLDER
    yield PersonalLook(
        what="this kernel has no SGX driver",
        do=f"take a kernel of Linux 5.11 or later with CONFIG_X86_SGX=y, as distributions' own are{older}",
        codes=(codes.DRIVERLESS,),
    )


_OLDER = "; for an older one, put the source of Intel's DCAP driver into /usr/src/sgx-1.41 and name it: --driver sgx/1.41"


def _runtime(host: HostOutline, wishes: NodeWishes) -> Iterator[PersonalLook]:
    runtime = wishes.runtime or next(iter(host.runtimes), None)
    if host.ownership and wishes.runtime is None:
        return
    if runtime is None:
        yield PersonalLook(
            what="which container runtime this node has was not seen",
            do="name it: --runtime containerd, cri-o or k3s",
            codes=(codes.ROOT_ALONE,),
        )
    elif runtime in {NodeRuntime.RKE2, NodeRuntime.OTHER}:
        yield PersonalLook(
            what="the configuration of this node's containerd is written by what brings it (RKE2, k0s, Talos, MicroK8s)",
            do="set device_ownership_from_security_context = true there, as its own pages say",
            codes=(codes.ROOT_ALONE,),
        )


def _metal(host: HostOutline, wishes: NodeWishes) -> Iterator[PersonalLook]:
    many = host.sections is not None and host.sections > 1
    if many or host.sections is None or wishes.registration:
        having = "this machine has several sockets" if many else "where this machine has several sockets"
        yield PersonalLook(
            what=f"{having}: Intel must know them as one platform before there are certificates for their quotes",
            do="with a way to Intel: enable 'SGX Auto MP Registration' in the firmware's setup, have sgx-ra-service run "
            "(--registration), and read /var/log/mpa_registration.log; without one: send the manifest to the cache, "
            "docs/collateral-cache.md. 'SGX Factory Reset' makes the machine a new one: what enclaves have sealed on it is lost",
        )
    yield PersonalLook(
        what="how much EPC there is is set in the firmware, by socket",
        do="set PRMRR to what your pods ask for; donjon sku show says how far a processor goes",
    )
    yield PersonalLook(
        what="verifiers look at the firmware's and the microcode's age",
        do="keep both up to date (Debian: intel-microcode)" + (", then register the machine again" if many else ""),
    )
