"""The command line as a person or a script meets it; where an end of each kind is under test, as a process of its own."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests import pages
from tests.adapters.places import short_folder
from tests.adapters.trees import written, written_without_devices
from tests.cli.calling import call, start

import donjon as package
from donjon.cli import COMMANDS
from donjon.simulation import host

USUAL = host.host("dc2ds-v3")
PAGES = Path(package.__file__).parent / "findings" / "pages"


def doctor(root: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return call("doctor", "--host-root", root, "--plugin-dir", root / "kubelet/device-plugins", *arguments)


# Help.


def test_help_lists_every_command_with_its_line() -> None:
    done = start("--help")
    assert done.returncode == 0
    for name, (_, text) in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(text.split(' ')[0])}", done.stdout, re.MULTILINE)


def test_help_loads_none_of_the_libraries_that_commands_need() -> None:
    heavy = (
        "asyncio",
        "rich",
        "ruamel",
        "httpx2",
        "grpclib",
        "google",
        "prometheus_client",
        "uvicorn",
        "tenacity",
        "h11",
        "lark",
        "jmespath",
    )
    code = (
        "import sys; from donjon.cli import donjon\n"
        "try: donjon(['--help'])\n"
        "except SystemExit: pass\n"
        f"print('LOADED', [name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED []"


def test_doctor_needs_no_library_of_the_agent() -> None:
    code = (
        "import sys; import donjon.cli.doctor\n"
        "print([name for name in ('httpx2', 'grpclib', 'google', 'prometheus_client', 'tenacity', 'h11') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "[]"


def test_every_command_has_help_of_its_own() -> None:
    for name in COMMANDS:
        assert call(name, "--help").returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("doctor", "--nonsense"),
        ("doctor", "--output", "xml"),
        ("node", "run"),
        ("node", "run", "--node-name", "n", "--epc-reserve", "1.5"),
        ("node", "run", "--node-name", "n", "--epc-reserve", "-1"),
        ("node", "run", "--node-name", "n", "--advertise", "epc,everything"),
        ("node", "run", "--node-name", "n", "--listen", "9808"),
        ("node", "run", "--node-name", "n", "--listen", "0.0.0.0:99999"),
        ("node", "run", "--node-name", "n", "--enclave-limit", "0"),
        ("node", "run", "--node-name", "n", "--host-prefix", "relative"),
        ("admission", "serve", "--drain", "-1"),
        ("attestation", "serve", "--drain", "-1"),
        ("node", "forget"),
        ("node", "forget", "--all", "sgx-1"),
    ],
)
def test_usage_that_is_wrong_is_exit_code_2_with_a_word_and_no_trace(arguments: tuple[str, ...]) -> None:
    done = call(*arguments)
    assert done.returncode == 2
    assert done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("word", "likely"), [("wy", "why"), ("atestation", "attestation"), ("polcy", "policy")])
def test_a_misspelt_command_is_told_with_the_one_that_may_be_meant(word: str, likely: str) -> None:
    done = call(word)
    assert (done.returncode, f"Did you mean {likely}?" in done.stderr) == (2, True)
    assert "Did you mean" not in call("zzzzzz").stderr


def test_several_wrong_settings_stand_in_a_line_each() -> None:
    done = call("node", "run", "--node-name", "n", "--listen", "nowhere", DONJON_ENCLAVE_LIMIT="many\nx")
    assert done.returncode == 2
    head, *faults = done.stderr.splitlines()
    assert head == "donjon: 2 settings are wrong [DJ500] (donjon explain DJ500)"
    assert sorted(each.partition(":")[0] for each in faults) == ["  --listen", "  DONJON_ENCLAVE_LIMIT"]


def test_the_agent_outside_a_pod_says_so_with_its_code() -> None:
    done = start("node", "run", "--node-name", "n", "--listen", "127.0.0.1:39808")
    assert done.returncode == 2
    assert "[DJ040] (donjon explain DJ040)" in done.stderr
    assert "Traceback" not in done.stderr


# doctor.


def nothing(_: Path) -> None:
    pass


def no_devices(root: Path) -> None:
    host.remove_devices(root)


def absurd_sysfs(root: Path) -> None:
    (root / "sys/devices/system/node/node0/x86/sgx_total_bytes").write_text(f"{2**64}\n")


def no_figures(root: Path) -> None:
    (root / "dev/cpu/0/cpuid").write_bytes(b"")
    absurd_sysfs(root)


def silent(root: Path) -> None:
    host.remove_devices(root)
    (root / "dev/cpu/0/cpuid").write_bytes(b"")


@pytest.mark.parametrize(
    ("machine", "change", "code", "words"),
    [
        ("dc2ds-v3", nothing, 0, "ready: this machine can run enclaves (SIMULATED"),
        ("dc2ds-v3", absurd_sysfs, 0, "DJ016"),
        ("dc2ds-v3", no_devices, 1, "DJ004"),
        ("dc2ds-v3", no_figures, 1, "DJ006"),
        ("none", nothing, 1, "DJ001"),
        ("dc2ds-v3", silent, 3, "DJ015"),
    ],
)
def test_doctor_ends_with_0_ready_1_not_ready_3_could_not_look(
    tmp_path: Path, machine: str, change: Callable[[Path], None], code: int, words: str
) -> None:
    root = written(tmp_path, host.host(machine))
    change(root)
    done = doctor(root)
    assert done.returncode == code, done.stdout
    assert words in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("root", ["/nowhere", "/dev/null", "/" + "x" * 300, "/dev/null/below"])
def test_a_root_that_is_no_folder_could_not_be_looked_at(root: str) -> None:
    done = call("doctor", "--host-root", root)
    assert done.returncode == 3
    assert "[DJ050]" in done.stderr
    assert "Traceback" not in done.stderr


def test_doctor_runs_on_this_very_machine_whatever_it_is() -> None:
    done = start("doctor", "--output", "json")
    assert done.returncode in {0, 1, 3}
    assert json.loads(done.stdout)["simulated"] is False


def test_json_holds_the_same_verdict_findings_and_facts(tmp_path: Path) -> None:
    root = written(tmp_path, USUAL)
    absurd_sysfs(root)
    done = doctor(root, "--output", "json")
    document = json.loads(done.stdout)
    assert done.returncode == 0
    assert (document["ready"], document["simulated"], document["inPod"]) == (True, True, False)
    assert document["donjon"] == package.__version__
    assert {"DJ016", "DJ019"} <= {finding["code"] for finding in document["findings"]}
    assert all(set(finding) == {"code", "severity", "subject", "found", "why", "do"} for finding in document["findings"])
    facts = {fact["name"]: fact for fact in document["facts"]}
    assert facts["epc"]["value"] == 8 << 30
    assert facts["cpu: sgx version"]["value"] == 2
    assert facts["epc by NUMA node"]["value"] is None
    assert "[DJ903]" in facts["epc by NUMA node"]["unknown"]
    assert "unknown" not in facts["epc"]


def test_the_table_tells_the_place_of_every_fact(tmp_path: Path) -> None:
    root = written_without_devices(tmp_path, USUAL)
    assert f"stand-in file {root}/dev/cpu/0/cpuid" in doctor(root).stdout


SECRET = "hunter2-do-not-tell"  # noqa: S105 - what must not be told is under test.


def test_a_bundle_holds_what_was_said_and_no_secret(tmp_path: Path) -> None:
    config = (
        'version = 3\n[plugins."io.containerd.cri.v1.images".registry.configs."registry.example".auth]\n'
        f'  username = "ci"\n  password = "{SECRET}"\n'
        '[plugins."io.containerd.cri.v1.runtime"]\n  device_ownership_from_security_context = true\n'
    )
    root = written(tmp_path / "host", replace(USUAL, containerd=config))
    bundle = tmp_path / "bundle.json"
    done = start(
        *("doctor", "--host-root", root, "--plugin-dir", root / "kubelet/device-plugins", "--bundle", bundle),
        REGISTRY_PASSWORD=SECRET,
        DONJON_NODE_NAME=f"node-{SECRET}",
    )
    assert done.returncode == 0
    text = bundle.read_text(encoding="utf-8")
    document = json.loads(text)
    assert next(fact for fact in document["facts"] if fact["name"] == "container runtime: device ownership")["value"] is True
    for said in (text, done.stdout, done.stderr, doctor(root, "-o", "json").stdout):
        assert SECRET not in said
        assert "password" not in said


def test_a_bundle_that_cannot_be_written_could_not_look(tmp_path: Path) -> None:
    root = written_without_devices(tmp_path / "host", USUAL)
    done = doctor(root, "--bundle", tmp_path / "nowhere" / "bundle.json")
    assert done.returncode == 3
    assert "[DJ051]" in done.stderr


@pytest.mark.parametrize("odd", ["[/]", "[bold]", "[/no-such-tag]", "[link=x]", ":warning:", "\\[", "[DJ999]"])
def test_what_a_host_calls_itself_is_printed_as_it_is(tmp_path: Path, odd: str) -> None:
    """The table's library reads square brackets as markup, and raises for those that close nothing."""
    root = written_without_devices(tmp_path, replace(USUAL, kernel=f"6.8.0-{odd}"))
    (root / "dev/isgx").symlink_to(f"to-{odd}-and-on")
    done = doctor(root)
    assert "Traceback" not in done.stderr
    assert f"6.8.0-{odd}" in done.stdout
    assert f"to-{odd}-and-on" in done.stdout


