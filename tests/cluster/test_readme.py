"""Every command that the README shows, run as it stands there."""

import os
import re
import socket
import subprocess
from pathlib import Path

import pytest
from tests.cluster.conftest import Cluster, Testbed

PROJECT = Path(__file__).parents[2]
NOT_READY = 1

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it brings a cluster up")


def run(command: str, *, kubeconfig: Path | None = None, ok: tuple[int, ...] = (0,)) -> str:
    """The command's output, run from the project's folder with the programs that the project brings on the search path."""
    path = os.pathsep.join([str(PROJECT / ".venv" / "bin"), str(PROJECT / "testbed" / "bin"), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path} | ({} if kubeconfig is None else {"KUBECONFIG": str(kubeconfig)})
    done = subprocess.run(
        ["bash", "-c", command], cwd=PROJECT, env=environment, capture_output=True, text=True, check=False, timeout=900
    )
    assert done.returncode in ok, f"{command}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout + done.stderr


def test_make_up_ends_with_the_faqs_job_and_what_to_try_next(testbed: Testbed) -> None:
    del testbed
    said = run("make up")
    assert "/dev/sgx_enclave: character device" in said
    assert "/dev/sgx/enclave: character device" in said
    (pod,) = re.findall(r"^(sgx-test-\S+) +(\S+) .*Succeeded$", said, re.MULTILINE)
    assert pod[1] == "sgx-1"
    assert "Next:" in said


def test_what_a_second_make_up_proposes_next_works_as_it_stands_and_values_stay(
    cluster: Cluster, testbed: Testbed, donjon_installed: None
) -> None:
    del testbed, donjon_installed
    chart, value = "donjon deploy/chart --namespace donjon --reuse-values", "cleanup.deadlineSeconds"
    run(f"helm upgrade {chart} --set {value}=59", kubeconfig=cluster.kubeconfig)
    said = run("make up")
    assert "deadlineSeconds: 59" in run("helm get values donjon --namespace donjon", kubeconfig=cluster.kubeconfig)
    proposed = [line.partition("#")[0].strip() for line in said[said.index("Next:") :].splitlines() if "/bin/" in line]
    outputs = {command: run(f"export KUBECONFIG=$PWD/testbed/state/kubeconfig; {command}", ok=(0, 1)) for command in proposed}
    assert len(proposed) == 4
    (refused,) = [text for command, text in outputs.items() if "provision.yaml" in command]
    assert "DJ104" in refused
    assert "kubectl label namespace default donjon.dev/provision=allowed" in refused
    assert any("SGXReady" in text for command, text in outputs.items() if "describe" in command)
    assert any(text.startswith("well: ") for text in outputs.values())
    assert any("SIMULATED" in text for command, text in outputs.items() if "doctor" in command)


def test_the_chart_installs_by_the_commands_of_the_readme(cluster: Cluster, testbed: Testbed, donjon_installed: None) -> None:
    del testbed, donjon_installed
    run("helm uninstall donjon --namespace donjon --wait", kubeconfig=cluster.kubeconfig)
    try:
        run("make image")
        run(
            "helm install donjon deploy/chart --namespace donjon --create-namespace --set image.repository=donjon.dev/donjon",
            kubeconfig=cluster.kubeconfig,
        )
        run("donjon status --wait 2m", kubeconfig=cluster.kubeconfig)
        run(
            "helm upgrade donjon deploy/chart --namespace donjon --reuse-values --set node.meter.enabled=true",
            kubeconfig=cluster.kubeconfig,
        )
        run("donjon status --wait 2m", kubeconfig=cluster.kubeconfig)
        said = run("donjon epc top", kubeconfig=cluster.kubeconfig, ok=(3,))
        assert "this kernel has no SGX driver of its own" in said
    finally:
        run("make up")


def test_a_release_is_packed_and_its_checksums_hold() -> None:
    said = run("make release")
    assert "dist/SHA256SUMS" in said
    assert "OK" in run("cd dist && sha256sum --check --strict SHA256SUMS")


def test_the_pages_become_a_site() -> None:
    assert "dist/site/docs/index.html" in run("make docs")


def test_doctor_explain_and_policies_answer() -> None:
    assert "donjon explain" in run(".venv/bin/donjon doctor", ok=(0, NOT_READY))
    assert run("donjon doctor", ok=(0, NOT_READY))
    assert "provision" in run("donjon explain DJ104")
    assert "MutatingAdmissionPolicy" in run("donjon admission policies")
    assert "admitted" in run("donjon check testbed/examples/sgx-test.yaml")


def test_quotes_are_shown_and_verified_offline() -> None:
    assert "FMSPC" in run("donjon quote show vectors/teepot/sw_hardening/quote.bin").upper()
    assert "SWHardeningNeeded" in run(
        "donjon quote verify vectors/teepot/sw_hardening/quote.bin --collateral vectors/teepot/sw_hardening --at 2023-05-15"
    )


def test_an_enclave_is_shown_offline() -> None:
    said = run("donjon enclave show vectors/sigstruct/ita-minimal-enclave.signed.so")
    assert "Intel Trust Authority's client sample" in said


def test_collateral_is_shown_offline() -> None:
    assert "ends soon" in run("donjon collateral show vectors/dcap-qvl/sgx_quote_collateral.json --at 2025-06-20")


def test_policies_are_tested_offline() -> None:
    assert "4 cases, 0 failed" in run("donjon policy test docs/examples/policies")


def begin_to_run(command: str) -> subprocess.Popen[str]:
    """The command, which serves until it is told to stop."""
    return subprocess.Popen(["bash", "-c", f"exec {command}"], cwd=PROJECT, stderr=subprocess.PIPE, text=True)


def moved(command: str, folder: Path) -> str:
    """The README's command, in a folder of the test's own."""
    return command.replace("rehearsal", str(folder))


def free_pair() -> int:
    """A free port with a free one next to it: the README's own may be anybody's on this machine."""
    while True:
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
            try:
                two.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


def test_an_enclave_of_the_make_believe_intel_is_attested_and_its_token_checked(tmp_path: Path) -> None:
    folder, port = tmp_path / "rehearsal", free_pair()
    run(moved(".venv/bin/donjon attestation rehearse rehearsal", folder) + f" --port {port}")
    with begin_to_run(moved(".venv/bin/donjon attestation serve --config rehearsal/attestation.toml", folder)) as service:
        assert service.stderr is not None
        while "settings that weaken security" not in (told := service.stderr.readline()):
            assert told, "it ended"
        said = run(moved(".venv/bin/python docs/examples/attest.py rehearsal", folder) + f" https://127.0.0.1:{port}")
        service.terminate()
        service.communicate(timeout=30)
    assert said.count('"x-donjon-simulated": true') == 2
