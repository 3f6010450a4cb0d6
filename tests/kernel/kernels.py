"""Debian's kernels, by what this machine's own apt serves: found, downloaded, unpacked, and kept in the cache by version.

Nothing of them is installed: image, headers and sources are unpacked into a folder each kernel has of its own.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from testbed import packages
from testbed.binaries import alone, cache
from testbed.commands import attempt, run
from testbed.trouble import Lacking
from tests.kernel import btf

if TYPE_CHECKING:
    from collections.abc import Mapping

TOOLS: Mapping[str, str] = {
    "qemu-system-x86": "qemu-system-x86_64",
    "busybox-static": "/bin/busybox",
    "bpftool": "bpftool",
    "clang": "clang",
    "llvm": "llvm-strip",
    "libbpf-dev": "/usr/include/bpf/bpf_helpers.h",
    "binutils": "objcopy",
    "make": "make",
    "lz4": "lz4",
    "zstd": "zstd",
    "xz-utils": "xz",
    "util-linux": "setpriv",
}
SERIES = ("6.1", "6.12")
"""Those whose driver is built, where apt serves them: Debian 12 does both, Debian 13 the second."""
_FLAVOUR = "cloud-amd64"
_IMAGE = re.compile(r"linux-image-(?P<release>(?P<series>\d+\.\d+)\.\d+(?:\+\w+)?(?:-\d+)?-(?P<flavour>(?:cloud-|rt-)?amd64))")
_NEEDED = re.compile(r"^ *\|?Depends: (linux-(?:headers|kbuild)-\S+)$", re.MULTILINE)
_DRIVER = "arch/x86/kernel/cpu/sgx"


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelName:
    """One kernel that apt serves: 6.1.0-57-cloud-amd64, say, of series 6.1."""

    release: str
    series: str
    flavour: str

    @property
    def image(self) -> str:
        """The package of its image."""
        return f"linux-image-{self.release}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """A kernel as it was unpacked."""

    name: KernelName
    folder: Path

    @property
    def image(self) -> Path:
        """What boots."""
        return self.folder / "boot" / f"vmlinuz-{self.name.release}"

    @property
    def headers(self) -> Path:
        """Where modules are built."""
        return self.folder / "usr/src" / f"linux-headers-{self.name.release}"

    @property
    def driver(self) -> Path:
        """The kernel's own SGX driver, as it stands in Debian's sources."""
        return self.folder / f"linux-source-{self.name.series}" / _DRIVER

    @property
    def types(self) -> Path:
        """Its BTF."""
        return self.folder / "vmlinux.btf"


def able() -> None:
    """`Lacking` where this machine cannot run such a guest."""
    packages.install(TOOLS)
    if shutil.which("apt-cache") is None:
        raise Lacking("no apt-get", why="the kernels are Debian's", do="run this on Debian")


def served() -> list[KernelName]:
    """The newest kernel of each series and flavour."""
    found = _served()
    if not found and os.geteuid() == 0:
        attempt("apt-get", "update", "-qq")
        found = _served()
    if not found:
        raise Lacking(
            "apt serves no kernel images of Debian", why="`apt-cache pkgnames linux-image-` names none", do="use Debian"
        )
    return found


def _served() -> list[KernelName]:
    return newest_of(attempt("apt-cache", "pkgnames", "linux-image-").stdout.split())


def newest_of(names: list[str]) -> list[KernelName]:
    """Of the packages with these names, the newest image of each series and flavour."""
    newest: dict[tuple[str, str], KernelName] = {}
    for package in names:
        if match := _IMAGE.fullmatch(package):
            name = KernelName(**match.groupdict())
            key = name.series, name.flavour
            newest[key] = max(name, newest.get(key, name), key=lambda kernel: _numbers(kernel.release))
    return sorted(newest.values(), key=lambda kernel: (_numbers(kernel.series), kernel.flavour))


def newest(series: str) -> KernelName:
    """The newest kernel of a series whose modules can be built."""
    names = [name for name in served() if (name.series, name.flavour) == (series, _FLAVOUR)]
    if not names:
        raise Lacking(f"apt serves no {_FLAVOUR} kernel of series {series}", why="this is another Debian", do="use Debian 12")
    return names[0]


def oldest() -> KernelName:
    """The newest of the oldest series that there is."""
    names = [name for name in served() if name.flavour == _FLAVOUR and name.series in SERIES]
    return names[0] if names else newest(SERIES[0])


def ensure(name: KernelName) -> Kernel:
    """The unpacked kernel with its headers and driver; a minute and 200 MB of downloads where it is not in the cache."""
    wanted = [name.image, f"linux-headers-{name.release}", f"linux-source-{name.series}"]
    target = cache() / f"kernel-{name.release}-{_digest(wanted, Path(__file__))}"
    with alone(target):
        if not target.is_dir():
            print(f"unpacking Debian's kernel {name.release} (once; a minute; 200 MB to download) …", flush=True)
            _make(name, wanted, target)
    kernel = Kernel(name=name, folder=target)
    compiler = re.findall(r"gcc-\d+", (kernel.headers / ".kernelvariables").read_text())
    packages.install({program: program for program in compiler[:1]})
    return kernel


def types_of(name: KernelName) -> Path:
    """The BTF of a kernel's image alone."""
    target = cache() / f"kernel-types-{name.release}-{_digest([name.image], Path(btf.__file__))}.btf"
    with alone(target):
        if not target.is_file():
            with tempfile.TemporaryDirectory(dir=target.parent) as folder:
                _unpack([name.image], Path(folder))
                part = Path(folder) / "types"
                btf.extract(Path(folder) / "boot" / f"vmlinuz-{name.release}", part)
                part.rename(target)
    return target


