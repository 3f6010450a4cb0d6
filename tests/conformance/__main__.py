"""`make differential`: 100,000 mutants judged by Donjon and by dcap-qvl, then each bit of two quotes and their collateral turned.

`python -m tests.conformance [MUTANTS [FIRST]]` takes another number of them, or others.
"""

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import cache

from rich.console import Console
from rich.progress import track
from tests.conformance import differential, flips
from tests.conformance.differential import Outcome
from tests.conformance.flips import Bit
from tests.conformance.mutants import Mutant
from tests.conformance.peer import Peer
from tests.conformance.reasons import REASONS

MUTANTS = 100_000
BATCH = 100
CONSOLE = Console()


@cache
def _bases() -> list[Mutant]:
    return differential.bases()


@cache
def _peer() -> Peer:
    """One a process; it ends with the process, whose end closes its input."""
    return Peer()


def _compared(numbers: range) -> list[Outcome]:
    return [differential.compare(_peer(), number, _bases()) for number in numbers]


def _turned(batch: tuple[str, range]) -> list[tuple[Bit, str]]:
    base = _base(batch[0])
    return list(flips.survivors(base, [_bits(base.told)[place] for place in batch[1]]))


@cache
def _bits(told: str) -> list[Bit]:
    return flips.bits(_base(told))


def _base(told: str) -> Mutant:
    return next(base for base in _bases() if base.told == told)


def main(arguments: Sequence[str]) -> int:
    """1 where they differ without a reason, or a bit was turned and nobody noticed."""
    count, first = (*map(int, arguments), *(MUTANTS, 0)[len(arguments) :])
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        return max(_differential(pool, range(first, first + count)), _every_bit(pool))


def _differential(pool: Executor, numbers: range) -> int:
    batches = [numbers[start : start + BATCH] for start in range(0, len(numbers), BATCH)]
    answers = track(pool.map(_compared, batches), f"{len(numbers)} mutants", total=len(batches), console=CONSOLE)
    counted: Counter[str] = Counter()
    bugs = []
    for outcome in (each for batch in answers for each in batch):
        counted["judged alike" if outcome.judged else "refused by both" if outcome.agree else outcome.reason or "NO REASON"] += 1
        if not outcome.agree and outcome.reason is None:
            bugs.append(outcome)
    for why, times in counted.most_common():
        CONSOLE.print(f"{times:7} {why}", highlight=False)
    for why in sorted({each.why for each in REASONS} - set(counted)):
        CONSOLE.print(f"      0 {why}", highlight=False)
    for bug in bugs:
        CONSOLE.print(f"mutant {bug.number}: {bug.told}\n  ours:   {bug.ours}\n  theirs: {bug.theirs}", markup=False)
    return 1 if bugs else 0


def _every_bit(pool: Executor) -> int:
    found = 0
    for told in flips.WHOLE:
        count = len(_bits(told))
        batches = [(told, range(start, min(start + BATCH, count))) for start in range(0, count, BATCH)]
        survivors = [bit for batch in _tracked(pool, told, batches) for bit in batch]
        CONSOLE.print(f"{told}: {count} bits turned, {len(survivors)} unnoticed", highlight=False)
        for bit, said in survivors:
            CONSOLE.print(f"  {bit}: {said}", markup=False)
        found += len(survivors)
    return 1 if found else 0


def _tracked(pool: Executor, told: str, batches: list[tuple[str, range]]) -> Iterator[list[tuple[Bit, str]]]:
    yield from track(pool.map(_turned, batches), f"every bit of {told[:12]}", total=len(batches), console=CONSOLE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
