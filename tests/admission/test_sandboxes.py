"""`donjon check` on pods in virtual machines of their own: none gets a socket of the host without a word."""

import pytest
from tests.admission.checks import checked, pod

EPC = "{limits: {sgx.intel.com/epc: 1Mi}}"


def sandboxed(runtime: str, more: str = "", *, annotated: bool = False) -> str:
    text = pod(EPC, f"  runtimeClassName: {runtime}\n{more}")
    return text.replace("name: p", "name: p\n  annotations: {sgx.intel.com/quote-provider: aesmd}") if annotated else text


def hosting(path: str) -> str:
    return f"  volumes: [{{name: s, hostPath: {{path: {path}}}}}]"


@pytest.mark.parametrize("runtime", ["kata", "kata-qemu-sgx", "kata-clh", "Kata-Remote", "gvisor", "runsc", "firecracker"])
def test_the_quoting_services_socket_in_a_sandbox_is_told(runtime: str) -> None:
    done = checked(sandboxed(runtime, annotated=True))
    assert done.exit_code == 0
    assert done.stdout.count("[DJ159]") == 1
    assert f"runs in the sandbox {runtime} and has /var/run/aesmd of the host" in done.stdout
    assert "leave sgx.intel.com/quote-provider: aesmd out" in done.stdout


@pytest.mark.parametrize("path", ["/var/run/aesmd", "/run/aesmd/aesm.socket", "/run", "/var/run/"])
def test_a_socket_mounted_by_hand_is_told_too(path: str) -> None:
    done = checked(sandboxed("kata", hosting(path)))
    assert (done.exit_code, done.stdout.count("[DJ159]")) == (0, 1)
    assert "leave the volume out" in done.stdout


@pytest.mark.parametrize(
    "text",
    [
        sandboxed("runc", annotated=True),
        sandboxed("nvidia", hosting("/var/run/aesmd")),
        sandboxed("kata"),
        sandboxed("kata", hosting("/srv/data")),
        sandboxed("kata", "  volumes: [{name: aesmd-socket, emptyDir: {medium: Memory}}]", annotated=True),
    ],
)
def test_no_sandbox_or_no_socket_is_no_word(text: str) -> None:
    assert "[DJ159]" not in checked(text).stdout


def test_the_ordinary_pod_is_left_alone() -> None:
    assert "[DJ" not in checked(pod("{}", "  runtimeClassName: kata\n  volumes: [{name: s, emptyDir: {}}]")).stdout
