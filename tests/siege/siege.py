"""One attack, with the honest clients beside it: what came of it, and what of that breaks our promises."""

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread

from testbed import clock
from tests.endurance.process import Process
from tests.siege import attacks, honest
from tests.siege.cell import Cell
from tests.siege.honest import Record
from tests.siege.target import Target

PROBED = 0.1  # seconds in which /healthz answers in 99 of 100 cases, whatever others do
LEFT = 64 << 20  # bytes that an attack may leave behind
SETTLED = 75.0  # seconds after which nothing of an attack is left: the patience with idle connections, and some

_START = 20.0  # seconds in which a process of clients is there


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Of one attack; memory in bytes."""

    attack: str
    calls: Record
    probes: Record
    kills: int
    running: bool
    before: int
    peak: int
    after: int

    def broken(self) -> list[str]:
        """The promises that did not hold, but for the probes' time, which a test judges over all attacks."""
        return [
            f"{self.attack}: {text}"
            for holds, text in (
                (not self.kills and self.running, f"killed {self.kills} times, running: {self.running}"),
                (not self.calls.lost, f"{len(self.calls.lost)} honest calls lost, such as {self.calls.lost[:3]}"),
                (len(self.calls.took) > honest.CLIENTS, f"only {len(self.calls.took)} honest calls were made"),
                (not self.probes.lost, f"{len(self.probes.lost)} probes lost, such as {self.probes.lost[:3]}"),
                (self.after - self.before < LEFT, f"{(self.after - self.before) >> 20} MiB are left behind"),
            )
            if not holds
        ]


def lay(attack: str, seconds: float, service: Process, cell: Cell, target: Target) -> Outcome:
    """The attack for so long, and then until its memory is back, as long as that takes within bounds."""
    before, kills = service.memory(), cell.kills()
    with _probed(target) as probes, _called(target, seconds) as calls:
        _attack(attack, target, seconds)
    clock.wait_until(lambda: not service.runs() or service.memory() - before < LEFT, seconds=SETTLED, every=0.5)
    return Outcome(
        attack=attack,
        calls=calls,
        probes=probes,
        kills=cell.kills() - kills,
        running=service.runs(),
        before=before,
        peak=cell.peak(),
        after=service.memory() if service.runs() else 0,
    )


def _attack(name: str, target: Target, seconds: float) -> None:
    attacker = multiprocessing.get_context("spawn").Process(target=attacks.run, args=(name, target, seconds), daemon=True)
    attacker.start()
    attacker.join(seconds + attacks.PATIENCE + _START)
    attacker.kill()
    attacker.join()


@contextmanager
def _called(target: Target, seconds: float) -> Iterator[Record]:
    """The record is whole at the end of the block."""
    record = Record()
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe(duplex=False)
    clients = spawn.Process(target=honest.call, args=(target, seconds, theirs), daemon=True)
    clients.start()
    theirs.close()
    try:
        yield record
        assert ours.poll(seconds + honest.PATIENCE * honest.KEPT + _START), "the honest clients did not end"
        made: Record = ours.recv()
        record.took, record.lost = made.took, made.lost
    finally:
        clients.kill()
        clients.join()
        ours.close()


@contextmanager
def _probed(target: Target) -> Iterator[Record]:
    record, ended = Record(), Event()
    thread = Thread(target=honest.probe, args=(target, ended, record), name="kubelet")
    thread.start()
    try:
        yield record
    finally:
        ended.set()
        thread.join()
