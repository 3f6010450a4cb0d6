"""`make check`: every check in turn with its time; the last lines say what failed, what could not run here and what to install.

What could not run is a failure where CI=true, so that a green CI means that everything ran.
"""

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.machine import WORKERS, possible

ROOT = Path(__file__).resolve().parents[1]
BIN = ROOT / ".venv" / "bin"
_SKIPPED = re.compile(r"^SKIPPED \[\d+\] (?P<where>\S+?): (?P<why>.+)$")
_FAILED = re.compile(r"^(?:FAILED|ERROR) tests/")
_LONG = 400  # characters of one failure


@dataclass(frozen=True, slots=True)
class Step:
    """One check: what it is for and the command that does it."""

    name: str
    command: tuple[str, ...]


SHARED = ("-n", "auto", "--maxprocesses", "4", "--dist", "loadfile", "--no-loadscope-reorder")
"""pytest-xdist: tests of one file share what they start, those of different files share nothing."""

_LONE = ("tests/siege", "tests/endurance")
_OF_A_CLUSTER = ("tests/cluster", "tests/deploy")
_OF_A_KERNEL = "tests/kernel"
_LONG_TO_BUILD = "tests/sgxs"
_ELSEWHERE = tuple(word for folder in (*_LONE, *_OF_A_CLUSTER, _OF_A_KERNEL, _LONG_TO_BUILD) for word in ("--ignore", folder))
FAST = (
    Step("tests", (str(BIN / "pytest"), "-q", *SHARED, *_ELSEWHERE, "--durations", "5")),
    Step("tests that need the machine for themselves", (str(BIN / "pytest"), "-q", *_LONE, "--durations", "5")),
)
"""What needs no cluster, and root for little; `make test-fast` runs these alone."""


def _machines() -> tuple[str, ...]:
    """Two machines with a testbed each share the tests of a cluster, where they can be made and no other cluster is named."""
    if not possible() or "DONJON_TEST_KUBECONFIG" in os.environ:
        return ()
    return (*WORKERS, "--dist", "loadfile", "--no-loadscope-reorder")


STEPS = (
    Step("format", (str(BIN / "ruff"), "format", "--check", ".")),
    Step("lint", (str(BIN / "ruff"), "check", ".")),
    Step("imports", (str(BIN / "lint-imports"),)),
    Step("types", (str(BIN / "mypy"),)),
    Step("programs that tests build", (str(BIN / "python"), "-m", "tests.programs")),
    *FAST,
    Step("the meter beside the truth, on Debian's kernels", (str(BIN / "python"), "-m", "tests.kernel", "--quick")),
    Step("the quick tests on Debian 13", (str(BIN / "python"), "-m", "tests.debian")),
    Step("tests on a real cluster", (str(BIN / "pytest"), "-v", *_machines(), *_OF_A_CLUSTER, "--durations", "10")),
)


def main(steps: tuple[Step, ...]) -> int:
    """Run every step, even after one failed; 0 only when all passed and, in CI, none was skipped."""
    failed, skipped = [], []
    for number, step in enumerate(steps, start=1):
        print(f"== [{number}/{len(steps)}] {step.name}", flush=True)
        start = time.perf_counter()  # noqa: TID251 - how long a check took is told, not decided by.
        code, lines = _run(step)
        skipped += skips(lines)
        print(f"== {step.name}: {'ok' if code == 0 else 'FAILED'} in {time.perf_counter() - start:.0f} s", flush=True)  # noqa: TID251 - this is what is measured.
        if code:
            failed += [f"FAILED: {step.name}", *(f"  {line[:_LONG]}" for line in lines if _FAILED.match(line))]
    return _conclude(failed, skipped)


def _run(step: Step) -> tuple[int, list[str]]:
    """The step's exit code and its lines, each shown as it comes. What Python compiles is kept, for tests start many programs."""
    lines = []
    keeping = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    with subprocess.Popen(
        step.command, cwd=ROOT, env=keeping, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            lines.append(line.rstrip("\n"))
    return process.returncode, lines


def skips(lines: list[str]) -> list[str]:
    """What a step said that it could not run, and why."""
    return [f"{match['where']}: {match['why']}" for line in lines if (match := _SKIPPED.match(line))]


def _conclude(failed: list[str], skipped: list[str]) -> int:
    strict = os.environ.get("CI") == "true"
    print()
    for reason in sorted(set(skipped)):
        print(f"NOT RUN here: {reason}")
    if skipped and strict:
        print("with CI=true everything must run, so this is a failure")
    for line in failed:
        print(line)
    good = not failed and not (skipped and strict)
    print("check: all passed" if good and not skipped else "check: passed, but not everything ran" if good else "check: failed")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(FAST if "--fast" in sys.argv else STEPS))
