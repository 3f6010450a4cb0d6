"""`python -m tests.machine NUMBER ARGUMENT…`: Python on a machine with nobody else's testbed: clusters are tested side by side.

A machine here is a set of namespaces: a network with loopback alone, processes, mounts with a `/run`, a state of the testbed and
a build of the image of its own, and cgroups below one that is made for it. pytest-xdist starts one for each of its workers
(`WORKERS`). All that was started on it ends with it.
"""

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

from testbed import cgroups
from testbed.commands import run
from testbed.layout import here

WORKERS = tuple(word for number in (1, 2) for word in ("--tx", f"popen//python={sys.executable} -m tests.machine {number}"))
"""Options of pytest-xdist: a worker on each of two machines."""

_INSIDE = "inside"
_UTS = 0x04000000  # CLONE_NEWUTS of sched.h, the cheapest namespace
_BATCH = 4096  # kernel/cgroup and kernel/nstree: COOKIE_LOCAL_BATCH of linux/cookie.h


def possible() -> bool:
    """Whether machines can be made here: as root, with controllers in cgroups of version 1; version 2 alone is not tried."""
    return os.geteuid() == 0 and "cgroup" in cgroups.hierarchies().values()


def main(number: str, arguments: list[str]) -> int:
    """Run Python with these arguments on the machine of that number; its exit code."""
    folders = [root / f"donjon-machine-{number}" for root in cgroups.hierarchies()]
    namespaces = ("--net", "--mount", "--pid", "--cgroup", "--fork", "--kill-child", "--mount-proc")
    inner = (sys.executable, "-m", "tests.machine", _INSIDE, number, *arguments)
    code = subprocess.run(
        ["setpriv", "--pdeathsig", "KILL", "unshare", *namespaces, *inner], preexec_fn=lambda: _enter(folders), check=False
    ).returncode
    _remove(folders)
    return code


def _enter(folders: list[Path]) -> None:
    for folder in folders:
        folder.mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):  # Without them a cpuset takes no process.
            if (folder / name).exists():
                (folder / name).write_text((folder.parent / name).read_text())
        (folder / "cgroup.procs").write_text(str(os.getpid()))


def _remove(folders: list[Path]) -> None:
    for top in folders:
        for folder in sorted((path for path in (*top.rglob("*"), top) if path.is_dir()), key=lambda path: -len(path.parts)):
            folder.rmdir()


def _settle(number: str) -> None:
    """Make what the testbed takes for its own the machine's own: cgroups, `/run`, the state's folder, loopback."""
    run("mount", "--make-rprivate", "/")
    kinds = _cgroup_mounts()
    run("umount", "--recursive", "--lazy", "/sys/fs/cgroup")
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/sys/fs/cgroup")
    for point, (kind, options) in kinds.items():
        point.mkdir(parents=True)
        run("mount", "-t", kind, "-o", options, kind, point)
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    Path("/run/lock").mkdir()
    for folder in (here().state, here().checkout / "deploy" / "images" / "build-out"):
        _own(folder, number)
    run("ip", "link", "set", "lo", "up")
    _advance_numbers()


def _own(folder: Path, number: str) -> None:
    """Let the machine have that folder for itself; the image that is built already is in it from the beginning."""
    copy = here().checkout / ".machines" / number / folder.name
    shutil.rmtree(copy, ignore_errors=True)
    folder.mkdir(exist_ok=True)
    copy.mkdir(parents=True)
    for archive in folder.glob("*.tar"):
        os.link(archive, copy / archive.name)
    run("mount", "--bind", copy, folder)
    run("mount", "--make-private", folder)


def _serve(arguments: list[str]) -> int:
    """Run Python, as the machine's first process, which takes leave of every process that nobody else does; its exit code."""
    child = os.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606 - no shell is wanted.
    while True:
        process, status = os.wait()
        if process == child:
            return os.waitstatus_to_exitcode(status)


def _cgroup_mounts() -> dict[Path, tuple[str, str]]:
    """Every mounted hierarchy with its kind and the options that name its controllers."""
    mounts = {}
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, point, kind, options, *_ = line.split()
        if kind == "cgroup":
            chosen = [word for word in options.split(",") if word not in {"rw", "relatime", "nosuid", "nodev", "noexec", "xattr"}]
            name = any(word.startswith("name=") for word in chosen)
            mounts[Path(point)] = (kind, ",".join(["none", *chosen] if name else chosen))
        elif kind == "cgroup2":
            mounts[Path(point)] = (kind, "rw")
    return mounts


def _advance_numbers() -> None:
    """Use up each processor's share of namespaces' numbers.

    A file keeps a mount namespace, as it keeps the testbed's nodes, only in a namespace whose number is lower. On Linux 6.18 a
    processor gives numbers out of a batch of its own, so that a younger namespace may have the lower number.
    """
    library = ctypes.CDLL(None)
    for processor in sorted(os.sched_getaffinity(0)):
        if os.fork() == 0:
            os.sched_setaffinity(0, {processor})
            for _ in range(_BATCH + 1):
                library.unshare(_UTS)
            os._exit(0)
        os.wait()


if __name__ == "__main__":
    if sys.argv[1] == _INSIDE:
        _settle(sys.argv[2])
        sys.exit(_serve(sys.argv[3:]))
    sys.exit(main(sys.argv[1], sys.argv[2:]))
