"""`make meter`: the product's meter beside the truth, in QEMU, on Debian's kernels.

`--quick` is what `make check` runs: no mutants, and no look at kernels that are not booted. Two guests run at a time.
Where this machine cannot run them, a line says why, which `make check` repeats at its end.
"""

import subprocess
import sys

from testbed.trouble import Lacking
from tests.kernel import kernels, modules
from tests.kernel.modules import Truth

QUICK = "--quick"
_FILES = ("tests/kernel/test_truth.py", "tests/kernel/test_mutants.py", "tests/kernel/test_layout.py")


def main(arguments: list[str]) -> int:
    """The exit code of pytest; what this machine lacks is a line, and where it lacks all, nothing runs."""
    prepared = [_is_prepared(series) for series in kernels.SERIES]
    if not any(prepared):
        return 0
    files = _FILES[:1] if QUICK in arguments else _FILES
    options = ("-n", "2", "--dist", "worksteal", "--durations", "0", "-v")
    return subprocess.call((sys.executable, "-m", "pytest", *options, *files))


def _is_prepared(series: str) -> bool:
    """Whether that kernel and its modules are there, so that no guest waits for a compiler."""
    try:
        kernels.able()
        kernel = kernels.ensure(kernels.newest(series))
        for truth in Truth:
            modules.build(kernel, truth)
    except Lacking as error:
        print(f"SKIPPED [1] tests/kernel: {' '.join(str(error).split())}", flush=True)
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
