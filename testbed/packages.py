"""The Debian packages that the testbed needs, and their installation: as root, and saying so."""

from __future__ import annotations

import os
import shutil

from testbed.commands import SEARCH_PATH, run
from testbed.trouble import Lacking, Trouble

PACKAGES = {
    "runc": "runc",
    "containernetworking-plugins": "/usr/lib/cni/bridge",
    "nftables": "nft",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "iproute2": "ip",
    "util-linux": "nsenter",
    "mount": "mount",
    "busybox-static": "/bin/busybox",
}
"""Each package by a program that shows that it is there. The plugins come from where Debian and Ubuntu put them."""


def missing() -> list[str]:
    """The packages whose program is not on this machine."""
    return [package for package, program in PACKAGES.items() if shutil.which(program, path=_path()) is None]


def install() -> None:
    """Install what is missing; without root, one sentence says what to install."""
    absent = missing()
    if not absent:
        return
    command = f"apt-get install --yes --no-install-recommends {' '.join(absent)}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise Lacking(
            f"Debian packages are missing: {', '.join(absent)}",
            why="the testbed runs their programs, and installing them needs root and apt-get",
            do=f"run `{command}` as root",
        )
    print(f"installing Debian packages, as root: {command}", flush=True)
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    run("apt-get", "update", "-qq", environment=quiet, do="see whether this machine reaches its package mirror")
    run(*command.split(), environment=quiet, do="install these packages by hand")
    if still := missing():
        raise Trouble(
            f"packages are installed but their programs are not there: {', '.join(still)}",
            why=f"looked for {', '.join(PACKAGES[package] for package in still)}",
            do="install the packages of Debian or Ubuntu; other distributions are not supported by the testbed",
        )


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:{SEARCH_PATH}"
