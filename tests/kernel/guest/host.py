"""In the guest: what the product says of this host, beside what the driver made of it."""

import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.kernel.guest.comparison import Comparison
from tests.kernel.guest.devices import ENCLAVE, GUEST, PROVISION
from tests.kernel.guest.memory import PAGE

from donjon.adapters.linux.host import read_host
from donjon.node.devices import DriverKind
from donjon.node.facts import NodeFacts, derive
from donjon.sgx.cpuid import EpcSection

_CPUID = Path("/dev/cpu/0/cpuid")
_START = 0x30000000
_SGX, _LAUNCH_CONTROL = 1 << 2, 1 << 30
_SEEN_TWICE = 1 << 6  # In a file, byte 18 is leaf 7's (launch control) and leaf 12H's (ENCLS-C).
_FOUND = {"DJ009", "DJ011", "DJ017", "DJ019"}
"""The devices are root's alone; no AESM; no flag in /proc/cpuinfo, for QEMU's processor has no SGX; a file stands in for it."""


class Host:
    """Scenarios, each a method; QEMU's processor has no SGX, so a file says what the driver was told in place of CPUID."""

    def __init__(self, comparison: Comparison) -> None:
        self.check, self.bytes = comparison.check, comparison.device.pages * PAGE

    def scenarios(self) -> tuple[Callable[[], None], ...]:
        """In this order."""
        return self.without_a_processor, self.readings, self.doctor

    def without_a_processor(self) -> None:
        facts = derive(read_host(Path("/")))
        self.check("QEMU's processor has no SGX", facts.cpu.value is not None and not facts.cpu.value.sgx, facts.cpu)
        self._devices(facts)
        self._kernel(facts)

    def readings(self) -> None:
        self._stand_in()
        facts = derive(read_host(Path("/")))
        self._devices(facts)
        self._kernel(facts)
        sections = (EpcSection(base=_START, size=self.bytes, integrity=True),)
        self.check("its one section", facts.sections.value == sections, facts.sections)
        self.check("EPC", facts.epc.value == self.bytes, facts.epc)
        self.check("EDMM", facts.edmm.value is True, facts.edmm)

    def doctor(self) -> None:
        self._stand_in()
        done = subprocess.run(
            (sys.executable, "-s", "-B", "-m", "donjon", "doctor", "-o", "json"), capture_output=True, check=False
        )
        said = json.loads(done.stdout or b"{}")
        codes = {finding["code"] for finding in said.get("findings", ())}
        self.check("donjon doctor finds this host ready", done.returncode == 0, (done, said))
        self.check("and finds nothing else", codes == _FOUND, said)
        sources = [fact["value"] for fact in said.get("facts", ()) if fact["name"] == "epc metering"]
        self.check("and says that the meter reads the kernel's counters", sources == ["bpf"], said)

    def _devices(self, facts: NodeFacts) -> None:
        for path, node in ((ENCLAVE, facts.enclave), (PROVISION, facts.provision), (GUEST, facts.virtual_epc)):
            status = os.stat(path)
            true = (path, status.st_mode & 0o7777, status.st_uid, status.st_gid)
            self.check(f"{path} as it stands", node and (node.path, node.mode, node.uid, node.gid) == true, (node, true))

    def _kernel(self, facts: NodeFacts) -> None:
        driver = facts.driver.value
        self.check("the driver is the kernel's own", driver is not None and driver.kind is DriverKind.IN_TREE, facts.driver)
        self.check("its release", facts.kernel.value == os.uname().release, facts.kernel)
        self.check("EPC of its NUMA node", facts.numa_epc.value == {0: self.bytes}, facts.numa_epc)

    def _stand_in(self) -> None:
        """The leaves of epcm.c, in the layout of /dev/cpu/0/cpuid."""
        _CPUID.parent.mkdir(parents=True, exist_ok=True)
        leaves = {
            (0, 0): (0x12, 0, 0, 0),
            (7, 0): (0, _SGX, _LAUNCH_CONTROL, 0),
            (0x12, 0): (3 | _SEEN_TWICE, 1, 0, 0x241F),
            (0x12, 1): (0xF6, 0, 3, 0),
            (0x12, 2): (_START | 1, 0, self.bytes | 1, 0),
        }
        descriptor = os.open(_CPUID, os.O_RDWR | os.O_CREAT, 0o600)
        for (leaf, subleaf), registers in leaves.items():
            os.pwrite(descriptor, struct.pack("<4I", *registers), subleaf << 32 | leaf)
        os.close(descriptor)
