"""`donjon pool prepare`, run for real: its script and its role in root file systems of Debian and Ubuntu, twice each."""

import shutil
from pathlib import Path

from tests import pages
from tests.debian.nodes import StandInNode
from tests.debian.preparing import INVENTORY, PACKAGES, play, role, script
from tests.pages import Terminal


def test_the_script_ends_what_doctor_says_and_the_second_time_there_is_nothing_to_do(node: StandInNode, tmp_path: Path) -> None:
    assert {"DJ009"} <= node.findings()
    script(node, tmp_path)
    before = node.run("sh", "/root/prepare.sh", "--check")
    assert (before.returncode, before.stderr) == (1, "")
    assert not (node.root / "etc/udev/rules.d/60-donjon-sgx.rules").exists()
    first = node.run("sh", "/root/prepare.sh")
    assert (first.returncode, first.stderr) == (0, "")
    assert node.findings() == {"DJ011", "DJ019"}  # No AESM was asked for, and the processor is a stand-in.
    second = node.run("sh", "/root/prepare.sh")
    assert second.stdout.splitlines()[-1] == "0 done"
    after = node.run("sh", "/root/prepare.sh", "--check")
    assert (after.returncode, after.stdout.splitlines()[-1]) == (0, "0 to do")


def test_the_role_ends_what_doctor_says_and_the_second_time_there_is_nothing_to_do(node: StandInNode, tmp_path: Path) -> None:
    role(node, tmp_path)
    script(node, tmp_path)
    before = play(node, "--check")
    assert before["changed"] > 3
    assert not (node.root / "etc/udev/rules.d/60-donjon-sgx.rules").exists()
    assert play(node)["failed"] == 0
    assert node.findings() == {"DJ011", "DJ019"}
    assert play(node)["changed"] == 0
    assert node.run("sh", "/root/prepare.sh", "--check").stdout.splitlines()[-1] == "0 to do"


def test_the_page_runs_as_it_stands(debian: StandInNode, tmp_path: Path) -> None:
    """What is for the node is run on it, as root; the rest beside it, on the node's facts."""
    reader = Terminal(folder=tmp_path, environment={"DONJON_HOST_ROOT": str(debian.root)}, instead={})
    said = []
    for command in pages.shown("prepare.md", __file__):
        if command.startswith("donjon "):
            said.append(reader.run(command, ok=(0,)))
            continue
        shutil.copytree(tmp_path, debian.root / "root", dirs_exist_ok=True, ignore=shutil.ignore_patterns("mounts"))
        debian.write("/root/nodes.ini", INVENTORY)
        done = debian.run("sh", "-c", f"cd /root && {command}")
        assert done.stderr == "" or "ansible" in command
        said.append(f"{done.returncode} {done.stdout}")
    doctor, plan, _, due, done_, again, _, check, playing = said
    assert doctor == ""
    assert "containerd: " in plan
    assert [each.splitlines()[-1] for each in (due, done_, again)] == ["6 to do", "6 done", "0 to do"]
    assert [each[:2] for each in (due, done_, again, check, playing)] == ["1 ", "0 ", "0 ", "0 ", "0 "]
    assert "changed=0" in playing


def test_what_is_printed_is_good_shell_and_good_rules(debian: StandInNode, tmp_path: Path) -> None:
    script(debian, tmp_path, *PACKAGES, "0" * 40)
    # What a node's os-release holds, it need not read; and awk's program is not the shell's.
    done = debian.run("shellcheck", "--severity=style", "--exclude=SC1091,SC2016", "/root/prepare.sh")
    assert done.stdout == ""
    for name in ("sgx", "sgx_prv", "rules"):
        assert debian.run("sh", "/root/prepare.sh", "--only", name).returncode == 0
    verified = debian.run("udevadm", "verify", "/etc/udev/rules.d/60-donjon-sgx.rules")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_the_role_is_good_ansible(debian: StandInNode, tmp_path: Path) -> None:
    """But for how its YAML is indented, and for try-restart, which no module does."""
    role(debian, tmp_path, *PACKAGES, "0" * 40)
    lint = "ansible-lint --offline --nocolor --profile production --skip-list yaml,command-instead-of-module prepare.yml"
    done = debian.run("sh", "-c", f"cd /root/playbook && {lint}")
    assert done.returncode == 0, done.stdout
