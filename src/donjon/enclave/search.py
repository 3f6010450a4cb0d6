"""Every SIGSTRUCT of a file: where its SDK puts it, or anywhere by its header. Nothing is taken for one that is not signed."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from donjon.enclave import intel_sdk, open_enclave
from donjon.enclave.elf import ElfProgram, read_elf
from donjon.enclave.intel_sdk import SdkEnclave, read_sdk_enclave
from donjon.enclave.intel_sdk_pages import measure_sdk_enclave, unmeasured_sdk
from donjon.enclave.open_enclave import OpenEnclave, read_open_enclave, unmeasured
from donjon.enclave.open_enclave_pages import measure_open_enclave
from donjon.enclave.sgxs import SgxsEnclave, is_sgxs, read_sgxs
from donjon.enclave.signature import signature_faults
from donjon.errors import Malformed
from donjon.sgx.sigstruct import HEADER, HEADER2, HEADER2_AT, SigStruct

MAX_ENCLAVES = 64  # of one file
MAX_HEADERS = 10_000  # that look like one
_ELF = b"\x7fELF"
_SECTIONS = re.compile(b"|".join(re.escape(name.encode()) for name in (intel_sdk.SECTION, open_enclave.SECTION)))


class EnclaveFamily(StrEnum):
    """What made an enclave, as far as its file tells."""

    INTEL_SDK = "Intel SDK"
    OPEN_ENCLAVE = "Open Enclave"
    EGO = "EGo"
    EDP = "Fortanix EDP"
    SIGNATURE = "signature alone"  # of Gramine, or EDP: the enclave is another file
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Enclave:
    """One enclave of a file."""

    family: EnclaveFamily
    sigstruct: SigStruct | None  # `None` where the file has none, as a stream of EDP
    uses_debug_key: bool = False  # where it has none: its loader signs it, with a key that is public
    offset: int  # of the SIGSTRUCT in the file
    size: int | None = None  # bytes of its addresses
    threads: int | None = None
    measurement: bytes | None = None  # worked out of the file; `None` where that cannot be
    unmeasured: str = ""  # why not

    @property
    def is_named(self) -> bool:
        """Whether its file tells which SDK made it."""
        return self.family not in {EnclaveFamily.SIGNATURE, EnclaveFamily.UNKNOWN}


def enclaves(content: bytes) -> tuple[Enclave, ...]:
    """All enclaves of a file, the one in its SDK's place first; raises `Malformed` where what says to be an enclave is broken."""
    if is_sgxs(content):
        return (_of_stream(read_sgxs(content)),)
    first = tuple(_of_program(content))
    there = {each.sigstruct for each in first}  # Intel's SDK repeats it for older versions of its loader.
    others = {each.sigstruct: each for each in _anywhere(content) if each.sigstruct not in there}
    if len(first) + len(others) > MAX_ENCLAVES:  # Whoever leaves some out lets in what stands behind those that are known.
        raise Malformed("DJ313", f"more than {MAX_ENCLAVES} enclaves in one file")
    return (*first, *others.values())


def _of_stream(stream: SgxsEnclave) -> Enclave:
    return Enclave(
        family=EnclaveFamily.EDP,
        sigstruct=None,
        offset=0,
        size=stream.size,
        threads=stream.threads,
        measurement=stream.mr_enclave,
    )


def _of_program(content: bytes) -> Iterator[Enclave]:
    if not content.startswith(_ELF) or _SECTIONS.search(content) is None:
        return  # Many a program is none that an enclave could be, as those of other machines, and that is no fault.
    program = read_elf(content)
    enclave = read_sdk_enclave(content, program)
    if enclave is not None:
        yield _of_sdk(content, program, enclave)
    other = read_open_enclave(content, program)
    if other is not None:
        yield _of_open_enclave(content, program, other)


def _of_sdk(content: bytes, program: ElfProgram, enclave: SdkEnclave) -> Enclave:
    why = unmeasured_sdk(program, enclave)
    return Enclave(
        family=EnclaveFamily.INTEL_SDK,
        sigstruct=enclave.sigstruct,
        offset=enclave.offset,
        size=enclave.metadata.enclave_size,
        threads=enclave.threads,
        measurement=None if why else measure_sdk_enclave(content, program, enclave),
        unmeasured=why,
    )


def _of_open_enclave(content: bytes, program: ElfProgram, enclave: OpenEnclave) -> Enclave:
    why = unmeasured(enclave)
    return Enclave(
        family=EnclaveFamily.EGO if enclave.is_ego else EnclaveFamily.OPEN_ENCLAVE,
        sigstruct=enclave.sigstruct,
        uses_debug_key=enclave.uses_debug_key,
        offset=enclave.offset,
        size=None if enclave.is_ego else enclave.size,
        threads=enclave.properties.threads,
        measurement=None if why else measure_open_enclave(content, program, enclave),
        unmeasured=why,
    )


def _anywhere(content: bytes) -> Iterator[Enclave]:
    family = EnclaveFamily.SIGNATURE if len(content) == SigStruct.SIZE else EnclaveFamily.UNKNOWN
    place = -1
    for _ in range(MAX_HEADERS):
        place = content.find(HEADER, place + 1)
        if place < 0:
            return
        raw = content[place : place + SigStruct.SIZE]
        if raw[HEADER2_AT : HEADER2_AT + len(HEADER2)] != HEADER2 or len(raw) < SigStruct.SIZE:
            continue
        sigstruct = SigStruct(raw)
        if family is EnclaveFamily.SIGNATURE or not any(signature_faults(sigstruct)):
            why = "the enclave itself is not in this file" if family is EnclaveFamily.SIGNATURE else "its load order is not known"
            yield Enclave(family=family, sigstruct=sigstruct, offset=place, unmeasured=why)
    raise Malformed("DJ313", f"more than {MAX_HEADERS} places that look like a SIGSTRUCT")