def _make(name: KernelName, wanted: list[str], target: Path) -> None:
    part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        image, headers, sources = wanted
        _unpack([image, headers, *_NEEDED.findall(run("apt-cache", "depends", headers))], part)
        shutil.rmtree(part / "lib", ignore_errors=True)  # the kernel's modules
        makefile = part / "usr/src" / headers / "Makefile"
        makefile.write_text(makefile.read_text().replace("/usr/src/", f"{target}/usr/src/"))
        (makefile.parent / "vmlinux").unlink(missing_ok=True)  # With it, a module's BTF is made, by one more program.
        btf.extract(part / "boot" / f"vmlinuz-{name.release}", part / "vmlinux.btf")
        _driver(sources, part)
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _unpack(names: list[str], folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="donjon-") as scratch:
        for package in _download(names, Path(scratch)):
            run("dpkg-deb", "--extract", package, folder)


def _driver(sources: str, folder: Path) -> None:
    """The driver's folder alone, out of the archive of all sources."""
    with tempfile.TemporaryDirectory(prefix="donjon-") as scratch:
        package = _download([sources], Path(scratch))[0]
        script = 'dpkg-deb --fsys-tarfile "$1" | tar xO "./usr/src/$2.tar.xz" | xz -dc | tar x -C "$3" "$2/$4"'
        run("sh", "-ec", script, "sh", package, sources, folder, _DRIVER, do="see that the disk has room")


def _download(names: list[str], folder: Path) -> list[Path]:
    fetch = ("apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", *names)
    if (done := attempt(*fetch, folder=folder)).returncode != 0 and os.geteuid() == 0:
        attempt("apt-get", "update", "-qq")  # Its lists were older than what the mirror has.
        done = attempt(*fetch, folder=folder)
    if done.returncode != 0:
        raise Lacking(f"cannot download {' '.join(names)}", why=done.stderr.strip()[-500:], do="see that apt reaches its mirror")
    return sorted(folder.glob("*.deb"))


def _digest(names: list[str], module: Path) -> str:
    """The hash of the packages' versions and of what unpacks them."""
    versions = re.findall(r"^Version: (\S+)$", run("apt-cache", "show", "--no-all-versions", *names), re.MULTILINE)
    return hashlib.sha256(repr((names, versions)).encode() + module.read_bytes()).hexdigest()[:16]


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", text)))
