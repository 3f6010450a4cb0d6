"""MRENCLAVE of an enclave of 256 MiB, against bare SHA-256 of as many bytes as are hashed for it: 5,184 a page that is measured.

Three enclaves: 16 MiB of program and the rest heap that is measured, as EDP makes it; the same with a heap whose content is not,
as Intel's SDK, Open Enclave and Gramine make it; and one whose every page is another, which is the worst case.
"""

import hashlib
import os
import time
from collections.abc import Callable
from statistics import median

from donjon.enclave.measurement import PAGE, Measurement

SIZE, PROGRAM = 256 << 20, 16 << 20
RECORD, EADD = 5184, 64  # bytes that are hashed for a page, and for one of which the content does not count
ROUNDS, GOAL = 9, 0.8
_BLOCK = 1 << 20


def main() -> None:
    """Each enclave and its floor in turn, the median of the ratios."""
    program, whole = os.urandom(PROGRAM), os.urandom(SIZE)
    heap = (SIZE - PROGRAM) // PAGE

    def sdk(*, extend: bool) -> bytes:
        measurement = Measurement(SIZE, 1)
        measurement.add(0, 0x205, program)
        measurement.add(PROGRAM, 0x203, times=heap, extend=extend)
        return measurement.mr_enclave

    def random() -> bytes:
        measurement = Measurement(SIZE, 1)
        measurement.add(0, 0x205, whole)
        return measurement.mr_enclave

    of_program = PROGRAM // PAGE * RECORD
    _tell("16 MiB of program, heap measured", lambda: sdk(extend=True), of_program + heap * RECORD)
    _tell("16 MiB of program, heap added alone", lambda: sdk(extend=False), of_program + heap * EADD)
    _tell("every page another", random, SIZE // PAGE * RECORD)


def _tell(what: str, ours: Callable[[], object], size: int) -> None:
    block = os.urandom(_BLOCK)
    pairs = [(_seconds(ours), _seconds(lambda: _bare(block, size))) for _ in range(ROUNDS)]
    ratio = median(floor / mine for mine, floor in pairs)
    mine, floor = (median(each) for each in zip(*pairs, strict=True))
    figures = f"{mine * 1000:.0f} ms, SHA-256 of {size >> 20} MiB {floor * 1000:.0f} ms (medians of {ROUNDS}, in turn)"
    print(f"{what}: {figures}; ratio {ratio:.2f}, goal {GOAL:.2f}: {'met' if ratio >= GOAL else 'MISSED'}")


def _bare(block: bytes, size: int) -> bytes:
    digest = hashlib.sha256()
    for _ in range(size // _BLOCK):
        digest.update(block)
    digest.update(block[: size % _BLOCK])
    return digest.digest()


def _seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


if __name__ == "__main__":
    main()
