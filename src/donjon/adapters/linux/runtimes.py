"""The configuration files of a host's container runtimes, imported ones and drop-ins with them.

Of containerd and CRI-O, where their packages put them, and of the containerd that k3s, RKE2, k0s, Talos and MicroK8s bring. What
they mean, `node.runtimes` says.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath

from donjon.adapters.linux.files import read_text, stands
from donjon.node.readings import ContainerRuntime, Reading, RuntimeConfiguration
from donjon.node.runtimes import MAX_FILES, imports

CONTAINERD = (
    "etc/containerd/config.toml",
    "var/lib/rancher/k3s/agent/etc/containerd/config.toml",
    "var/lib/rancher/rke2/agent/etc/containerd/config.toml",
    "etc/k0s/containerd.toml",
    "etc/cri/containerd.toml",
    "var/snap/microk8s/current/args/containerd.toml",
)
CRIO, CRIO_DROP_INS = "etc/crio/crio.conf", "etc/crio/crio.conf.d"

_OWN_DROP_INS = "etc/containerd/conf.d/*.toml"  # containerd 2.2 and later; docs/man/containerd-config.toml.5.md
_TEMPLATES = ("config.toml.tmpl", "config-v3.toml.tmpl")  # of k3s and RKE2, written out as config.toml at each start


def read_runtimes(root: Path) -> tuple[RuntimeConfiguration, ...]:
    """Every configuration that is there."""
    return (*(configuration for path in CONTAINERD if (configuration := _containerd(root, root / path))), *_crio(root))


def _containerd(root: Path, path: Path) -> RuntimeConfiguration | None:
    if not stands(path):
        template = next((path.parent / name for name in _TEMPLATES if stands(path.parent / name)), None)
        return None if template is None else _template_alone(template)
    files, problem = _with_imports(root, path)
    drop_ins = _matches(root, root, _OWN_DROP_INS) if path == root / CONTAINERD[0] else []
    return RuntimeConfiguration(
        runtime=ContainerRuntime.CONTAINERD,
        files=tuple(files.values()),
        drop_ins=tuple(read_text(each) for each in drop_ins if each not in files),
        problem=problem,
    )


def _template_alone(template: Path) -> RuntimeConfiguration:
    problem = f"{template}: a template, of which nothing was made yet"
    file = Reading[str].unknown(problem, source=str(template))
    return RuntimeConfiguration(runtime=ContainerRuntime.CONTAINERD, files=(file,))


def _with_imports(root: Path, path: Path) -> tuple[dict[Path, Reading[str]], str]:
    """The file and all that it imports, each once, in containerd's order: level by level. And what could not be followed."""
    files: dict[Path, Reading[str]] = {}
    queue = [path]
    while queue:
        path = queue.pop(0)
        if path in files:
            continue
        if len(files) == MAX_FILES:
            return files, f"{path}: more than {MAX_FILES} files are imported"
        files[path] = read_text(path)
        for pattern in imports(files[path].value or ""):
            queue += _matches(root, path.parent, pattern)
    return files, ""


def _matches(root: Path, folder: Path, pattern: str) -> list[Path]:
    """The files that an entry of `imports` means; a name without wildcards means itself, also where nothing stands."""
    where, rest = (root, pattern.lstrip("/")) if PurePosixPath(pattern).is_absolute() else (folder, pattern)
    if "*" not in rest:
        return [where / rest]
    try:
        return sorted(islice(where.glob(rest.replace("**", "*")), MAX_FILES + 1))
    except (OSError, ValueError, NotImplementedError):
        return [where / rest]


def _crio(root: Path) -> Iterator[RuntimeConfiguration]:
    """crio.conf, then the files beside it by their names."""
    main, folder = root / CRIO, root / CRIO_DROP_INS
    try:
        drop_ins = sorted(islice((path for path in folder.iterdir() if not path.is_dir()), MAX_FILES + 1))
        problem = f"{folder}: more than {MAX_FILES} files" if len(drop_ins) > MAX_FILES else ""
    except (FileNotFoundError, NotADirectoryError):
        drop_ins, problem = [], ""
    except OSError as error:
        drop_ins, problem = [], f"{folder}: {error.strerror}"
    paths = ([main] if stands(main) else []) + drop_ins
    if paths or problem:
        files = tuple(read_text(path) for path in paths) or (Reading[str].unknown(problem, source=str(folder)),)
        yield RuntimeConfiguration(runtime=ContainerRuntime.CRIO, files=files, problem=problem)
