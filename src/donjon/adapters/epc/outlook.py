"""What decides by what the meter would read, looked at without loading anything."""

from pathlib import Path

from donjon.adapters.epc.kernel import BTF, PROC, misc_devices
from donjon.adapters.files import read
from donjon.node.metering import STRUCTURE, KernelOutlook
from donjon.node.readings import Reading

LOCKDOWN = Path("/sys/kernel/security/lockdown")
_MAX_TYPES = 64 << 20  # bytes; those of Debian's kernel are 5 MiB


def read_outlook(proc: Path = PROC, btf: Path = BTF, lockdown: Path = LOCKDOWN) -> KernelOutlook:
    """The kernel that runs here, whatever the host's root is."""
    return KernelOutlook(
        misc=Reading.of(frozenset(misc_devices(proc)), source=str(proc / "misc")), types=_types(btf), lockdown=_lockdown(lockdown)
    )


def _types(btf: Path) -> Reading[bool]:
    try:
        return Reading.of(STRUCTURE in read(btf, _MAX_TYPES), source=str(btf))
    except OSError as error:
        return Reading[bool].unknown(f"{btf}: {error.strerror}", source=str(btf))


def _lockdown(path: Path) -> Reading[str]:
    """Where it cannot be read, as without securityfs, no lockdown is the likely case."""
    try:
        return Reading.of(read(path, 4096).decode("ascii", errors="replace"), source=str(path))
    except OSError as error:
        return Reading[str].unknown(f"{path}: {error.strerror}", source=str(path))