def test_a_link_that_is_no_text_is_printed_all_the_same(tmp_path: Path) -> None:
    root = written_without_devices(tmp_path, USUAL)
    (root / "dev/isgx").symlink_to(os.fsdecode(b"\xff\xfe"))
    for form in ("text", "json"):
        done = start("doctor", "--host-root", root, "--plugin-dir", root / "kubelet/device-plugins", "--output", form)
        assert done.returncode == 1, done.stderr
        assert "\ufffd" in done.stdout


def test_another_device_plugin_is_told_by_its_socket() -> None:
    with short_folder() as folder, socket.socket(socket.AF_UNIX) as theirs:
        root = written_without_devices(folder, USUAL)
        (root / "kubelet/device-plugins").mkdir(parents=True)
        theirs.bind(str(root / "kubelet/device-plugins/sgx.intel.com-enclave.sock"))
        assert "DJ018" not in doctor(root).stdout, "a socket that nobody listens at is a leftover"
        theirs.listen()
        assert "DJ018 sgx.intel.com/enclave" in doctor(root).stdout


def test_a_kubelet_without_its_socket_is_told_where_there_is_a_kubelet_and_sgx() -> None:
    with short_folder() as folder, socket.socket(socket.AF_UNIX) as kubelet:
        root = written(folder, USUAL)
        assert doctor(root).returncode == 0, "a laptop has no kubelet"
        (root / "kubelet/device-plugins").mkdir(parents=True)
        done = doctor(root)
        assert done.returncode == 1
        assert "DJ053 kubelet" in done.stdout
        kubelet.bind(str(root / "kubelet/device-plugins/kubelet.sock"))
        assert doctor(root).returncode == 0


