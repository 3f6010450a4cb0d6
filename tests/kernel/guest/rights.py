"""In the guest: what a process must be allowed to read by the meter, and what the kernel can forbid."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.kernel.guest import memory
from tests.kernel.guest.common import Common
from tests.kernel.guest.comparison import Comparison

from donjon.adapters.epc.outlook import read_outlook
from donjon.node.metering import metering
from donjon.services.meter.sources import Source
from donjon.sgx.epc import EpcSource

_READ = """
import sys
from donjon.adapters.epc.reader import EnclaveReader
from donjon.errors import DonjonError
try:
    read = EnclaveReader(free_at=int(sys.argv[1]) if sys.argv[1:] else None).read()
except DonjonError as error:
    sys.exit(f"{error.code}: {error}")
print("children", *sorted(enclave.children for enclave in read.enclaves.values()))
"""
_UNASKED = (
    "0"  # All names of the kernel are not gone through for its counter of free pages: an emulated processor is slow at that.
)
_LOCKDOWN = Path("/sys/kernel/security/lockdown")
_KPTR = Path("/proc/sys/kernel/kptr_restrict")
_ENOUGH: tuple[tuple[str, ...], ...] = (("bpf", "perfmon"), ("bpf", "perfmon", "syslog"))
_TOO_FEW: tuple[tuple[str, ...], ...] = (("bpf",), ("perfmon",), ())
_NOBODY = ("--reuid=1000", "--regid=1000", "--clear-groups")


class Rights:
    """Scenarios, each a method; the last forbids what cannot be allowed again."""

    def __init__(self, comparison: Comparison, common: Common) -> None:
        self.at, self.common, self.check = comparison, common, comparison.check

    def scenarios(self) -> tuple[Callable[[], None], ...]:
        """In this order."""
        return self.capabilities, self.hidden_addresses, self.lockdown

    def capabilities(self) -> None:
        enclave = self.common.enclave(1, 77)
        for names in _ENOUGH:
            done = _as_nobody(*names)
            self.check(f"{' and '.join(names)} are enough", done.stdout == "children 77\n", done)
        for names in _TOO_FEW:
            done = _as_nobody(*names)
            self.check(f"{' and '.join(names) or 'no capability'} is refused with a code", done.stderr.startswith("DJ7"), done)
        done = _read(prepare=lambda: memory.unshare(memory.NEW_USER_NAMESPACE))
        self.check("root of a user namespace is refused with a code", done.stderr.startswith("DJ703"), done)
        enclave.close()

    def hidden_addresses(self) -> None:
        enclave = self.common.enclave(1, 77)
        for mode in ("1", "2"):
            _KPTR.write_text(mode)
            done = _read(free_at=())
            self.check(f"kptr_restrict {mode}", done.stdout == "children 77\n", done)
        _KPTR.write_text("0")
        enclave.close()

    def lockdown(self) -> None:
        enclave = self.common.enclave(1, 77)
        self.check("lockdown can be chosen", _LOCKDOWN.exists())
        _LOCKDOWN.write_text("integrity")
        done = _read()
        self.check("lockdown=integrity allows it", done.stdout == "children 77\n", done)
        self.check("as doctor says", metering(read_outlook(), has_device=True).value == EpcSource.BPF)
        _LOCKDOWN.write_text("confidentiality")
        done = _read()
        self.check("lockdown=confidentiality refuses it with a code", done.stderr.startswith("DJ7"), done)
        self.check("as doctor says, too", metering(read_outlook(), has_device=True).value == EpcSource.MAPS)
        self.at.only("a reader that was loaded before goes on")
        source = Source(Path("/"))
        survey = source.read().survey
        self.check("the meter reads areas instead", survey.source is EpcSource.MAPS and not survey.enclaves, survey)
        self.check("and says why", source.obstacle is not None and source.obstacle.code == "DJ704", source.obstacle)
        enclave.close()


def _as_nobody(*capabilities: str) -> subprocess.CompletedProcess[str]:
    names = ",".join(("-all", *(f"+{name}" for name in capabilities)))
    return _read("setpriv", *_NOBODY, f"--inh-caps={names}", f"--ambient-caps={names}", f"--bounding-set={names}")


def _read(
    *before: str, prepare: Callable[[], None] | None = None, free_at: tuple[str, ...] = (_UNASKED,)
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (*before, sys.executable, "-s", "-B", "-c", _READ, *free_at),
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=prepare,
    )
