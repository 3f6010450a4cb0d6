"""docs/support.md names the versions that the tests run: those of the locked files."""

import re
from pathlib import Path

import pytest
from testbed.binaries import KUBERNETES

PROJECT = Path(__file__).parents[2]
GO = {
    "etcd": ("etcd", "go.etcd.io/etcd/server/v3"),
    "containerd, with runc": ("containerd", "github.com/containerd/containerd/v2"),
    "Helm": ("helm", "helm.sh/helm/v4"),
    "Intel's device plugin and webhook": ("peers", "github.com/intel/intel-device-plugins-for-kubernetes"),
}
"""A row, and the Go module that the testbed builds."""
PYTHON = {
    "Microsoft's Python client azure-security-attestation": "azure-security-attestation",
    "dcap-qvl": "dcap-qvl",
    "Python 3.11 on Debian 12": "cryptography",
}


def row(name: str) -> str:
    """The second cell of a row of the page."""
    text = (PROJECT / "docs" / "support.md").read_text(encoding="utf-8")
    (cell,) = re.findall(rf"^\| {re.escape(name)} \| ([^|]+) \|", text, re.MULTILINE)
    return str(cell)


def of_go(module: str, requirement: str) -> str:
    text = (PROJECT / "testbed" / "go" / module / "go.mod").read_text(encoding="utf-8")
    (version,) = re.findall(rf"{re.escape(requirement)} v(\S+)", text)
    return str(version)


def of_python(package: str) -> str:
    text = (PROJECT / "requirements" / "dev.txt").read_text(encoding="utf-8")
    (version,) = re.findall(rf"^{re.escape(package)}==(\S+)", text, re.MULTILINE)
    return str(version)


@pytest.mark.parametrize("name", GO)
def test_a_program_of_the_testbed_has_the_version_that_is_built(name: str) -> None:
    assert row(name) == of_go(*GO[name])


@pytest.mark.parametrize("name", PYTHON)
def test_a_library_has_the_version_that_is_locked(name: str) -> None:
    assert of_python(PYTHON[name]) in row(name)


def test_kubernetes_has_the_version_that_is_built() -> None:
    assert row("Kubernetes (API server, scheduler, controller manager, kubelet, kube-proxy)") == KUBERNETES.removeprefix("v")
    assert KUBERNETES.removeprefix("v") in row("the webhook's mode, as on Kubernetes 1.30 to 1.35")
