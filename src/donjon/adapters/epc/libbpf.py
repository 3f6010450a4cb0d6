"""libbpf, as little of it as the meter needs: load an object, attach its iterators, open one.

Source: libbpf.h of libbpf 1.1. The library is the distribution's (Debian: libbpf1) and is loaded when it is needed.
"""

import ctypes
import errno
import os
from collections.abc import Mapping
from pathlib import Path

from donjon.errors import Unavailable

LIBRARY = "libbpf.so.1"

_POINTER, _TEXT, _NUMBER = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
_SIGNATURES: Mapping[str, tuple[type | None, tuple[type, ...]]] = {
    "libbpf_set_print": (_POINTER, (_POINTER,)),
    "bpf_object__open_file": (_POINTER, (_TEXT, _POINTER)),
    "bpf_object__load": (_NUMBER, (_POINTER,)),
    "bpf_object__close": (None, (_POINTER,)),
    "bpf_object__find_program_by_name": (_POINTER, (_POINTER, _TEXT)),
    "bpf_object__find_map_by_name": (_POINTER, (_POINTER, _TEXT)),
    "bpf_map__set_initial_value": (_NUMBER, (_POINTER, _POINTER, ctypes.c_size_t)),
    "bpf_program__attach_iter": (_POINTER, (_POINTER, _POINTER)),
    "bpf_link__fd": (_NUMBER, (_POINTER,)),
    "bpf_link__destroy": (_NUMBER, (_POINTER,)),
    "bpf_iter_create": (_NUMBER, (_NUMBER,)),
}


class _LinkInfo(ctypes.Structure):
    """`union bpf_iter_link_info`, of which its member `task` is used (include/uapi/linux/bpf.h)."""

    _fields_ = (("tid", ctypes.c_uint32), ("pid", ctypes.c_uint32), ("pid_fd", ctypes.c_uint32), ("rest", ctypes.c_uint32))


class _AttachOptions(ctypes.Structure):
    """`struct bpf_iter_attach_opts` (libbpf.h)."""

    _fields_ = (("size", ctypes.c_size_t), ("link_info", ctypes.POINTER(_LinkInfo)), ("link_info_length", ctypes.c_uint32))


class BpfObject:
    """A loaded object with its iterators. Each failure is an `OSError` with libbpf's number and what was tried."""

    def __init__(self, path: Path, constants: bytes, iterators: tuple[str, ...]) -> None:
        """Load the object with these bytes as its read-only data; raises `Unavailable` DJ701 without the library."""
        self._library = _load_library()
        self._links: dict[str, int] = {}
        self._object: int | None = self._library.bpf_object__open_file(os.fsencode(path), None)
        try:
            self._require(self._object, f"open {path.name}")
            self._configure(constants)
            self._require(self._library.bpf_object__load(self._object) == 0, "load")
            for name in iterators:
                self._links[name] = self._attach(name)
        except BaseException:
            self.close()
            raise

    def open_iterator(self, name: str) -> int:
        """A descriptor from which one pass of that iterator is read."""
        descriptor: int = self._library.bpf_iter_create(self._library.bpf_link__fd(self._links[name]))
        self._require(descriptor >= 0, f"open {name}")
        return descriptor

    def open_iterator_over(self, name: str, thread: int) -> int:
        """A descriptor from which one pass of that iterator over one thread is read; kernels before 6.1 refuse it.

        Over one process it would be too little: before 6.7 they leave a thread out that has descriptors of its own.
        """
        info = _LinkInfo(thread)
        options = _AttachOptions(ctypes.sizeof(_AttachOptions), ctypes.pointer(info), ctypes.sizeof(info))
        link = self._attach(name, ctypes.byref(options))
        try:
            descriptor: int = self._library.bpf_iter_create(self._library.bpf_link__fd(link))
            self._require(descriptor >= 0, f"open {name}")
        finally:
            self._library.bpf_link__destroy(link)
        return descriptor

    def close(self) -> None:
        """Give back what the kernel keeps of it."""
        for link in self._links.values():
            self._library.bpf_link__destroy(link)
        self._links = {}
        if self._object:
            self._library.bpf_object__close(self._object)
        self._object = None

    def _configure(self, constants: bytes) -> None:
        data = self._library.bpf_object__find_map_by_name(self._object, b".rodata")
        self._require(data, "find .rodata")
        self._require(self._library.bpf_map__set_initial_value(data, constants, len(constants)) == 0, "configure")

    def _attach(self, name: str, options: object = None) -> int:
        program = self._library.bpf_object__find_program_by_name(self._object, name.encode())
        self._require(program, f"find {name}")
        link: int | None = self._library.bpf_program__attach_iter(program, options)
        self._require(link, f"attach {name}")
        return link or 0

    @staticmethod
    def _require(outcome: object, what: str) -> None:
        if not outcome:
            number = ctypes.get_errno()
            raise OSError(number, f"{what}: {errno.errorcode.get(number, number)}, {os.strerror(number)}")


def _load_library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(LIBRARY, use_errno=True)
    except OSError as error:
        raise Unavailable(
            "DJ701", f"meter: {LIBRARY} is not here ({error}); the image of Donjon has it, and Debian's package libbpf1"
        ) from error
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, list(arguments)
    library.libbpf_set_print(None)
    return library
