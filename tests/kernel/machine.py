"""Booting a guest in QEMU, without KVM, and what its serial console said."""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.trouble import Trouble
from tests.kernel import initramfs, modules

if TYPE_CHECKING:
    from tests.kernel.kernels import Kernel
    from tests.kernel.modules import Truth

SECONDS = 600
_MEMORY = "1024"
_RESULT = re.compile(r"^RESULT (\d+) good, (\d+) bad", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a guest printed."""

    text: str

    @property
    def failures(self) -> list[str]:
        """The checks that failed; a guest that did not come to its end failed, too."""
        lines = [line for line in self.text.splitlines() if line.startswith("FAIL ")]
        return lines if self.has_ended else [*lines, f"FAIL the guest comes to its end: {self.text[-2000:]}"]

    @property
    def has_ended(self) -> bool:
        """Whether the guest said how many checks held."""
        return _RESULT.search(self.text) is not None

    @property
    def good(self) -> int:
        """How many checks held."""
        return int(match[1]) if (match := _RESULT.search(self.text)) else 0


def run(kernel: Kernel, truth: Truth, source: Path, *words: str) -> Answer:
    """Boot the kernel with this truth and run the guest's tests of the package in `source`."""
    module = modules.build(kernel, truth)
    with tempfile.TemporaryDirectory(prefix="donjon-") as scratch:
        root = initramfs.make(module, source, Path(scratch) / "root.cpio", settings(kernel, truth, words))
        return Answer(text=boot(kernel, root))


def settings(kernel: Kernel, truth: Truth, words: tuple[str, ...]) -> str:
    """What `/init` is told, as a shell reads it."""
    return "\n".join(
        (
            f"PARAMETERS='{modules.parameters(kernel, truth)}'",
            f"PYTHON={initramfs.PYTHON}",
            f"HOME_OF_PYTHON={initramfs.PYTHON.parents[1]}",
            f"WORDS='{' '.join((truth, *words))}'",
            "",
        )
    )


def boot(kernel: Kernel, root: Path) -> str:
    """All that the guest printed; booted once more where it never came to `/init`: emulation fails at that now and then."""
    text = _boot(kernel, root)
    return text if "INIT after" in text else _boot(kernel, root)


def _boot(kernel: Kernel, root: Path) -> str:
    start, size = modules.EPC
    line = f"console=ttyS0 quiet panic=-1 mitigations=off lsm=lockdown,capability memmap={size >> 20}M${start:#x}"
    command = ("qemu-system-x86_64", "-accel", "tcg,thread=single", "-cpu", "max", "-smp", "1", "-m", _MEMORY)
    quiet = ("-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot")
    loaded = ("-kernel", str(kernel.image), "-initrd", str(root), "-append", line)
    try:
        done = subprocess.run(
            (*command, *quiet, *loaded), stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired as late:
        return (late.stdout or b"").decode(errors="replace").replace("\r", "")
    if done.returncode != 0:
        raise Trouble(f"QEMU ended with code {done.returncode}", why=done.stderr.decode(errors="replace"), do="read its words")
    return done.stdout.decode(errors="replace").replace("\r", "")
