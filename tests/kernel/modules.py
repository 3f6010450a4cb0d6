"""The two modules of `testbed/kernel`, built for a kernel: the stand-in, and the kernel's own driver over a software EPCM."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.binaries import alone, cache
from testbed.commands import run
from tests.kernel.btf import Types

if TYPE_CHECKING:
    from tests.kernel.kernels import Kernel

SOURCES = Path(__file__).resolve().parents[2] / "testbed" / "kernel"
EPC = (0x30000000, 16 << 20)
"""Where the memory is that `memmap=` keeps free, and how many bytes."""


class Truth(StrEnum):
    """What the guest has in place of a processor with SGX."""

    STANDIN = "standin"
    DRIVER = "driver"


def build(kernel: Kernel, truth: Truth) -> Path:
    """The module's file, built where it is not in the cache."""
    target = kernel.folder.with_name(f"{kernel.folder.name}-{truth}-{_digest()}.ko")
    with alone(target):
        if not target.is_file():
            with tempfile.TemporaryDirectory(dir=cache()) as folder:
                _build(kernel, truth, Path(folder)).rename(target)
    return target


def _build(kernel: Kernel, truth: Truth, folder: Path) -> Path:
    shutil.copy(SOURCES / f"{truth}.Kbuild", folder / "Kbuild")
    for source in (*SOURCES.glob("*.[ch]"), *(kernel.driver.glob("*.[ch]") if truth is Truth.DRIVER else ())):
        shutil.copy(source, folder)
    run("make", "-C", kernel.headers, f"M={folder}", "modules", do="read the compiler's words")
    return folder / f"sgx_{truth}.ko"


def parameters(kernel: Kernel, truth: Truth) -> str:
    """What the module is told as it is loaded, apart from addresses that the guest looks up."""
    if truth is Truth.DRIVER:
        return f"epc_start={EPC[0]} epc_size={EPC[1]} node_devices_at=$(address node_devices)"
    types = Types.read(kernel.types)
    values = {
        "off_base": types.offset("sgx_encl", "base"),
        "off_size": types.offset("sgx_encl", "size"),
        "off_flags": types.offset("sgx_encl", "flags"),
        "off_page_cnt": types.offset("sgx_encl", "page_cnt"),
        "off_child": types.offset("sgx_encl", "secs_child_cnt"),
        "off_secs_epc": types.offset("sgx_encl", "secs", "epc_page"),
        "off_va": types.offset("sgx_encl", "va_pages"),
        "sz_encl": types.size("sgx_encl"),
        "off_vepc_xa": types.offset("sgx_vepc", "page_array"),
        "sz_vepc": types.size("sgx_vepc"),
        "va_list_off": types.offset("sgx_va_page", "list"),
    }
    return " ".join(f"{name}={value}" for name, value in values.items()) + " nr_free_at=$(address sgx_nr_free_pages)"


def _digest() -> str:
    digest = hashlib.sha256()
    for file in sorted(SOURCES.iterdir()):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
