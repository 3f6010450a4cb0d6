"""Our node agent beside Intel's device plugin, on the same node of the testbed, with the same kubelet.

Three figures: resident memory and processor time while idle, and the time from the moment a restarted kubelet made its socket to
the plugin's registration, by the kubelet's own log. Intel's plugin does less (devices only; no EPC, labels,
condition, readiness or metrics), so a ratio above 1 in memory is what all that costs.

Needs root and `make up`; ends with everything as it was.
"""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median

from testbed import binaries, cluster, demo, node
from testbed.commands import run
from testbed.layout import Layout, Node, here

from benchmarks.processes import pause, processor_time, resident, text

IDLE_SECONDS = 60
RESTARTS = 20
GOAL_MEMORY = 45.0
GOAL_CPU = 1.0
_LINE = re.compile(r"^[IWE]\d{4} (?P<time>\d\d:\d\d:\d\d\.\d{6}) .*?\] (?P<text>.*)$")
_ENCLAVE = "sgx.intel.com/enclave"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one plugin needs: MiB, percent of one processor, and seconds until it is registered after each kubelet restart."""

    memory: float
    cpu: float
    registered: list[float]


def main() -> None:
    """Ours, then Intel's, then the ratios."""
    layout = here()
    if cluster.owner() != layout.checkout:
        sys.exit("no testbed is up: make up")
    demo.install(layout)
    binaries.ensure(layout, ("peers",))
    one = next(each for each in cluster.nodes(layout) if each.machine != "none")
    ours = _measure(layout, one, _only("donjon node run", one))
    with _without_agents(layout), _intel(layout, one) as process:
        intel = _measure(layout, one, process)
    _print(ours, intel)


def _print(ours: Figures, intel: Figures) -> None:
    print(f"{'':32}{'Donjon':>10}{'Intel':>10}{'ratio':>8}")
    rows = (
        ("resident memory, MiB", ours.memory, intel.memory),
        (f"idle CPU over {IDLE_SECONDS} s, %", ours.cpu, intel.cpu),
        (f"registered after restart, median of {RESTARTS}, s", median(ours.registered), median(intel.registered)),
        (f"registered after restart, worst of {RESTARTS}, s", max(ours.registered), max(intel.registered)),
    )
    for what, our, their in rows:
        print(f"{what:48}{our:10.2f}{their:10.2f}{f'{our / their:8.2f}' if their else '       –'}")
    print(f"goal: at most {GOAL_MEMORY:.0f} MiB: {'met' if ours.memory <= GOAL_MEMORY else 'MISSED'}")
    print(f"goal: less than {GOAL_CPU:.0f} % of a processor: {'met' if ours.cpu < GOAL_CPU else 'MISSED'}")


def _measure(layout: Layout, one: Node, process: int) -> Figures:
    pause(5)
    before, memory = processor_time(process), []
    for _ in range(IDLE_SECONDS):
        pause(1)
        memory.append(resident(process))
    cpu = (processor_time(process) - before) / IDLE_SECONDS * 100
    return Figures(memory=median(memory), cpu=cpu, registered=[_restart(layout, one) for _ in range(RESTARTS)])


def _restart(layout: Layout, one: Node) -> float:
    """Seconds from the restarted kubelet's socket to the plugin's registration, by the kubelet's log."""
    log, socket = layout.logs / f"kubelet-{one.name}.log", one.plugins(layout) / "kubelet.sock"
    size = log.stat().st_size
    node.restart_kubelet(layout, one)
    for _ in range(300):
        pause(0.1)
        registered = _moment(
            _since(log, size), f'registration request from device plugin with resource" resourceName="{_ENCLAVE}'
        )
        if registered is not None:
            made = datetime.fromtimestamp(socket.stat().st_ctime)  # noqa: DTZ006 - the log has the time of this machine, too.
            return registered - _of_the_day(made)
    raise SystemExit(f"{one.name}: no registration within 30 s of a kubelet restart; see {log}")


def _since(log: Path, size: int) -> str:
    """What the log holds since then; a log that was begun anew is new as a whole."""
    data = log.read_bytes()
    return data[size if len(data) >= size else 0 :].decode(errors="replace")


def _moment(text: str, part: str) -> float | None:
    """Seconds of the day at which a line with that part was logged first."""
    for line in text.splitlines():
        match = _LINE.match(line)
        if match and part in match["text"]:
            return _of_the_day(datetime.strptime(match["time"], "%H:%M:%S.%f"))  # noqa: DTZ007 - only times of a day are compared.
    return None


def _of_the_day(moment: datetime) -> float:
    return moment.hour * 3600 + moment.minute * 60 + moment.second + moment.microsecond / 1e6


@contextmanager
def _without_agents(layout: Layout) -> Iterator[None]:
    """Our DaemonSet without pods."""
    patch = '{"spec":{"template":{"spec":{"nodeSelector":{"donjon.dev/nowhere":"%s"}}}}}'
    kubectl = (*demo.kubectl(layout), "-n", demo.NAMESPACE)
    run(*kubectl, "patch", "daemonset", "donjon-node", "-p", patch % "true")
    run(*kubectl, "wait", "--for=delete", "pods", "-l", "app.kubernetes.io/component=node", "--timeout=60s")
    try:
        yield
    finally:
        run(*kubectl, "patch", "daemonset", "donjon-node", "-p", patch.replace('"%s"', "null"))
        run(*kubectl, "rollout", "status", "daemonset/donjon-node", "--timeout=60s")


@contextmanager
def _intel(layout: Layout, one: Node) -> Iterator[int]:
    """Intel's plugin in the node's mounts, with a /dev of its own that holds the two devices it insists on."""
    script = (
        "mount -t tmpfs tmpfs /dev && mknod /dev/null c 1 3 && mknod /dev/sgx_enclave c 1 5 && mknod /dev/sgx_provision c 1 5 "
        f"&& exec {layout.program('sgx_plugin')} -enclave-limit 110 -provision-limit 110"
    )
    command = ["nsenter", f"--mount={one.mounts}", "unshare", "--mount", "--propagation", "private", "sh", "-c", script]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            pause(2)
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)


def _only(command: str, one: Node) -> int:
    """The one process of that command line in the node's network."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            words = text(folder / "cmdline").replace("\0", " ")
            if command in words and _node_of(folder) == one.name:
                found.append(int(folder.name))
    if len(found) != 1:
        raise SystemExit(f"{command}: {len(found)} processes on {one.name}, expected one")
    return found[0]


def _node_of(folder: Path) -> str:
    """The node name that a process was given."""
    variables = dict(part.partition("=")[::2] for part in text(folder / "environ").split("\0"))
    return variables.get("DONJON_NODE_NAME", "")


if __name__ == "__main__":
    main()
