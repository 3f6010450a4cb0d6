"""Attributes and extended features of enclaves and trust domains: which bits have a meaning, and which values cannot be.

Sources: Intel TDX module ABI specification (348551-007), table 3.22, "ATTRIBUTES", and "XFAM"; Intel TDX module 1.5,
`TDX_XFAM_FIXED0` and `TDX_XFAM_FIXED1`; Intel SDM volume 3D, "ATTRIBUTES"; volume 1, "XSETBV" for features that come together.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from donjon.sgx.report import ReportBody
from donjon.sgx.td import TdReport

BITS = 64
_HEX = re.compile(r"0x[0-9A-Fa-f]{1,16}", re.ASCII)


def bits(*places: int) -> int:
    """The number with these bits set."""
    return sum(1 << place for place in places)


NEW_ATTRIBUTES = {"ICSSD": 16, "SERVTD_EXT": 17, "LASS": 27, "TPA": 62}
"""What TDX modules after the first ones of 1.5 can give a TD, and none of the published quotes has."""
NEW_FEATURES = {"APX": 19}
"""What processors have that no module gives to a TD yet."""

TD_ATTRIBUTES = bits(*range(8), 28, 29, 30, 31, 63)
"""Debug and profiling, SEPT_VE_DISABLE, MIGRATABLE, PKS, KL, PERFMON: each is known, and those that matter have a rule."""
SGX_FLAGS = bits(0, 1, 2, 4, 5, 6, 7, 10)
"""INIT, DEBUG, MODE64BIT, PROVISIONKEY, EINITTOKENKEY, CET, KSS, AEXNOTIFY."""

_X87, _SSE, _AVX, _MPX, _AVX512, _AMX = bits(0), bits(1), bits(2), bits(3, 4), bits(5, 6, 7), bits(17, 18)
_PT, _PKRU, _CET, _UINTR, _LBR = bits(8), bits(9), bits(11, 12), bits(14), bits(15)

XFAM = _X87 | _SSE | _AVX | _AVX512 | _PT | _PKRU | _CET | _UINTR | _LBR | _AMX
"""What a TD can have: 0x6DBE7, as in Intel's module and in go-tdx-guest."""
XFRM = _X87 | _SSE | _AVX | _MPX | _AVX512 | _PKRU | _CET | _AMX
"""What an enclave can have."""

_ALWAYS = _X87 | _SSE
_TOGETHER = {"MPX": _MPX, "AVX-512": _AVX512, "CET": _CET, "AMX": _AMX}


def foreign(body: ReportBody | TdReport, exempt: int) -> int:
    """The bits of ATTRIBUTES (of an enclave: FLAGS) that are reserved or newer than what is judged here by name."""
    if isinstance(body, TdReport):
        return _number(body.td_attributes) & ~TD_ATTRIBUTES & ~exempt
    return _number(body.attributes[:8]) & ~SGX_FLAGS & ~exempt


def impossible_features(body: ReportBody | TdReport, exempt: int) -> Iterator[str]:
    """What is wrong with XFAM (of an enclave: XFRM): no TDX module and no processor lets it be so."""
    if isinstance(body, TdReport):
        features, defined = _number(body.xfam), XFAM
    else:
        features, defined = _number(body.attributes[8:]), XFRM
    if reserved := features & ~defined & ~exempt:
        yield f"reserved bits {reserved:#x}"
    if missing := _ALWAYS & ~features & ~exempt:
        yield f"without x87 and SSE (bits {missing:#x})"
    if features & _AVX512 and not (features | exempt) & _AVX:
        yield "AVX-512 without AVX"
    for name, group in _TOGETHER.items():
        if features & defined & group and (features | exempt) & group != group:
            yield f"{name} by halves ({features & group:#x} of {group:#x})"


def mask(words: Iterable[str], bit_names: Mapping[str, int]) -> int:
    """The bits that these words name, each one of the known or hexadecimal such as 0x100; raises `ValueError`."""
    bits_set = 0
    for word in words:
        bit = 1 << bit_names[word] if word in bit_names else int(word, 16) if _HEX.fullmatch(word) else 0
        if not bit:
            raise ValueError(f"{', '.join(bit_names)}, or bits in hexadecimal such as 0x100")
        bits_set |= bit
    return bits_set


def names(bits_set: int) -> str:
    """These bits of ATTRIBUTES in words, the newer ones by their names."""
    bit_names = {bit: name for name, bit in NEW_ATTRIBUTES.items()}
    return ", ".join(bit_names.get(place, f"bit {place}") for place in range(BITS) if bits_set >> place & 1)


def _number(octets: bytes) -> int:
    return int.from_bytes(octets, "little")
