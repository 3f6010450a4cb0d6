"""Structures of fixed length, read in place: a value is its bytes, and a table of fields says what stands where.

Every sequence of the right length is such a structure, so that there is nothing to check but the length; a field is decoded when
it is asked for.
"""

from dataclasses import dataclass
from typing import ClassVar, Self, overload

from donjon.errors import Malformed


@dataclass(frozen=True, slots=True)
class Layout:
    """A structure of `SIZE` bytes; raises `Malformed` DJ200 where it has another length. A subclass lists its fields."""

    SIZE: ClassVar[int]

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != self.SIZE:
            raise Malformed("DJ200", f"{type(self).__name__}: {len(self.raw)} bytes, expected {self.SIZE}")


class Octets:
    """A field of bytes."""

    def __init__(self, offset: int, length: int) -> None:
        self.place = slice(offset, offset + length)

    @overload
    def __get__(self, instance: None, owner: type[Layout]) -> Self: ...
    @overload
    def __get__(self, instance: Layout, owner: type[Layout]) -> bytes: ...
    def __get__(self, instance: Layout | None, owner: type[Layout]) -> Self | bytes:
        """The bytes of the field in that structure; on the class, the field itself."""
        return self if instance is None else instance.raw[self.place]


class Number(Octets):
    """A field that is an unsigned little-endian integer."""

    @overload  # type: ignore[override]  # The same field, read as a number.
    def __get__(self, instance: None, owner: type[Layout]) -> Self: ...
    @overload
    def __get__(self, instance: Layout, owner: type[Layout]) -> int: ...
    def __get__(self, instance: Layout | None, owner: type[Layout]) -> Self | int:
        """The number that the field holds in that structure; on the class, the field itself."""
        return self if instance is None else int.from_bytes(instance.raw[self.place], "little")


class Flag:
    """One bit, counted from the lowest of the byte at that offset on."""

    def __init__(self, offset: int, bit: int) -> None:
        self.at, self.mask = offset + bit // 8, 1 << bit % 8

    @overload
    def __get__(self, instance: None, owner: type[Layout]) -> Self: ...
    @overload
    def __get__(self, instance: Layout, owner: type[Layout]) -> bool: ...
    def __get__(self, instance: Layout | None, owner: type[Layout]) -> Self | bool:
        """Whether that structure has the bit set."""
        return self if instance is None else bool(instance.raw[self.at] & self.mask)
