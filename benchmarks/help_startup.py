"""`donjon --help` against the help of an empty click program: what our own modules add to the start. Goal: at most 2 times."""

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

RUNS = 21
GOAL = 2.0
_FLOOR = "import click\n\n@click.group()\ndef empty():\n    '''Nothing.'''\n\nempty()"


def main() -> None:
    """Both in turn, the median of each, and their ratio."""
    donjon = [str(Path(sys.executable).parent / "donjon"), "--help"]
    empty = [sys.executable, "-c", _FLOOR, "--help"]
    _seconds(donjon), _seconds(empty)
    pairs = [(_seconds(donjon), _seconds(empty)) for _ in range(RUNS)]
    ours, floor = median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)
    print(f"donjon --help {ours * 1000:.0f} ms, empty click program {floor * 1000:.0f} ms (medians of {RUNS}, in turn)")
    print(f"ratio {ours / floor:.2f}, goal {GOAL:.2f}: {'met' if ours / floor <= GOAL else 'MISSED'}")


def _seconds(command: list[str]) -> float:
    start = time.perf_counter()  # noqa: TID251 - a benchmark is there to ask the clock.
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start  # noqa: TID251 - this is what is measured.


if __name__ == "__main__":
    main()
