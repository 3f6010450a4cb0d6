"""`make siege`: every attack for a minute in the chart's memory limit, eight honest clients beside it; a table at the end.

Arguments: parts of attacks' names, for those alone. The environment's SECONDS says how long each lasts.
"""

import os
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table
from tests.siege import cell, siege
from tests.siege.attacks import ATTACKS
from tests.siege.fortress import fortress
from tests.siege.siege import Outcome

SECONDS = float(os.environ.get("SECONDS", "60"))
_COLUMNS = (
    "attack",
    "honest calls, lost",
    "median, p99",
    "/healthz p99",
    "memory before, most, after",
    "kills",
)


def main(parts: list[str]) -> int:
    """0 where every promise held."""
    console = Console()
    table = Table(*_COLUMNS, title=f"{SECONDS:g} s each, {cell.limit() >> 20} MiB")
    broken: list[str] = []
    for name in (each for each in ATTACKS if not parts or any(part in each for part in parts)):
        outcome = _laid(name)
        broken += outcome.broken() + _slow(outcome)
        row = _row(outcome)
        table.add_row(*row)
        console.print(" | ".join(row))
    console.print(table)
    for each in broken:
        console.print(f"BROKEN: {each}", markup=False)
    return 1 if broken else 0


def _laid(name: str) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="siege-") as folder, fortress(Path(folder)) as (service, bounds, target):
        return siege.lay(name, SECONDS, service, bounds, target)


def _slow(outcome: Outcome) -> list[str]:
    took = outcome.probes.slowest(0.99)
    return [f"{outcome.attack}: /healthz took {took * 1000:.0f} ms (p99)"] if took > siege.PROBED else []


def _row(outcome: Outcome) -> tuple[str, ...]:
    calls, probes = outcome.calls, outcome.probes
    memory = ", ".join(f"{size >> 20}" for size in (outcome.before, outcome.peak, outcome.after))
    return (
        outcome.attack,
        f"{len(calls.took)}, {len(calls.lost)}",
        f"{calls.slowest(0.5) * 1000:.0f}, {calls.slowest(0.99) * 1000:.0f} ms",
        f"{probes.slowest(0.99) * 1000:.0f} ms",
        f"{memory} MiB",
        f"{outcome.kills}",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
