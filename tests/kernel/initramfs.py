"""The guest's root: busybox, this Python, libbpf, the `donjon` package with what it needs, the module, and the guest's tests.

It is two archives after one another, as the kernel takes them: what hardly changes, kept in the cache, and the rest.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.binaries import alone, cache
from testbed.commands import attempt, run
from testbed.trouble import Lacking

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).resolve().parents[2]
GUEST = Path(__file__).with_name("guest")
PYTHON = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
_SITE = "site"
_LEFT_OUT = ("__pycache__", "test", "tests", "idlelib", "tkinter", "turtledemo", "lib2to3", "ensurepip", "config-*", "pydoc_data",
             "site-packages", "dist-packages", "*.a")  # fmt: skip
_LOADER = "/lib64/ld-linux-x86-64.so.2"


def make(module: Path, source: Path, target: Path, settings: str) -> Path:
    """Write a root whose `/init`, told these settings, loads the module and runs the guest's tests of the package in `source`."""
    with tempfile.TemporaryDirectory(prefix="donjon-") as scratch:
        root = Path(scratch) / "root"
        shutil.copytree(source / "donjon", root / _SITE / "donjon", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(GUEST, root / "guest/tests/kernel/guest", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(module, root / "guest" / "truth.ko")
        (root / "guest" / "words").write_text(settings)
        shutil.copy(GUEST / "init", root / "init")
        (root / "init").chmod(0o755)
        _compile(root)
        target.write_bytes(_base().read_bytes() + _archive(root))
    return target


def copy_project(project: Path) -> Path:
    """The package and the build of its BPF programs, as they stand, below `project`; the folder of sources."""
    ignored = shutil.ignore_patterns("__pycache__", "*.o")
    shutil.copytree(CHECKOUT / "src" / "donjon", project / "src" / "donjon", ignore=ignored, dirs_exist_ok=True)
    shutil.copytree(CHECKOUT / "deploy" / "bpf", project / "deploy" / "bpf", dirs_exist_ok=True)
    return project / "src"


def compile_meter(source: Path) -> None:
    """Compile the meter's BPF programs as the product's build does."""
    run(source.parent / "deploy" / "bpf" / "build", do="read the compiler's words")


def _base() -> Path:
    names = sorted(_distributions("donjon"))
    said = repr((sys.version, [(name, metadata.version(name)) for name in names]))
    digest = hashlib.sha256(said.encode() + Path(__file__).read_bytes()).hexdigest()[:16]
    target = cache() / f"kernel-guest-{digest}.cpio"
    with alone(target):
        if not target.is_file():
            with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
                root = Path(scratch) / "root"
                _fill(root, names)
                part = Path(scratch) / "part"
                part.write_bytes(_archive(root))
                part.rename(target)
    return target


def _fill(root: Path, names: list[str]) -> None:
    for folder in ("bin", "dev", "etc", "proc", "run", "sys", "tmp", "var"):
        (root / folder).mkdir(parents=True)
    library = Path(sysconfig.get_path("stdlib"))
    shutil.copytree(library, _within(root, library), ignore=shutil.ignore_patterns(*_LEFT_OUT), symlinks=True)
    programs = [PYTHON, _program("setpriv")]
    for file in (*programs, Path("/bin/busybox"), *_libraries([*programs, *library.glob("lib-dynload/*.so")])):
        _within(root, file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, _within(root, file))
    for name in names:
        for part in metadata.files(name) or ():
            if ".." not in part.parts and "__pycache__" not in part.parts:
                (root / _SITE / part).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(str(part.locate()), root / _SITE / part)
    _compile(root)


def _libraries(files: list[Path]) -> set[Path]:
    """What these need of the system, libbpf with it, and the program that loads them."""
    known = attempt("ldconfig", "-p").stdout
    if (match := re.search(r"libbpf\.so\.1 .* => (\S+)", known)) is None:
        raise Lacking("no libbpf.so.1", why="`ldconfig -p` names none", do="install the Debian package libbpf1")
    libbpf = Path(match[1])
    printed = attempt("ldd", *files, libbpf).stdout
    return {Path(_LOADER), libbpf, *map(Path, re.findall(r"=> (/\S+)", printed))}


def _program(name: str) -> Path:
    return Path(shutil.which(name) or f"/usr/bin/{name}")


def _within(root: Path, path: Path) -> Path:
    return root / path.relative_to("/")


def _distributions(name: str) -> set[str]:
    """The distributions that one needs without its extras; itself is not among them."""
    found: set[str] = set()
    for line in metadata.requires(name) or ():
        needed = re.split(r"[^A-Za-z0-9._-]", line)[0]
        if ";" not in line and needed not in found:
            found |= {needed} | _distributions(needed)
    return found


def _compile(root: Path) -> None:
    """Compile all of it: an emulated processor is slow at that."""
    options = ("-q", "-q", "-s", str(root), "-p", "/", "--invalidation-mode", "unchecked-hash", "-j", "0")
    subprocess.run((sys.executable, "-m", "compileall", *options, str(root)), check=False, stdout=subprocess.DEVNULL)


def _archive(root: Path) -> bytes:
    for folder in (root, *_folders(root)):
        folder.chmod(0o755)
    script = 'cd "$1" && find . | busybox cpio -o -H newc 2>/dev/null'
    return subprocess.run(("sh", "-ec", script, "sh", str(root)), check=True, stdout=subprocess.PIPE).stdout


def _folders(root: Path) -> Iterator[Path]:
    return (path for path in root.rglob("*") if path.is_dir() and not path.is_symlink())
