"""The pages for readers: which commands they show, which test runs each of them, and a terminal to run them in.

The README is not among them: tests/house/test_readme.py looks after it.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testbed import clock

PROJECT = Path(__file__).parents[1]
DOCS = PROJECT / "docs"
PROGRAMS = PROJECT / "testbed" / "bin"
WHOLE = ""
SECONDS = 240  # for the slowest command, an install that waits

WHERE = ("aks", "metal", "alibaba")
_FROM_NOTHING = "cluster/test_from_nothing.py"
_OFFLINE, _ON_A_CLUSTER = "cli/test_page_commands.py", "cluster/test_page_commands.py"

RUN_BY: Mapping[str, Mapping[str, str]] = {
    "attestation-in-a-cluster.md": {WHOLE: "cluster/test_attestation_page.py"},
    "attestation-service.md": {WHOLE: "services/test_attestation_rehearsal.py", "$ curl ": "conformance/test_relying_parties.py"},
    "autoscaling.md": {WHOLE: _ON_A_CLUSTER},
    "audit.md": {WHOLE: _OFFLINE, "## Backup and restore": "services/test_backup.py"},
    "callers-and-keys.md": {WHOLE: _OFFLINE},
    "checking-manifests.md": {WHOLE: _ON_A_CLUSTER},
    "collateral-cache.md": {WHOLE: _OFFLINE},
    "commands.md": {WHOLE: "cli/test_cli.py", "## How you get it": "cli/test_wheel.py"},
    "enclaves.md": {WHOLE: "cli/test_enclave.py"},
    "install.md": {
        WHOLE: _ON_A_CLUSTER,
        "$ make image": "cluster/test_readme.py",
        "$ make release": "cluster/test_readme.py",
    },
    **{f"from-nothing-on-{where}.md": {WHOLE: _FROM_NOTHING, "$ make image": "cluster/test_readme.py"} for where in WHERE},
    "metering.md": {WHOLE: _ON_A_CLUSTER},
    "machines.md": {WHOLE: "cli/test_pool.py"},
    "monitoring.md": {WHOLE: "cluster/test_metrics.py"},
    "prepare.md": {WHOLE: "debian/test_prepare.py"},
    "planning.md": {WHOLE: "cluster/test_scheduling.py", "## Watching": "cluster/test_pool_watch.py"},
    "policies.md": {WHOLE: "cli/test_policy.py", "## Set it at a service": "cli/test_policy_online.py"},
    "quotas.md": {WHOLE: _ON_A_CLUSTER},
    "relying-parties.md": {WHOLE: "conformance/test_relying_parties.py"},
    "signing-enclaves.md": {WHOLE: "adapters/test_signing_page.py"},
    "status.md": {WHOLE: _ON_A_CLUSTER},
    "trusted-enclaves.md": {WHOLE: "cli/test_check_policy.py", "## On the cluster": "cluster/test_enclave_policies.py"},
    "upgrading.md": {WHOLE: "cluster/test_upgrading.py"},
    "verifying-quotes.md": {WHOLE: "attestation/test_page.py"},
    "why.md": {WHOLE: _ON_A_CLUSTER},
    "wrapping.md": {WHOLE: "wrapping/test_wrapping_page.py"},
}
"""By page: which test runs its commands. One section, or what begins in one way, may be another test's."""

NOT_RUN: Mapping[str, str] = {
    "$ PCKIDRetrievalTool": "Intel's, for a machine with SGX; its request is in tests/collateral/test_upload.py",
    "$ pccsadmin.py": "Intel's; its requests are in tests/services/test_attestation_platforms.py",
    "$ az": "Azure's, with an account there; what it prints is in tests/policy/test_forms.py",
    "$ aliyun": "Alibaba's, with an account there; what it is given is in tests/fleet/test_forms.py",
    "$ scp": "with machines of the reader's; what runs on them is in tests/debian/test_prepare.py",
    "$ ssh": "as above",
    "$ skopeo": "with a registry of the reader's; tried by hand (docs/install.md)",
    "$ donjon plan --watch pools.yaml --apply": "with a cloud of the reader's; see tests/cluster/test_pool_watch.py",
    "$ donjon enclave keygen https://team.managedhsm.azure.net/keys/release": "see tests/adapters/test_managed_hsm.py",
    "$ donjon enclave sign enclave.signed.so --key https://team.managedhsm.azure.net/keys/release": "as above",
    "$ donjon pool apply": "with an account at Azure; its calls are in tests/cli/test_pool_apply.py",
}
"""How a command begins that no test runs, and why."""


