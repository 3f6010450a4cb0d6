"""What was read on a host, before anyone says what it means. `donjon.adapters.linux` fills these in."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from donjon.sgx.cpuid import Registers

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading(Generic[T]):
    """A value with the place it was read from, or `None` and the reason why it is unknown."""

    value: T | None
    source: str
    problem: str = ""

    @staticmethod
    def of(value: U, *, source: str) -> "Reading[U]":
        """A reading of which the value is known."""
        return Reading(value=value, source=source)

    @staticmethod
    def unknown(problem: str, *, source: str) -> "Reading[T]":
        """A reading of which the value is unknown, with the reason."""
        return Reading(value=None, source=source, problem=problem)


class FileKind(StrEnum):
    """What stands at a path, links not followed."""

    ABSENT = "absent"
    CHARACTER = "character device"
    BLOCK = "block device"
    FOLDER = "folder"
    LINK = "link"
    FILE = "file"
    SOCKET = "socket"
    OTHER = "neither file nor device"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceNode:
    """What stands at a device's path; `uid`, `gid` and `mode` (permission bits) are zero where nothing does."""

    path: str  # on the host: "/dev/sgx_enclave"
    kind: FileKind
    uid: int = 0
    gid: int = 0
    mode: int = 0
    target: str = ""  # of a link, as it is written there
    behind: FileKind = FileKind.ABSENT  # what a link leads to on the host; owner, group and mode are then of that

    @property
    def is_device(self) -> bool:
        """Whether a container can be given it: a character device, or a link that leads to one."""
        return FileKind.CHARACTER in {self.kind, self.behind}


class AesmState(StrEnum):
    """What became of a look at /run/aesmd/aesm.socket."""

    ABSENT = "absent"
    NO_SOCKET = "not a socket"
    SILENT = "does not answer"
    READY = "answers"


class ContainerRuntime(StrEnum):
    """Who starts the containers of a node."""

    CONTAINERD = "containerd"
    CRIO = "CRI-O"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeConfiguration:
    """The files of one configuration in the order in which the runtime takes them; `problem` where not all could be followed."""

    runtime: ContainerRuntime
    files: tuple[Reading[str], ...]
    drop_ins: tuple[Reading[str], ...] = ()  # not imported by any file, but read by newer versions all the same
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostReadings:
    """All that the node agent and `donjon doctor` read of a host, each with its place."""

    devices: tuple[DeviceNode, ...]  # one for each path of `devices.PATHS`, in that order
    cpuid: Reading[Mapping[tuple[int, int], Registers]]
    cpu_standin: bool  # the CPUID values came from a file that stands in for the processor
    cpuinfo: Reading[str]  # /proc/cpuinfo up to the end of its first processor
    kernel_release: Reading[str]
    kernel_command_line: Reading[str]  # /proc/cmdline
    kernel_build: Reading[str]  # the configuration that it was built with
    numa_epc: Reading[Mapping[int, Reading[str]]]  # NUMA node to the text of its sgx_total_bytes
    modules: Reading[Mapping[str, str]]  # out-of-tree driver modules that are loaded, to their version ("" where none is told)
    dev_options: Reading[frozenset[str]]  # mount options of /dev
    aesm: Reading[AesmState]
    runtimes: tuple[RuntimeConfiguration, ...]
