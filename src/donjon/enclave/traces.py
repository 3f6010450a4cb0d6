"""Whether a file may hold an enclave, seen while its bytes go by: so that of an image no other file need be kept.

A file without a trace has no enclave that `search.enclaves` would find.
"""

import re
from collections.abc import Callable

from donjon.enclave import intel_sdk, open_enclave
from donjon.enclave.sgxs import is_sgxs
from donjon.sgx.sigstruct import HEADER

_ELF = b"\x7fELF"
_SECTIONS = (intel_sdk.SECTION.encode(), open_enclave.SECTION.encode())
_HEAD = 8  # bytes by which a kind of file is known
_OVERLAP = max(map(len, (HEADER, *_SECTIONS))) - 1


def _finder(*words: bytes) -> Callable[[bytes | memoryview], object]:
    """By an expression: `bytes.find` takes ten times as long where there are many zeros."""
    return re.compile(b"|".join(map(re.escape, words))).search


_IN_ALL = (_finder(HEADER),)
_IN_PROGRAMS = (*_IN_ALL, _finder(*_SECTIONS))


class EnclaveTrace:
    """The trace in one file."""

    def __init__(self) -> None:
        self._finders: tuple[Callable[[bytes | memoryview], object], ...] = _IN_ALL
        self._head = self._end = b""
        self.is_there = False

    def look(self, part: bytes | memoryview) -> None:
        """What comes next of the file."""
        if len(self._head) < _HEAD:
            self._begin(part)
        if not self.is_there:
            seam = self._end + bytes(part[:_OVERLAP])
            self.is_there = any(find(seam) or find(part) for find in self._finders)
            self._end = (self._end + bytes(part[-_OVERLAP:]))[-_OVERLAP:]

    def _begin(self, part: bytes | memoryview) -> None:
        self._head += bytes(part[: _HEAD - len(self._head)])
        self.is_there |= is_sgxs(self._head)
        if self._head.startswith(_ELF):
            self._finders = _IN_PROGRAMS
