"""A root file system of a Debian release, with the locked requirements: made once, kept under the hash of all that made it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from testbed import packages
from testbed.binaries import alone, cache
from testbed.commands import attempt
from testbed.trouble import Lacking, Trouble

if TYPE_CHECKING:
    from collections.abc import Mapping

CHECKOUT = Path(__file__).resolve().parents[2]
NAMESPACES = ("unshare", "--mount", "--pid", "--fork", "--kill-child")
"""What is mounted or started behind these is gone when the command ends, however it ends."""
TOOLS: Mapping[str, str] = {
    "mmdebstrap": "mmdebstrap",
    "debian-archive-keyring": "/usr/share/keyrings/debian-archive-keyring.gpg",
}
_INSIDE = ("ca-certificates", "git", "iproute2", "openssl", "postgresql", "python3", "python3-venv", "softhsm2")
_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
_SETTINGS = Path("/etc/pip.conf")
_MIRRORS = ("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Origin: Debian", "Label: Debian")
_OFFLINE = ("Temporary failure resolving", "Could not resolve", "Could not connect", "Failed to establish a new connection")
"""What apt and pip say when they cannot reach a mirror or a registry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A release of Debian, by the name of its suite and by what a reader knows it by."""

    suite: str
    name: str


TRIXIE = Release(suite="trixie", name="Debian 13")


def able() -> None:
    """`Lacking` where this machine can neither make such a root file system nor enter one."""
    packages.install(TOOLS)
    if (tried := attempt(*NAMESPACES, "mount", "-t", "tmpfs", "donjon", "/mnt")).returncode != 0:
        raise Lacking("nothing can be mounted", why=tried.stderr.strip(), do="run as root, and not in a container without rights")


def ensure(release: Release, requirements: Path) -> Path:
    """The folder of the root file system; it is made where it is not in the cache."""
    target = cache() / f"{release.suite}-{digest(release, requirements)}"
    with alone(target):
        if not target.is_dir():
            _make(release, requirements, target)
    return target


def digest(release: Release, requirements: Path) -> str:
    """The hash of all that decides what is in it: the release, the locked requirements, and the words of this module."""
    parts = (repr(release).encode(), requirements.read_bytes(), Path(__file__).read_bytes())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _make(release: Release, requirements: Path, target: Path) -> None:
    log = target.with_suffix(".log")
    part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    print(f"making a root file system of {release.name} (once; minutes; 1.1 GB in {target.parent}) …", flush=True)
    try:
        with log.open("w", encoding="utf-8") as stream:
            code = subprocess.call(
                command(release, requirements, part), stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, cwd=CHECKOUT
            )
        if code != 0:
            raise _trouble(release, code, log)
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def command(release: Release, requirements: Path, folder: Path) -> tuple[str, ...]:
    """The one command that makes it, from the mirror that this machine's own apt knows, with this machine's settings of pip."""
    settings = [f"--customize-hook=copy-in {file} {file.parent}" for file in (_AUTHORITIES, _SETTINGS) if file.is_file()]
    return (
        *NAMESPACES,
        "--mount-proc",
        "mmdebstrap",
        "--mode=root",
        "--variant=minbase",
        f"--include={','.join(_INSIDE)}",
        *settings,
        f"--customize-hook=copy-in {requirements} /",
        '--customize-hook=chroot "$1" python3 -m venv /venv',
        f'--customize-hook=chroot "$1" /venv/bin/pip install --quiet --require-hashes -r /{requirements.name}',
        release.suite,
        str(folder),
        *_mirror(),
    )


def _mirror() -> list[str]:
    """The mirror of Debian that this machine uses; without one (Ubuntu), mmdebstrap knows the public one."""
    return sorted(set(attempt(*_MIRRORS).stdout.split()))[:1]


def _trouble(release: Release, code: int, log: Path) -> Trouble:
    offline = any(words in log.read_text(encoding="utf-8", errors="replace") for words in _OFFLINE)
    return (Lacking if offline else Trouble)(
        f"a root file system of {release.name} could not be made",
        why=f"mmdebstrap ended with code {code}",
        do="see that this machine reaches its mirror of Debian and its registry of Python packages, then try again",
        log=log,
    )
