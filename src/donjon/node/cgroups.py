"""Which pod and container a process belongs to, by its /proc/PID/cgroup (cgroups(7)).

Kubelets name a pod's folder after its uid, runtimes the one below it after the container: with cgroupfs or systemd, in cgroup v1,
v2 or both. A container may make folders below its own, so the outermost that is a pod's counts.
Sources: kubernetes pkg/kubelet/cm (pod_container_manager_linux.go, cgroup_manager_linux.go); containerd internal/cri; cri-o
internal/config/cgmgr; cri-dockerd core/helpers.go.
"""

import re
from dataclasses import dataclass

_UID = r"[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32}"  # the second of a static pod: a hash of its manifest
_SLICE = re.compile(rf"(?:[\w.]+-)*kubepods(?:-besteffort|-burstable)?-pod({_UID})\.slice")
_FOLDER = re.compile(rf"pod({_UID})")
_AROUND = frozenset({"kubepods", "besteffort", "burstable", ".."})
"""What a pod's folder lies in, with cgroupfs: the kubelet's own folders; `..` where the reader's namespace begins below them."""
_CONTAINER = re.compile(r"(?:([\w-]+)-)?([0-9a-f]{64})(?:\.scope)?")
_MONITOR = "conmon"  # CRI-O's process beside each container, in the pod but in no container
_JOINT = ":"  # what containerd makes of systemd's names where it drives cgroupfs itself: SLICE:cri-containerd:ID
_UNIFIED, _MEMORY = "0", "memory"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class CgroupPlace:
    """Where a process is; a container's id is empty where the process is the pod's own: its sandbox, or a runtime's helper."""

    pod_uid: str
    container_id: str = ""


def place(text: str) -> CgroupPlace | None:
    """The pod and container of a process; `None` for one of the host.

    The unified hierarchy goes first, then that of memory, by which kubelets of cgroup v1 account, then the others.
    """
    # A container may give its folders any name but one with a line break, and Python knows more of these than the kernel.
    lines = [line.split(":", 2) for line in text.split("\n")]
    paths = sorted((_rank(parts[0], parts[1]), parts[2]) for parts in lines if len(parts) == 3)  # noqa: PLR2004 - cgroups(7).
    return next((there for _, path in paths if (there := place_of_path(path)) is not None), None)


def _rank(hierarchy: str, controllers: str) -> int:
    return 0 if hierarchy == _UNIFIED else 1 if _MEMORY in controllers.split(",") else 2


def place_of_path(path: str) -> CgroupPlace | None:
    """The same by the path of one cgroup: its outermost pod, and the container right below it."""
    parts = path.strip("/").replace(_JOINT, "/").split("/")
    for index, part in enumerate(parts):
        uid = _pod_of(parts[index - 1] if index else "", part)
        if uid is not None:
            below = parts[index + 1 :]
            return CgroupPlace(pod_uid=uid, container_id=_container_of(below))
    return None


def _pod_of(parent: str, part: str) -> str | None:
    if match := _SLICE.fullmatch(part):
        return match[1].replace("_", "-")
    match = _FOLDER.fullmatch(part) if parent in _AROUND else None
    return match[1].replace("_", "-") if match else None


def _container_of(below: list[str]) -> str:
    """The id of the first folder; containerd with a driver of its own puts its name between: SLICE:cri-containerd:ID."""
    for part in below[:2]:
        if match := _CONTAINER.fullmatch(part):
            return "" if (match[1] or "").endswith(_MONITOR) else match[2]
        if part not in _RUNTIMES:
            break
    return ""


_RUNTIMES = frozenset({"cri-containerd", "crio", "docker", "cri-dockerd"})
