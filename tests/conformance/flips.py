"""Every single bit of a quote and its collateral, turned: refused, or a bit that carries nothing.

What carries nothing is listed: a byte behind the last certificate of a chain, where writers leave a NUL or a line's end.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tests.conformance.differential import REFUSED, ours
from tests.conformance.mutants import Mutant
from tests.conformance.peer import NAMES

WHOLE = ("dcap-qvl/quotes/f8b81014b6e4_v3_sgx_00a067110000.bin", "v5 TDX 1.5")
"""What is turned bit by bit: a real SGX quote with Intel's collateral, and a make-believe TDX quote."""

QUOTE = "quote"
_BEHIND_A_CHAIN = b"\0 \t\r\n"
_END = b"-----END CERTIFICATE-----"


@dataclass(frozen=True, slots=True)
class Bit:
    """One bit of the quote or of a part of the collateral."""

    part: str
    place: int
    bit: int


def bits(base: Mutant) -> list[Bit]:
    """All of them."""
    parts = {QUOTE: base.quote, **{name: base.parts[name] for name in NAMES}}
    return [Bit(part, place, bit) for part, data in parts.items() for place in range(len(data)) for bit in range(8)]


def survivors(base: Mutant, turned: Sequence[Bit]) -> Iterator[tuple[Bit, str]]:
    """The bits that can be turned without a refusal, although they carry something, and what is said then."""
    for bit in turned:
        said = ours(_turned(base, bit))
        if not said.startswith(REFUSED) and not _carries_nothing(base, bit):
            yield bit, said


def _turned(base: Mutant, bit: Bit) -> Mutant:
    data = base.quote if bit.part == QUOTE else base.parts[bit.part]
    changed = data[: bit.place] + bytes([data[bit.place] ^ 1 << bit.bit]) + data[bit.place + 1 :]
    return replace(base, quote=changed) if bit.part == QUOTE else replace(base, parts={**base.parts, bit.part: changed})


def _carries_nothing(base: Mutant, bit: Bit) -> bool:
    """Bytes behind a chain, while they stay white space or NUL."""
    data = base.quote if bit.part == QUOTE else base.parts[bit.part]
    last = data.rfind(_END) + len(_END)
    behind = data[last:] if last >= len(_END) else b"x"
    after = data[bit.place] ^ 1 << bit.bit
    return bit.place >= last and not behind.strip(_BEHIND_A_CHAIN) and after in _BEHIND_A_CHAIN
