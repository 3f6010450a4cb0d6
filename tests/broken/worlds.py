"""Make-believe worlds with one thing wrong, and what Donjon makes of them."""

from dataclasses import replace
from typing import Any

import pytest
from tests.attestation.worlds import trusted

from donjon.attestation import quote, verify
from donjon.attestation.verify import VerifiedQuote
from donjon.errors import DonjonError
from donjon.simulation.intel.quotes import EncodedQuote
from donjon.simulation.intel.setting import SHAPES
from donjon.simulation.intel.world import World

KINDS = tuple(SHAPES)
TDX = ("v4 TDX 1.0", "v5 TDX 1.0", "v5 TDX 1.5")
SGX = ("v3 SGX", "v4 SGX", "v5 SGX")


def judge(made: World) -> VerifiedQuote:
    """What is true about the world's quote, under its own root and at its moment."""
    return verify.verify(quote.parse(made.quote.data), trusted(made), made.setting.moment)


def refusal(made: World) -> str:
    """The code of the error that the world is refused with; fails where it is not."""
    with pytest.raises(DonjonError) as caught:
        judge(made)
    return caught.value.code


def with_quote(made: World, data: bytes) -> World:
    """The world with other bytes for a quote."""
    return replace(made, quote=EncodedQuote(data=data, pieces=made.quote.pieces))


def with_part(made: World, part: str, data: bytes) -> World:
    """The world with other bytes for a part of its collateral."""
    changes: dict[str, Any] = {part: data}
    return replace(made, **changes)


def with_piece(made: World, piece: str, data: bytes) -> World:
    """The world with other bytes in the place of a piece of its quote."""
    place = made.quote.pieces[piece]
    return with_quote(made, made.quote.data[: place.start] + data + made.quote.data[place.stop :])


def flipped(data: bytes, place: int) -> bytes:
    """The bytes with the lowest bit of one of them turned."""
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
