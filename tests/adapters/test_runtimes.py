"""Files of container runtimes on a host, found and read in the order in which the runtimes take them."""

from pathlib import Path

import pytest

from donjon.adapters.linux.runtimes import CRIO_DROP_INS, read_runtimes
from donjon.node.runtimes import MAX_FILES, device_ownership

YES = "version = 3\n[plugins.'io.containerd.cri.v1.runtime']\ndevice_ownership_from_security_context = true\n"
NO = YES.replace("true", "false")
K3S = "var/lib/rancher/k3s/agent/etc/containerd"


def write(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def answer(root: Path) -> bool | None:
    return device_ownership(read_runtimes(root)).value


def problem(root: Path) -> str:
    return device_ownership(read_runtimes(root)).problem


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"etc/containerd/config.toml": YES}, True),
        ({f"{K3S}/config.toml": YES, f"{K3S}/config.toml.tmpl": '{{ template "base" . }}'}, True),
        ({"var/lib/rancher/rke2/agent/etc/containerd/config.toml": YES}, True),
        (
            {
                "etc/k0s/containerd.toml": "version = 2\nimports = ['/run/k0s/containerd-cri.toml']",
                "run/k0s/containerd-cri.toml": YES,
            },
            True,
        ),
        (
            {
                "etc/containerd/config.toml": "version = 3\ndisabled_plugins = ['io.containerd.grpc.v1.cri']\n",
                "etc/cri/containerd.toml": "version = 3\nimports = ['/etc/cri/conf.d/cri.toml']\n",
                "etc/cri/conf.d/cri.toml": YES,
            },
            True,
        ),
        ({"var/snap/microk8s/current/args/containerd.toml": NO}, False),
        (
            {
                "etc/crio/crio.conf": "",
                "etc/crio/crio.conf.d/10-x.conf": "[crio.runtime]\ndevice_ownership_from_security_context = true",
            },
            True,
        ),
        ({"etc/crio/crio.conf.d/9": "crio.runtime.device_ownership_from_security_context = true"}, True),
        ({"etc/containerd/config.toml": "imports = ['conf.d/*.toml']\n" + NO, "etc/containerd/conf.d/a.toml": YES}, True),
        (
            {
                "etc/containerd/config.toml": "imports = ['/etc/containerd/conf.d/*.toml']\n" + NO,
                "etc/containerd/conf.d/a.toml": YES,
            },
            True,
        ),
        ({"etc/containerd/config.toml": "imports = ['/x/*.toml']\n" + YES}, True),
        (
            {
                "etc/containerd/config.toml": "imports = ['/x/*.toml']\n",
                "x/a.toml": YES,
                "x/b.toml": NO,
            },
            False,
        ),
        (
            {
                "etc/containerd/config.toml": "imports = ['a.toml']\n",
                "etc/containerd/a.toml": "imports = ['config.toml']\n" + YES,
            },
            True,
        ),
    ],
)
def test_every_place_and_every_import_is_followed(tmp_path: Path, files: dict[str, str], *, expected: bool) -> None:
    write(tmp_path, **files)
    assert answer(tmp_path) is expected, problem(tmp_path)


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({}, "no configuration of a container runtime"),
        ({f"{K3S}/config.toml.tmpl": '{{ template "base" . }}'}, "a template, of which nothing was made yet"),
        ({f"{K3S}/config-v3.toml.tmpl": "x"}, "a template, of which nothing was made yet"),
        ({"etc/containerd/config.toml": "imports = ['/etc/gone.toml']\n" + YES}, "No such file or directory"),
        ({"etc/containerd/config.toml": 'imports = ["/etc/\\u0000.toml"]\n' + YES}, "a NUL in it"),
        ({"etc/containerd/config.toml": NO, "etc/containerd/conf.d/a.toml": YES}, "no file imports it"),
        ({"etc/containerd/config.toml": "#" * (1 << 20) + "\n"}, "longer than"),
        ({"etc/crio/crio.conf.d/9": "[["}, "no TOML"),
    ],
)
def test_what_cannot_be_followed_is_told(tmp_path: Path, files: dict[str, str], why: str) -> None:
    write(tmp_path, **files)
    assert (answer(tmp_path), why in problem(tmp_path)) == (None, True), problem(tmp_path)


def test_imports_without_end_end(tmp_path: Path) -> None:
    write(tmp_path, **{f"etc/containerd/{n}.toml": f"imports = ['{n + 1}.toml']" for n in range(2 * MAX_FILES)})
    write(tmp_path, **{"etc/containerd/config.toml": "imports = ['0.toml']\n" + YES})
    assert (answer(tmp_path), "files are imported" in problem(tmp_path)) == (None, True)


def test_a_folder_of_very_many_files_of_crio_is_unknown(tmp_path: Path) -> None:
    write(tmp_path, **{f"{CRIO_DROP_INS}/{number:02}.conf": "" for number in range(MAX_FILES)})
    assert answer(tmp_path) is False
    write(tmp_path, **{f"{CRIO_DROP_INS}/99.conf": ""})
    assert (answer(tmp_path), "more than 64 files" in problem(tmp_path)) == (None, True)


def test_a_folder_in_place_of_a_file_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "etc/containerd/config.toml").mkdir(parents=True)
    assert answer(tmp_path) is None
