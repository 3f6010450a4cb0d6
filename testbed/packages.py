"""The Debian packages that the testbed and the tests need, and their installation: as root, and saying so."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.binaries import alone, cache
from testbed.commands import SEARCH_PATH, run
from testbed.trouble import Lacking, Trouble

if TYPE_CHECKING:
    from collections.abc import Mapping

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
"""Each package of the testbed by a program that shows that it is there."""

POSTGRESQL = {"postgresql": "/usr/lib/postgresql/*/bin/postgres"}
"""What the tests of the attestation service's database need, in whatever version the distribution has."""

SOFTHSM = {"softhsm2": "/usr/lib/softhsm/libsofthsm2.so"}
"""What the tests of signing keys in a PKCS#11 token need."""

SKOPEO = {"skopeo": "skopeo"}
"""What the tests of images that we write need: a program of others that reads them."""

BUILDAH = {"buildah": "buildah"}
"""What the tests of images that others made need: a program that makes them."""

REGISTRY = {"docker-registry": "docker-registry"}
"""What the tests of images in a registry need."""

PROMETHEUS = {"prometheus": "/usr/bin/promtool"}
"""What the tests of alerts need: the server, and the program that tries rules."""


def missing(packages: Mapping[str, str] = PACKAGES) -> list[str]:
    """The packages whose program is not on this machine."""
    return [package for package, program in packages.items() if not _there(program)]


def install(packages: Mapping[str, str] = PACKAGES) -> None:
    """Install what is missing; without root, one sentence says what to install."""
    if missing(packages):
        with alone(cache() / "packages"):  # apt would refuse the second of two.
            _install(packages)


def _install(packages: Mapping[str, str]) -> None:
    absent = missing(packages)
    if not absent:
        return
    command = f"apt-get install --yes --no-install-recommends {' '.join(absent)}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise Lacking(
            f"Debian packages are missing: {', '.join(absent)}",
            why="their programs are run, and installing them needs root and apt-get",
            do=f"run `{command}` as root",
        )
    print(f"installing Debian packages, as root: {command}", flush=True)
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    run("apt-get", "update", "-qq", environment=quiet, do="see whether this machine reaches its package mirror")
    run(*command.split(), environment=quiet, do="install these packages by hand")
    if still := missing(packages):
        raise Trouble(
            f"packages are installed but their programs are not there: {', '.join(still)}",
            why=f"looked for {', '.join(packages[package] for package in still)}",
            do="install the packages of Debian or Ubuntu; other distributions are not supported",
        )


def _there(program: str) -> bool:
    if program.startswith("/"):
        return any(Path("/").glob(program.removeprefix("/")))
    return shutil.which(program, path=_path()) is not None


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:{SEARCH_PATH}"
