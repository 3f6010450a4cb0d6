"""`make test-debian13`: the quick tests on Debian 13, with its Python 3.13 and OpenSSL 3.5, whatever this machine runs on.

What follows is handed on to pytest, instead of all the tests: `python -m tests.debian tests/pki`.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from testbed.trouble import Lacking
from tests.check import SHARED
from tests.debian.root import CHECKOUT, NAMESPACES, TRIXIE, able, ensure

_INSTALL = 'pip install --quiet --no-index --no-deps --no-build-isolation -e . && exec python -m pytest -q "$@"'

_LONE = "tests/endurance"
LEFT_OUT: Mapping[str, str] = {
    "tests/cluster": "a cluster's programs bring no Python of the machine with them",
    "tests/deploy": "they need the testbed's Helm, and the image has a Python of its own",
    "tests/alerts": "promtool is Go's, and brings nothing of the machine with it",
    "tests/kernel": "its guests have a kernel of their own, and the machine's Python has tests of its own",
    "tests/adapters/test_epc_reader.py": "its programs are the kernel's, which is the same, and a compiler makes them",
    "tests/siege": "it has a memory and a time of its own",
    "tests/debian": "they are about this step",
    "tests/conformance/test_foreign_clients.py": "clients in other languages meet the same bytes",
    "tests/conformance/test_fortanix_client.py": "so does this one, in Rust",
    "tests/conformance/test_fortanix_sigstruct.py": "and this one",
    "tests/conformance/test_archives.py": "and this one, in Go",
    "tests/conformance/test_relying_parties.py": "two of the three are Node and Go, and the third uses a library alone",
    "tests/sgxs": "they are Rust's, and bring nothing of the machine with them",
    "tests/adapters/test_registry.py": "the registry and who fills it are Go's, and need more of a machine than is there",
    "tests/conformance/test_policies.py": "Kubernetes' evaluator is Go's, and brings nothing of the machine with it",
    "tests/endurance/test_faults.py": "minutes of a disk that fills",
    "tests/endurance/test_kills.py": "minutes of kills under load",
}
"""What is not run a second time, and why."""


def main(arguments: list[str]) -> int:
    """The exit code of pytest in there; where this machine cannot hold it, 0 and a line that `make check` repeats at its end."""
    try:
        able()
        root = ensure(TRIXIE, CHECKOUT / "requirements" / "dev.txt")
    except Lacking as error:
        print(unable(error))
        return 0
    print(f"in {root}", flush=True)
    calls = [arguments] if arguments else [shared(), lone()]
    return max(enter(root, "sh", "-ec", _INSTALL, "sh", *words) for words in calls)


def unable(error: Lacking) -> str:
    """Said as pytest says it, so that `make check` reads it."""
    return f"SKIPPED [1] tests/debian: {' '.join(str(error).split())}"


def enter(root: Path, *command: str) -> int:
    """The exit code of a command that ran there, on the checkout as it stands; nothing that it writes stays."""
    with tempfile.TemporaryDirectory(prefix="donjon-") as scratch:
        script = CHECKOUT / "tests" / "debian" / "enter"
        within = (*NAMESPACES, str(script), str(root), str(CHECKOUT), scratch, *command)
        return subprocess.call(within, env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"})


def shared() -> list[str]:
    """The quick tests that share the processors, in pytest's words."""
    return ["tests", *SHARED, "--durations", "5", *_ignoring(*LEFT_OUT, _LONE)]


def lone() -> list[str]:
    """Those that need the machine for themselves."""
    return [_LONE, "--durations", "5", *_ignoring(*LEFT_OUT)]


def _ignoring(*paths: str) -> list[str]:
    return [word for path in paths for word in ("--ignore", path)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
