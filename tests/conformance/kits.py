"""Clients of others in their own languages, as their makers publish them: fetched once, and kept outside the checkout.

What decides what comes out, files and toolchain, decides where it is kept. A toolchain that is missing is installed from Debian's
packages where that is possible; where not, the tests that need it are not run, and say so.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from testbed import packages
from testbed.binaries import cache
from testbed.commands import SEARCH_PATH
from testbed.trouble import Lacking, Trouble

HERE = Path(__file__).parent
SECONDS = 2400  # of the longest of them, on a machine that does other things, too

_RELEASE = Path("/etc/debian_version")
_OLD = _RELEASE.exists() and _RELEASE.read_text("ascii").startswith("12")
_CARGO = "cargo-web" if _OLD else "cargo"  # Debian 12's other one is of 1.65; this one is kept new for its browsers.

_OFFLINE = ("ENOTFOUND", "EAI_AGAIN", "Could not resolve host", "Could not transfer", "Unknown host", "spurious network error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """One client: its folder beside this file, what it needs, and how it is made there."""

    name: str
    packages: Mapping[str, str]
    version: tuple[str, ...]  # the command that tells the toolchain's
    least: int  # of that version's first numbers, the second within the hundreds of the first: 1.85 is 185
    make: Callable[[Path], None]


def home(kit: Kit) -> Path:
    """Where the client is; skips the test where it cannot be had."""
    try:
        packages.install(kit.packages)
    except (Lacking, Trouble) as error:
        pytest.skip(f"needs {kit.name}: {error}")
    if (found := _number(run(HERE, *kit.version))) < kit.least:
        pytest.skip(f"needs {kit.version[0]} of version {kit.least / 100} or later, found {found / 100}")
    target = cache() / f"client-{kit.name}-{_digest(kit)}"
    target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(target):
        if not target.is_dir():
            part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
            shutil.copytree(HERE / kit.name, part, dirs_exist_ok=True)
            kit.make(part)
            part.rename(target)
    return target


def run(folder: Path, *command: str) -> str:
    """What a command of a toolchain prints; skips the test where nothing can be fetched, fails it for anything else."""
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:{SEARCH_PATH}"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode:
        told = (done.stdout + done.stderr)[-3000:]
        if any(word in told for word in _OFFLINE):
            pytest.skip(f"needs a registry of packages for {command[0]}: it cannot be reached")
        pytest.fail(f"{' '.join(command)}: {told}", pytrace=False)
    return done.stdout


def _digest(kit: Kit) -> str:
    digest = hashlib.sha256(run(HERE, *kit.version).encode())
    for file in sorted(path for path in (HERE / kit.name).rglob("*") if path.is_file()):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _number(told: str) -> int:
    first, second = (int(part) for part in re.findall(r"[0-9]+", told)[:2])
    return 100 * first + second


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Two runs of the tests make it once."""
    with target.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _java(folder: Path) -> None:
    goal = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
    run(folder, "mvn", "-q", "-B", goal, "-DoutputDirectory=jars", "-DincludeScope=runtime")
    found = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in (folder / "jars").iterdir()}
    lines = (folder / "checksums.txt").read_text(encoding="ascii").splitlines()
    expected = {name: digest for digest, name in map(str.split, lines)}
    assert found == expected, "the jars are not those of checksums.txt"
    run(folder, "javac", "-d", "classes", "-cp", "jars/*", "Conformance.java")


def _javascript(folder: Path) -> None:
    run(folder, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")


def _rust(folder: Path) -> None:
    _cargo(folder, "conformance")


def _sigstructs(folder: Path) -> None:
    _cargo(folder, "sigstructs")


def _sgxs_tools(folder: Path) -> None:
    """Its own lock is in it."""
    version, programs = (folder / "version").read_text("ascii").strip(), ("--bin", "sgxs-sign", "--bin", "sgxs-info")
    target = ("--target-dir", str(cache() / "cargo-target"), "--root", str(folder))
    run(folder, "cargo", "install", "sgxs-tools", "--version", f"={version}", "--locked", "--quiet", *programs, *target)


def _cargo(folder: Path, program: str) -> None:
    """The lock stands here without the address of the registry, which cargo knows; what it depends on is built once for all."""
    lock = folder / "Cargo.lock"
    locked = lock.read_text(encoding="utf-8")
    lock.unlink()
    run(folder, "cargo", "generate-lockfile")
    source = next(line for line in lock.read_text(encoding="utf-8").splitlines() if line.startswith("source = "))
    lock.write_text(locked.replace('source = "registry"', source), encoding="utf-8")
    run(folder, "cargo", "build", "--locked", "--quiet", "--target-dir", str(target := cache() / "cargo-target"))
    shutil.copy2(target / "debug" / program, folder)


JAVA = Kit(
    name="java",
    packages={"default-jdk-headless": "javac", "maven": "mvn"},
    version=("javac", "-version"),
    least=1700,
    make=_java,
)
JAVASCRIPT = Kit(
    name="javascript", packages={"nodejs": "node", "npm": "npm"}, version=("node", "--version"), least=1800, make=_javascript
)
_OF_CARGO = {_CARGO: "cargo", "gcc": "cc", "pkg-config": "pkg-config", "libssl-dev": "/usr/include/openssl/ssl.h"}
RUST = Kit(
    name="rust",
    packages={**_OF_CARGO, "cmake": "cmake", "libclang-dev": "/usr/lib/llvm-*/lib/libclang.so*"},
    version=("cargo", "--version"),
    least=185,
    make=_rust,
)
SIGSTRUCTS = Kit(name="sgxs", packages=_OF_CARGO, version=("cargo", "--version"), least=185, make=_sigstructs)
"""Fortanix's library of SIGSTRUCT, by a program of ours that calls it."""
SGXS_TOOLS = Kit(
    name="sgxs-tools",
    packages={**_OF_CARGO, "protobuf-compiler": "protoc"},
    version=("cargo", "--version"),
    least=185,
    make=_sgxs_tools,
)
"""Their programs as they publish them: too long to build for the quick tests (`make sgxs-tools`)."""
