"""Root file systems of nodes as they come, of Debian and of Ubuntu: made once, and kept under the hash of all that made them."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.binaries import alone, cache
from testbed.commands import attempt
from testbed.trouble import Lacking
from tests.debian.root import NAMESPACES

if TYPE_CHECKING:
    from collections.abc import Sequence

_OF_A_NODE = ("ca-certificates", "containerd", "systemd", "udev")
_OF_THE_TESTS = ("ansible-core", "apt-utils", "gpg", "gpg-agent", "python3-apt")
_MIRRORS = ("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Origin: Debian", "Label: Debian")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bare:
    """A release, and what is in it."""

    suite: str
    name: str
    packages: tuple[str, ...] = (*_OF_A_NODE, *_OF_THE_TESTS)
    options: tuple[str, ...] = ()
    keys_of: str = ""  # the suite whose root file system has the keys of this one's archive


DEBIAN = Bare(
    suite="trixie", name="Debian 13", packages=(*_OF_A_NODE, *_OF_THE_TESTS, "ansible-lint", "shellcheck", "ubuntu-keyring")
)
UBUNTU = Bare(suite="noble", name="Ubuntu 24.04", options=("--components=main,universe",), keys_of="trixie")


def ensure(bare: Bare) -> Path:
    """The folder of its root file system; made where it is not in the cache. `Lacking` where its archive is not reached."""
    keys = [] if not bare.keys_of else [f"--keyring={ensure(DEBIAN)}/usr/share/keyrings/ubuntu-archive-keyring.gpg"]
    digest = hashlib.sha256(repr(bare).encode() + Path(__file__).read_bytes()).hexdigest()
    target = cache() / f"bare-{bare.suite}-{digest[:16]}"
    with alone(target):
        if not target.is_dir():
            _make(bare, target, [*bare.options, *keys])
    return target


def _make(bare: Bare, target: Path, options: Sequence[str]) -> None:
    part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    print(f"making a bare root file system of {bare.name} (once; a minute; up to 0.8 GB in {target.parent}) …", flush=True)
    words = ("mmdebstrap", "--mode=root", "--variant=minbase", f"--include={','.join(bare.packages)}", *options)
    # Without a mirror, mmdebstrap knows the public one of the suite.
    mirror = sorted(set(attempt(*_MIRRORS).stdout.split()))[:1] if not bare.keys_of else []
    try:
        command = (*NAMESPACES, "--mount-proc", *words, bare.suite, str(part), *mirror)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Lacking(f"no root file system of {bare.name}", why=done.stderr[-400:], do="see whether its archive is reached")
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
