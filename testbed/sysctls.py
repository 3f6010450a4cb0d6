"""The kernel settings that a kubelet changes for the whole machine: noted before, put back after."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from testbed.layout import RUN

# Kubernetes pkg/kubelet/cm/container_manager_linux.go, setupKernelTunables.
_TOUCHED = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
_NOTE = RUN / "sysctls.json"


def remember() -> None:
    """Note the values of before the first kubelet."""
    if not _NOTE.exists():
        _NOTE.write_text(json.dumps({name: _file(name).read_text() for name in _TOUCHED if _file(name).exists()}))


def restore() -> None:
    """Put the values of before back."""
    with suppress(OSError, ValueError):
        for name, value in json.loads(_NOTE.read_text()).items():
            if _file(name).read_text() != value:
                with suppress(OSError):
                    _file(name).write_text(value)


def _file(name: str) -> Path:
    return Path("/proc/sys") / name