def test_doctor_in_a_pod_that_may_not_ask_says_what_it_could_not_see(tmp_path: Path) -> None:
    root = written_without_devices(tmp_path, USUAL)
    done = call(
        *("doctor", "--host-root", root, "--plugin-dir", root),
        KUBERNETES_SERVICE_HOST="127.0.0.1",
        KUBERNETES_SERVICE_PORT="1",
        DONJON_NODE_NAME="sgx-1",
    )
    assert done.returncode == 1
    assert "DJ021" in done.stdout


# Help and completion.


@pytest.mark.parametrize(
    "group", ["", "admission", "attestation", "attestation keys", "audit", "collateral", "node", "policy", "quote", "token"]
)
def test_no_line_of_help_is_cut(group: str) -> None:
    lines = call(*group.split(), "--help").stdout.splitlines()
    assert [line for line in lines if line.endswith("...") and not line.startswith("Usage: ")] == []


COMPLETION = pages.shown("commands.md", __file__)


def completed(command: str) -> str:
    """What the shell prints, with the `donjon` of these tests on its path."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ("bash", "-c", command), capture_output=True, text=True, check=True, timeout=60, env={**os.environ, "PATH": path}
    )
    return done.stdout


def test_the_shell_completes_as_the_page_says() -> None:
    bash, zsh, fish = COMPLETION
    words = 'COMP_WORDS=(donjon pol) COMP_CWORD=1; _donjon_completion donjon; echo "${COMPREPLY[@]}"'
    registered, reply = completed(f"{bash}; complete -p donjon; {words}").splitlines()
    assert (registered.split()[-1], reply) == ("donjon", "policy")
    assert completed(zsh.removeprefix('eval "$(').removesuffix(')"')).startswith("#compdef donjon")
    assert "complete --no-files --command donjon" in completed(fish.removesuffix(" | source"))


# explain.


@pytest.mark.parametrize("code", ["DJ004", "dj004", "004", "101", "DJ101", "DJ902"])
def test_explain_prints_the_page_of_a_code(code: str) -> None:
    done = call("explain", code)
    assert done.returncode == 0
    assert done.stdout == (PAGES / f"DJ{code[-3:]}.md").read_text(encoding="utf-8")


def test_explain_alone_lists_every_code_with_its_title() -> None:
    lines = call("explain").stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == sorted(page.stem for page in PAGES.iterdir())
    assert all(re.fullmatch(r"DJ\d{3}: \S.+", line) for line in lines)


@pytest.mark.parametrize("code", ["DJ999", "999", "١٠٤", "", "../../errors", "DJ004.md", "x" * 5000])
def test_a_code_that_is_none_is_exit_code_2(code: str) -> None:
    done = call("explain", code)
    assert done.returncode == 2
    assert "no code" in done.stderr
    assert len(done.stderr) < 200