def text(page: str) -> str:
    """The page as it stands."""
    return (DOCS / page).read_text(encoding="utf-8")


def commands(markdown: str) -> list[str]:
    """Every command of its console blocks; lines that go on are joined, comments behind a command left out."""
    blocks = re.findall(r"^ *```console\n(.*?)^ *```", markdown, re.MULTILINE | re.DOTALL)
    lines = re.findall(r"^ *\$ (.+)$", "\n".join(blocks).replace("\\\n", " "), re.MULTILINE)
    return [" ".join(line.partition("  # ")[0].split()) for line in lines]


def answers(markdown: str) -> list[tuple[str, list[str]]]:
    """Every command of its console blocks, and the lines that the page shows as its answer; … is anything."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^ *```console\n(.*?)^ *```", markdown, re.MULTILINE | re.DOTALL):
        for each in re.split(r"^ *\$ ", block.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
            command, *lines = each.splitlines()
            found += [(typed, [line for line in lines if line.strip("…")]) for typed in commands(f"```console\n$ {command}\n```")]
    return found


def is_shown(line: str, answer: str) -> bool:
    """Whether an answer has the line that a page shows of it."""
    pattern = ".*".join(map(re.escape, line.split("…")))
    return re.search(f"^{pattern}$", answer, re.MULTILINE) is not None


def sections(page: str) -> dict[str, str]:
    """By heading, what stands under it; what is subordinate to a heading of RUN_BY belongs to that one."""
    found: dict[str, str] = {}
    heading = WHOLE
    for line in re.split(r"^(?=#)", text(page), flags=re.MULTILINE):
        title = line.partition("\n")[0]
        if title.startswith("## "):
            heading = title if title in RUN_BY.get(page, ()) else WHOLE
        found[heading] = found.get(heading, "") + line
    return found


def shown(page: str, test: str) -> list[str]:
    """The commands of the page that this test, named by its `__file__`, is to run, in the page's order."""
    here, table = str(Path(test).relative_to(PROJECT / "tests")), RUN_BY[page]

    def runs(command: str, heading: str) -> str:
        return next((by for begins, by in table.items() if begins and f"$ {command}".startswith(begins)), table[heading])

    return [
        command
        for heading, markdown in sections(page).items()
        for command in commands(markdown)
        if runs(command, heading) == here and not f"$ {command}".startswith(tuple(NOT_RUN))
    ]


def examples(page: str, language: str) -> list[str]:
    """The page's blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text(page), re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """Somebody who types what a page shows, in a folder, with the programs that the project brings."""

    folder: Path
    environment: Mapping[str, str]
    instead: Mapping[str, str]
    """What a reader puts in place of an example's name or path."""

    def typed(self, command: str) -> str:
        """The command with this reader's names."""
        for example, own in self.instead.items():
            command = command.replace(example, own)
        return command

    def _whole_environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(Path(sys.executable).parent), str(PROGRAMS), os.environ["PATH"]])
        clean = {name: value for name, value in os.environ.items() if not name.startswith("DONJON_")}
        return {**clean, "PATH": path, **self.environment}

    def run(self, command: str, *, ok: tuple[int, ...] = (0,)) -> str:
        """What it printed, errors too."""
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", self.typed(command)],
            cwd=self.folder,
            env=self._whole_environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        assert done.returncode in ok, f"{command}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout + done.stderr

    @contextmanager
    def serving(self, command: str, until: str, log: Path) -> Iterator[None]:
        """The command beside others, which serves until the end of the block; it has begun when its log says so."""
        with (
            log.open("w") as sink,
            subprocess.Popen(
                ["bash", "-c", f"exec {self.typed(command)}"], cwd=self.folder, env=self._whole_environment(), stderr=sink
            ) as program,
        ):
            try:
                with log.open() as said:
                    lines = ""
                    while until not in lines:
                        clock.pause(0.05)
                        assert program.poll() is None, f"{command}: {lines}"
                        lines += said.read()
                yield
            finally:
                program.terminate()
                program.wait(30)
