"""`donjon check` on other device plugins for SGX: told what they do beside Donjon's agent, and admitted."""

import json

import pytest
from tests.admission.checks import checked

SOCKETS = "/var/lib/kubelet/device-plugins"


def daemonset(image: str, *paths: str) -> str:
    volumes = ", ".join(f"{{name: v{number}, hostPath: {{path: {path}}}}}" for number, path in enumerate(paths))
    pod = f"metadata: {{labels: {{a: b}}}}, spec: {{containers: [{{name: c, image: {image}}}], volumes: [{volumes}]}}"
    spec = f"selector: {{matchLabels: {{a: b}}}}, template: {{{pod}}}"
    return f"{{apiVersion: apps/v1, kind: DaemonSet, metadata: {{name: d, namespace: kube-system}}, spec: {{{spec}}}}}"


def codes(text: str) -> list[tuple[str, str]]:
    done = checked(text, "-o", "json")
    (told,) = json.loads(done.stdout)["checked"]
    assert (done.exit_code, told["refused"]) == (0, False), done.output
    return [(each["code"], each["severity"]) for each in told["findings"]]


@pytest.mark.parametrize(
    ("image", "paths"),
    [
        ("example.com/plugin:1", (SOCKETS, "/dev/sgx_enclave", "/dev/sgx_provision")),
        ("example.com/sgx-device-plugin:v1", (SOCKETS, "/dev")),
        ("example.com/SGX/plugin", ("/var/lib/k0s/kubelet/device-plugins/",)),
    ],
)
def test_another_plugin_for_sgx_is_told(image: str, paths: tuple[str, ...]) -> None:
    found = checked(daemonset(image, *paths))
    assert ("DJ158", "warning") in codes(daemonset(image, *paths))
    assert "run one of the two on a node" in found.stdout


@pytest.mark.parametrize(
    ("image", "paths"),
    [
        ("example.com/gpu-plugin:1", (SOCKETS, "/dev", "/dev/dri")),
        ("example.com/sgx-device-plugin:v1", ("/var/lib/kubelet/pods",)),
        ("donjon:1", (SOCKETS, "/dev", "/sys")),
    ],
)
def test_what_plugs_in_something_else_is_left_alone(image: str, paths: tuple[str, ...]) -> None:
    assert codes(daemonset(image, *paths)) == []
