"""In the guest: what becomes of a pass: pods by their cgroups, the node's sums, the bound by areas, and ksgxd's own time."""

import os
from collections.abc import Callable
from pathlib import Path

from tests.kernel.guest import memory
from tests.kernel.guest.common import Common
from tests.kernel.guest.comparison import Comparison
from tests.kernel.guest.devices import GUEST, Driver
from tests.kernel.guest.harness import Child
from tests.kernel.guest.memory import PAGE

from donjon.adapters.epc.kernel import PROC
from donjon.adapters.epc.maps import AreaReader
from donjon.adapters.epc.processes import find_reclaimer, processor_seconds
from donjon.kube.epc_report import ContainerEpc, EpcReport
from donjon.node.epc import NodeMoment, Peaks, account
from donjon.node.tenants import TenantPod
from donjon.services.meter.sources import Source

_EMPTY_PROC = Path("/nowhere")
_CGROUPS = Path("/sys/fs/cgroup")
_ONE, _OTHER = "0b1c2d3e-1111-4222-8333-444455556666", "9f8e7d6c-1111-4222-8333-444455556666"
_FIRST, _SECOND = "a" * 64, "b" * 64
_BY_SYSTEMD = _CGROUPS / f"kubepods.slice/kubepods-pod{_ONE.replace('-', '_')}.slice/cri-containerd-{_FIRST}.scope"
_BY_CGROUPFS = _CGROUPS / f"kubepods/burstable/pod{_OTHER}/{_SECOND}"
_PODS = (
    TenantPod(uid=_ONE, namespace="one", name="first", requests={"app": 400 * PAGE}, containers={_FIRST: "app"}),
    TenantPod(
        uid=_OTHER, namespace="other", name="second", requests={"vm": 100 * PAGE, "idle": PAGE}, containers={_SECOND: "vm"}
    ),
)


class Accounts:
    """Scenarios, each a method."""

    def __init__(self, comparison: Comparison, common: Common) -> None:
        self.at, self.common, self.check = comparison, common, comparison.check
        self.device = comparison.device

    def scenarios(self) -> tuple[Callable[[], None], ...]:
        """In this order."""
        return (self.pods, self.areas, *((self.reclaimer,) if isinstance(self.device, Driver) else ()))

    def pods(self) -> None:
        Child(lambda _: self._live_in(_BY_SYSTEMD, 300))
        Child(lambda _: self._guest_in(_BY_CGROUPFS, 20))
        own = self.common.enclave(7, 50)
        truth, report = self.device.truth(), self._report()
        self.check("in use, by the node's report", report.use.resident + report.guests == truth.used * PAGE, (report, truth))
        self.check("free and unaccounted", (report.free, report.unaccounted) == (self._all() - truth.used * PAGE, 0), report)
        self.check("what is no pod's", report.system.resident == (50 + 2) * PAGE, report.system)
        first, idle, second = (self._of(report, name) for name in ("app", "idle", "vm"))
        self.check("a pod by systemd's names", (first.use.resident, first.use.debug, first.request, first.processes) ==
                   (302 * PAGE, 1, 400 * PAGE, 1), first)  # fmt: skip
        self.check("a pod by cgroupfs' names, and its guest", (second.guests, second.use.resident) == (20 * PAGE, 0), second)
        self.check("a container that asked and holds nothing", (idle.use.resident, idle.request) == (0, PAGE), idle)
        nobody = self._report(_EMPTY_PROC)
        self.check(
            "pods by the cgroups' numbers alone, as if their processes had ended", nobody.containers == report.containers, nobody
        )
        own.close()

    def areas(self) -> None:
        """Where BPF is refused, areas: never less than what is mapped and in EPC."""
        enclave = self.common.enclave(1, 100)
        where = enclave.map(256)
        memory.touch(where, range(100))
        read = AreaReader(Path("/")).read()
        areas = [(area.size, area.holder.pid) for area in read.areas]
        self.check("one area, of one process", areas == [(256 * PAGE, os.getpid())], read)
        self.check("no enclave is made up of it", not read.enclaves and read.free is None, read)
        memory.unmap(where, 256)
        self.check("unmapped, it is unseen", not AreaReader(Path("/")).read().areas)
        enclave.close()

    def reclaimer(self) -> None:
        """The scenarios before had pages evicted, by the kernel's own thread."""
        pid = find_reclaimer()
        self.check("ksgxd is found", pid is not None and Path(f"/proc/{pid}/comm").read_text() == "ksgxd\n", pid)
        enclave = self.device.create(1)
        before = processor_seconds(pid or 0)
        self.device.add(enclave, 0, 8000)
        after = processor_seconds(pid or 0)
        self.check("it worked meanwhile", before is not None and after is not None and after > before, (before, after))
        enclave.close()

    def _live_in(self, folder: Path, pages: int) -> None:
        _enter(folder)
        enclave = self.common.enclave(3, pages, debug=True)
        memory.touch(enclave.map(pages), range(pages))

    def _guest_in(self, folder: Path, pages: int) -> None:
        _enter(folder)
        memory.map_at(os.open(GUEST, os.O_RDWR), 1 << 40, pages)
        memory.touch(1 << 40, range(pages))

    def _report(self, proc: Path = PROC) -> EpcReport:
        source = Source(Path("/"), lambda: self.at.reader, proc)
        reading = source.read()
        moment = NodeMoment(node="guest", moment="2026-11-30T00:00:00Z", total=self._all(), reclaimer_seconds=None)
        return account(reading.survey, reading.places, _PODS, moment, Peaks()).report

    def _all(self) -> int:
        return self.device.pages * PAGE

    @staticmethod
    def _of(report: EpcReport, name: str) -> ContainerEpc:
        return next(each for each in report.containers if each.name.container == name)


def _enter(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cgroup.procs").write_text("0")
