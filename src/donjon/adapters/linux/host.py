"""All readings of a host, gathered from its root."""

import os
import re
import socket
import stat
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from donjon.adapters.linux.cpuid import read_cpuid
from donjon.adapters.linux.files import first_known, look_at, read_text, stands
from donjon.adapters.linux.runtimes import read_runtimes
from donjon.node.devices import MODULES, PATHS
from donjon.node.readings import AesmState, DeviceNode, HostReadings, Reading

PROC_HEAD = 1 << 16  # The first processor of /proc/cpuinfo fits; a thousand of them would not.
AESM_TIMEOUT = 1.0
MAX_SOCKET_PATH = 107  # sizeof(sun_path) less its final zero.

_NODE_FOLDER = re.compile(r"node(\d{1,4})")
_OWN = Path("/")


def read_devices(root: Path) -> tuple[DeviceNode, ...]:
    """What stands at each path of `devices.PATHS`."""
    return tuple(look_at(root, entry.path) for entry in PATHS)


def read_host(root: Path) -> HostReadings:
    """Everything; what a container cannot see of its host is read from the container's own /proc where that tells the same."""
    cpuid, standin = read_cpuid(root)
    return HostReadings(
        devices=read_devices(root),
        cpuid=cpuid,
        cpu_standin=standin,
        cpuinfo=_first_processor(_proc(root, "cpuinfo")),
        kernel_release=(release := _strip(_proc(root, "sys/kernel/osrelease"))),
        kernel_command_line=_proc(root, "cmdline"),
        kernel_build=_kernel_build(root, release.value or ""),
        numa_epc=_numa_epc(root / "sys/devices/system/node"),
        modules=_modules(root / "sys/module"),
        dev_options=_dev_options(root),
        aesm=_aesm(root / "run/aesmd/aesm.socket"),
        runtimes=read_runtimes(root),
    )


def _proc(root: Path, name: str) -> Reading[str]:
    """A file of /proc that is the same in a container and on its host."""
    places = (root / "proc" / name, _OWN / "proc" / name)
    return first_known(*(partial(read_text, place, head=PROC_HEAD) for place in places))


def _first_processor(cpuinfo: Reading[str]) -> Reading[str]:
    if cpuinfo.value is None:
        return cpuinfo
    return Reading.of(cpuinfo.value.partition("\n\n")[0], source=cpuinfo.source)


def _strip(text: Reading[str]) -> Reading[str]:
    return text if text.value is None else Reading.of(text.value.strip(), source=text.source)


def _kernel_build(root: Path, release: str) -> Reading[str]:
    """Where distributions keep the configuration of the kernel that runs; a release is one part of a path."""
    if not release or "/" in release:
        return Reading[str].unknown("the release of the kernel is unknown", source=str(root / "boot"))
    return first_known(
        partial(read_text, root / "boot" / f"config-{release}"),
        partial(read_text, root / "usr/lib/modules" / release / "config"),
        partial(read_text, root / "lib/modules" / release / "config"),
    )


def _numa_epc(folder: Path) -> Reading[Mapping[int, Reading[str]]]:
    source = f"{folder}/node*/x86/sgx_total_bytes"
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        return Reading[Mapping[int, Reading[str]]].unknown(f"{folder}: {error.strerror}", source=source)
    nodes = {int(match[1]): folder / name for name in names if (match := _NODE_FOLDER.fullmatch(name))}
    paths = {number: path / "x86/sgx_total_bytes" for number, path in nodes.items() if stands(path / "x86/sgx_total_bytes")}
    if not paths:
        problem = "no NUMA node tells sgx_total_bytes (kernel before 5.17, an out-of-tree driver, or SGX off)"
        return Reading[Mapping[int, Reading[str]]].unknown(problem, source=source)
    return Reading.of({number: read_text(path) for number, path in paths.items()}, source=source)


def _modules(folder: Path) -> Reading[Mapping[str, str]]:
    try:
        loaded = {path.name for path in folder.iterdir()} & set(MODULES)
    except OSError as error:
        return Reading[Mapping[str, str]].unknown(f"{folder}: {error.strerror}", source=str(folder))
    versions = {name: read_text(folder / name / "version") for name in loaded}
    return Reading.of({name: (version.value or "").strip()[:64] for name, version in versions.items()}, source=str(folder))


def _dev_options(root: Path) -> Reading[frozenset[str]]:
    """The mount options of /dev.

    A runtime that makes a hostPath read-only may drop `noexec` from it, so in a container only its presence says something.
    """
    if root == _OWN:
        return _mount_options(read_text(Path("/proc/self/mounts")), "/dev")
    standin = _mount_options(read_text(root / "proc/mounts"), "/dev")
    if standin.value is not None:
        return standin
    here = _mount_options(read_text(Path("/proc/self/mounts")), str(root / "dev"))
    if here.value is not None and "noexec" not in here.value:
        problem = "the container runtime may have dropped noexec from this mount; run donjon doctor on the node itself"
        return Reading[frozenset[str]].unknown(problem, source=here.source)
    return here


def _mount_options(mounts: Reading[str], point: str) -> Reading[frozenset[str]]:
    if mounts.value is None:
        return Reading[frozenset[str]].unknown(mounts.problem, source=mounts.source)
    fields = [line.split(" ") for line in mounts.value.splitlines()]
    options = [parts[3] for parts in fields if len(parts) >= 4 and parts[1] == point]  # noqa: PLR2004 - fields of fstab(5).
    if not options:
        return Reading[frozenset[str]].unknown(f"{point} is no mount of its own", source=mounts.source)
    return Reading.of(frozenset(options[-1].split(",")), source=mounts.source)


def _aesm(path: Path) -> Reading[AesmState]:
    source = str(path)
    try:
        kind = path.stat().st_mode
    except FileNotFoundError:
        return Reading.of(AesmState.ABSENT, source=source)
    except OSError as error:
        return Reading[AesmState].unknown(f"{path}: {error.strerror}", source=source)
    if not stat.S_ISSOCK(kind):
        return Reading.of(AesmState.NO_SOCKET, source=source)
    if len(os.fsencode(source)) > MAX_SOCKET_PATH:
        return Reading[AesmState].unknown(f"{path}: longer than a socket path may be", source=source)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(AESM_TIMEOUT)
        try:
            connection.connect(source)
        except OSError:
            return Reading.of(AesmState.SILENT, source=source)
    return Reading.of(AesmState.READY, source=source)
