"""What programs import of the C library and Gramine has not. An import is no call: only a run shows whether it happens.

Source: gramineproject/gramine v1.9, `Documentation/devel/features.md`, what is marked there as not implemented.
"""

from collections.abc import Iterator, Mapping

from donjon.enclave.elf import read_links
from donjon.errors import Malformed
from donjon.findings import Finding

ABSENT: Mapping[str, tuple[str, ...]] = {
    "namespaces and mounts, as containers and sandboxes use them": (
        "unshare",
        "setns",
        "pivot_root",
        "mount",
        "umount",
        "umount2",
    ),
    "watching files": ("inotify_init", "inotify_init1", "fanotify_init"),
    "System V's shared memory, semaphores and queues": ("shmget", "semget", "msgget"),
    "POSIX's message queues": ("mq_open",),
    "looking into other processes": ("ptrace", "process_vm_readv", "perf_event_open"),
    "the kernel's keyrings": ("keyctl", "add_key", "request_key"),
    "signals, timers, processes and memory as descriptors": ("signalfd", "timerfd_create", "pidfd_open", "memfd_create"),
    "copying within the kernel": ("splice", "tee", "vmsplice", "copy_file_range"),
    "io_uring, userfaultfd, BPF": ("io_uring_setup", "userfaultfd", "bpf"),
}
"""By what they are for."""
_EXAMPLES = 3


def imports_of(content: bytes) -> frozenset[str]:
    """The names that a program or library takes from others; none where it cannot be read."""
    try:
        return frozenset(each.name for each in read_links(content).symbols if each.is_import)
    except Malformed:
        return frozenset()


def absent_calls(imports: Mapping[str, frozenset[str]]) -> Iterator[Finding]:
    """What of it Gramine has not, by what it is for; `imports` by path."""
    for purpose, names in ABSENT.items():
        where = {path: sorted(own & set(names)) for path, own in sorted(imports.items()) if own & set(names)}
        if where:
            calls = ", ".join(sorted({name for own in where.values() for name in own}))
            yield Finding.info(
                "DJ395",
                ", ".join([*where][:_EXAMPLES]),
                f"imports {calls}, which Gramine has not ({purpose})",
                "an import is no call, and many programs do without where a call is refused; where it is needed, they end",
                "look whether it happens: strace -f, on a machine without enclaves",
            )
