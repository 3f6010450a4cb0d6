"""P4: attestations with a token and an audit record on the disk, beside a constant answer and the sum of their parts, bare.

Services of their own over SQLite (synchronous FULL, as always), plain HTTP with kept connections, 16 at once for each; on one
processor, the load on the other. The parts: verifying a quote of a platform seen before (P1), one signature, one audit record
written with as many others as there are connections. Costs are processor time a request, the server's alone, because the load
runs on the same machine; a ratio is the median of the rounds' ratios.

Two workers are two processes over one database, each on a processor, both shared with the load; what they gain is compared with
what two processes with a constant answer gain. Latency is at half of the rate that one worker has reached, and beside it that of
a constant answer at the same rate, which tells how quiet the machine was. Memory is that of the
process before and after so many requests: `--requests 100000` is the goal's own number, and takes some minutes.

Needs wrk and hey (Debian), and installs them as root.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median, quantiles

from benchmarks import attesting, load
from benchmarks.attesting import CONSTANT, Place, Running
from benchmarks.processes import processor_time, resident
from donjon.signing.signer import Algorithm

ROUNDS, SECONDS = 5, 3
HELD = 10  # seconds at half load
REQUESTS, WARM = 20_000, 5_000
GOAL_PARTS, GOAL_TWO, GOAL_P99, GOAL_GROWTH = 0.5, 0.9, 5.0, 0.02

Round = dict[str, float]


def main() -> None:
    """All figures, each with its goal."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--requests", type=int, default=REQUESTS, help="after which memory is looked at again")
    asked = options.parse_args()
    load.install()
    with tempfile.TemporaryDirectory() as folder, attesting.opened(Path(folder)) as place:
        one, _ = attesting.cores()
        running = {str(name): place.service(one, name) for name in Algorithm}
        running[CONSTANT] = place.constant(one)
        parts = attesting.parts(place)
        rounds = [_round(running, parts) for _ in range(ROUNDS)]
        for name in Algorithm:
            _tell(rounds, name)
        _two_workers(place, running)
        rate = median(each[f"{Algorithm.RS256} a second"] for each in rounds)
        _latency(running, rate / 2)
        _memory(running[Algorithm.RS256], asked.requests)


def _round(running: Mapping[str, Running], parts: Mapping[str, Callable[[], float]]) -> Round:
    """Seconds of each part and of each server a request, and each server's requests a second."""
    found = {name: measure() for name, measure in parts.items()}
    for name, each in running.items():
        rate, cost = _measured([each])
        found |= {f"{name} a request": cost, f"{name} a second": rate}
    return found


def _tell(rounds: list[Round], name: Algorithm) -> None:
    def middle(of: str) -> float:
        return median(each[of] for each in rounds)

    names = (attesting.VERIFICATION, str(name), attesting.RECORD)
    cost, constant = f"{name} a request", f"{CONSTANT} a request"
    ratio = median(sum(each[part] for part in names) / each[cost] for each in rounds)
    served = median((each[constant] + sum(each[part] for part in names)) / each[cost] for each in rounds)
    print(f"{name}: {middle(f'{name} a second'):.0f} attestations a second by one worker; {middle(cost) * 1e6:.0f} µs each")
    print(f"  parts: {', '.join(f'{each} {middle(each) * 1e6:.0f} µs' for each in names)}")
    print(f"  a constant answer: {middle(f'{CONSTANT} a second'):.0f} a second; {middle(constant) * 1e6:.0f} µs each")
    print(f"  of the parts' sum: {ratio:.2f}, goal {GOAL_PARTS:.2f}: {_met(ratio >= GOAL_PARTS)}")
    print(f"  with the constant answer as one of the parts: {served:.2f}")


def _two_workers(place: Place, running: Mapping[str, Running]) -> None:
    _, other = attesting.cores()
    beside = {str(name): place.service(other, name) for name in Algorithm} | {CONSTANT: place.constant(other)}
    rounds = [{name: _gain(running[name], each) for name, each in beside.items()} for _ in range(ROUNDS)]
    for name in beside:
        gain, cost = (median(each[name][which] for each in rounds) for which in (0, 1))
        print(f"two workers, {name}: {gain:.2f} times one, each for {cost:.2f} of the processor time")
    for name in Algorithm:
        ratio = median(each[name][0] / each[CONSTANT][0] for each in rounds)
        print(f"  {name} of what a constant answer gains: {ratio:.2f}, goal {GOAL_TWO:.2f}: {_met(ratio >= GOAL_TWO)}")


def _gain(one: Running, other: Running) -> tuple[float, float]:
    """How many times as many answers two give, and what each costs them, as a share of what it costs one alone."""
    alone, cost = _measured([one])
    both, cost_of_both = _measured([one, other])
    return both / alone, cost_of_both / cost


def _measured(running: Sequence[Running]) -> tuple[float, float]:
    """Answers a second, and seconds of processor time each."""
    before = sum(processor_time(each.process) for each in running)
    rate = load.throughput([each.post for each in running], SECONDS)
    return rate, (sum(processor_time(each.process) for each in running) - before) / (rate * SECONDS)


def _latency(running: Mapping[str, Running], rate: float) -> None:
    for name in (str(Algorithm.RS256), CONSTANT):
        taken = load.latencies(running[name].post, rate, HELD)
        middle, late = median(taken), quantiles(taken, n=100)[98]
        goal = "" if name == CONSTANT else f", goal {GOAL_P99:.1f}: {_met(late <= GOAL_P99 * middle)}"
        told = f"{name} at {len(taken) / HELD:.0f} a second: median {middle * 1e3:.1f} ms, p99 {late * 1e3:.1f} ms"
        print(f"{told}, {late / middle:.1f} times{goal}")


def _memory(running: Running, requests: int) -> None:
    load.send(running.post, WARM)
    before = resident(running.process)
    load.send(running.post, requests)
    after = resident(running.process)
    told = f"memory: {before:.1f} MiB, after {requests:,} requests more {after:.1f} MiB"
    print(f"{told}; goal at most {GOAL_GROWTH:.0%} more: {_met(after <= before * (1 + GOAL_GROWTH))}")


def _met(good: bool) -> str:  # noqa: FBT001 - said at once.
    return "met" if good else "MISSED"


if __name__ == "__main__":
    main()
    sys.stdout.flush()
