"""How much memory an enclave has and how many threads, and why: what Gramine itself needs is counted, the rest is a choice.

Sources: gramineproject/gramine v1.9, `python/graminelibos/sgx_sign.py` and `pal_linux_defs.h` (what a thread takes, and what is
measured), `CI-Examples/*/*.manifest.template` (what its authors give a Python, a Redis, an nginx).
"""

import re
from dataclasses import dataclass

from donjon.errors import Misconfigured
from donjon.kube.quantities import readable

MIB, GIB = 1 << 20, 1 << 30
MIN_SIZE, MAX_SIZE = 2 * MIB, 1 << 39
MIN_THREADS, MAX_THREADS = 1, 4096
DEFAULT_THREADS = 16
PAGE = 4096
THREAD_PAGES = 2 * 4 + 1 + 1 + 64 + 16  # two SSA frames of four pages, TCS, TLS, stack, stack of signals
HELPERS = 2  # threads of Gramine's own: one for other processes, one for timers
_SIZE = re.compile(r"([1-9][0-9]{0,12})([KMG]?)i?", re.ASCII)
_UNITS = {"": 1, "K": 1 << 10, "M": MIB, "G": GIB}
DEFAULTS = (
    (re.compile(r"python|pypy|gunicorn|uvicorn"), GIB, 32, "what Gramine's own example gives Python"),
    (re.compile(r"redis|memcached|valkey"), GIB, 16, "what Gramine's own examples give Redis and memcached"),
    (re.compile(r"nginx|httpd|lighttpd|envoy|caddy"), 512 * MIB, 16, "what Gramine's own example gives nginx"),
)
"""By a program's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnclaveSize:
    """What was chosen, each with its reason."""

    size: int  # bytes; a power of two
    threads: int
    why_size: str
    why_threads: str
    overhead: int  # bytes that Gramine itself takes of it

    @property
    def text(self) -> str:
        """The size as a manifest says it."""
        return f"{self.size // MIB}M" if self.size < GIB else f"{self.size // GIB}G"


def parse_size(text: str) -> int:
    """Bytes of 512M, 512Mi or 1G, as Gramine reads them, by 1024; raises `Misconfigured` DJ398."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise Misconfigured("DJ398", f"enclave size {text[:40]!r}: expected a number and K, M or G, such as 512M")
    return check_size(int(match[1]) * _UNITS[match[2]])


def check_size(size: int) -> int:
    """The size, where a processor takes it; raises `Misconfigured` DJ398."""
    if size & (size - 1) or not MIN_SIZE <= size <= MAX_SIZE:
        raise Misconfigured("DJ398", f"enclave size {readable(size)}: expected a power of two from 2Mi to 512Gi")
    return size


def check_threads(threads: int) -> int:
    """The number, where Gramine takes it; raises `Misconfigured` DJ398."""
    if not MIN_THREADS <= threads <= MAX_THREADS:
        raise Misconfigured("DJ398", f"{threads} threads: expected {MIN_THREADS} to {MAX_THREADS}")
    return threads


def choose_size(
    program: str, *, size: int | None, threads: int | None, memory: int | None, loads: int, manifest: int
) -> EnclaveSize:
    """What the user says, or what the application's memory needs, or what is usual for such a program.

    `loads` are bytes of Gramine's PAL and LibOS, `manifest` those of the manifest. Raises `Misconfigured` DJ398 for too little.
    """
    usual, usual_threads, whence = _usual(program)
    count = check_threads(usual_threads if threads is None else threads)
    overhead = loads + 3 * manifest + count * THREAD_PAGES * PAGE
    if size is None:
        size = 1 << (max(MIN_SIZE, (usual if memory is None else memory + overhead)) - 1).bit_length()
        why = f"{whence}: measure yours, and say --memory" if memory is None else _for_memory(memory, overhead)
    else:
        why = "as you say"
    if overhead > check_size(size) * 3 // 4:
        raise Misconfigured("DJ398", f"enclave size {readable(size)}: Gramine itself takes {readable(overhead)} of it; say more")
    return EnclaveSize(
        size=size,
        threads=count,
        why_size=why,
        why_threads="as you say" if threads is not None else f"{whence}; {HELPERS} of them are Gramine's own",
        overhead=overhead,
    )


def _for_memory(memory: int, overhead: int) -> str:
    return f"the next power of two above {readable(memory)} for the application and {readable(overhead)} for Gramine"


def _usual(program: str) -> tuple[int, int, str]:
    name = program.rpartition("/")[2]
    for pattern, size, threads, whence in DEFAULTS:
        if pattern.match(name):
            return size, threads, whence
    return GIB, DEFAULT_THREADS, "a guess for a program that Donjon does not know"
