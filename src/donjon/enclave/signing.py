"""A SIGSTRUCT that is to be signed: its fields, the 256 bytes of them that a key signs, and their signature put in.

Nothing here has a private key: whoever has one signs the message, here or elsewhere.
Source: Intel SDM, volume 3D, "SIGSTRUCT", "EINIT".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from donjon.enclave.signature import quotients, signature_faults
from donjon.errors import Malformed, Misconfigured, Untrusted
from donjon.sgx.layout import Octets
from donjon.sgx.sigstruct import EXPONENT, HEADER, HEADER2, MODULUS_SIZE, SigStruct

MESSAGE_SIZE = 256
DEBUG, MODE64BIT, KSS = 1 << 1, 1 << 2, 1 << 7
"""Of ATTRIBUTES.FLAGS."""
_INIT = 1
_LEGACY = 3  # of XFRM: x87 and SSE, which are always on
_HEAD = 128  # bytes of the message before the key
_BODY, _END = 900, 1028  # where the rest of it stands in a SIGSTRUCT
_XFRM = 8  # bytes of FLAGS before it


class EnclaveSigner(Protocol):
    """A key that signs enclaves, wherever its private half is."""

    @property
    def modulus(self) -> int:
        """Of its public half, whose exponent is 3."""

    def sign(self, message: bytes) -> bytes:
        """RSA, PKCS #1 v1.5, SHA-256 of the message: 384 bytes, the highest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SigstructFields:
    """What is to stand in a SIGSTRUCT; `None` leaves what stands there."""

    day: date | None = None
    vendor: int | None = None
    software_defined: int | None = None
    product_id: int | None = None
    svn: int | None = None
    family_id: bytes | None = None  # 16 bytes, as the next
    ext_product_id: bytes | None = None
    debug: bool | None = None  # true: it may be debugged, or not; false: never
    flags: int | None = None  # of ATTRIBUTES
    flags_mask: int | None = None  # a bit of which is held to what stands in the flags
    xfrm: int | None = None
    xfrm_mask: int | None = None
    misc_select: int | None = None
    misc_mask: int | None = None

    def names(self) -> frozenset[str]:
        """Which of them are said."""
        return frozenset(name for name in self.__slots__ if getattr(self, name) is not None)


@dataclass(frozen=True, slots=True)
class Draft:
    """A SIGSTRUCT's fields without key and signature; made by what is below."""

    sigstruct: SigStruct

    @property
    def message(self) -> bytes:
        """The 256 bytes that are to be signed."""
        return self.sigstruct.message


def blank(mr_enclave: bytes) -> Draft:
    """A draft for a measured enclave: 64 bits, no debugging, product id and SVN 0, no day; held is all but XFRM's legacy bits."""
    raw = bytearray(SigStruct.SIZE)
    for place, value in (
        (SigStruct.header.place, HEADER),
        (SigStruct.header2.place, HEADER2),
        (SigStruct.mr_enclave.place, mr_enclave),
    ):
        raw[place] = value
    whole = (1 << 64) - 1
    flags = SigstructFields(flags=MODE64BIT, flags_mask=whole, xfrm=_LEGACY, xfrm_mask=whole ^ _LEGACY, misc_mask=(1 << 32) - 1)
    return change(_draft(bytes(raw)), flags)


def draft_of(sigstruct: SigStruct) -> Draft:
    """The fields of one that is signed."""
    return _draft(sigstruct.raw)


def parse_message(message: bytes) -> Draft:
    """The fields that a message says; raises `Malformed` DJ341 for one that no SIGSTRUCT has."""
    if len(message) != MESSAGE_SIZE:
        raise Malformed("DJ341", f"message: {len(message)} bytes, expected the {MESSAGE_SIZE} that donjon enclave digest writes")
    draft = _draft(message[:_HEAD] + bytes(_BODY - _HEAD) + message[_HEAD:] + bytes(SigStruct.SIZE - _END))
    sigstruct = draft.sigstruct
    if (sigstruct.header, sigstruct.header2) != (HEADER, HEADER2) or any(sigstruct.reserved):
        raise Malformed("DJ341", "message: it is not that of a SIGSTRUCT: its header is another, or what is reserved is not zero")
    return draft


def _draft(raw: bytes) -> Draft:
    return Draft(SigStruct(raw[:_HEAD] + bytes(_BODY - _HEAD) + raw[_BODY:_END] + bytes(SigStruct.SIZE - _END)))


def change(draft: Draft, fields: SigstructFields) -> Draft:
    """The draft with other fields; raises `Misconfigured` DJ342 for what EINIT takes from nobody."""
    raw = bytearray(draft.sigstruct.raw)
    for place, value in _writings(fields):
        raw[place] = value
    if fields.debug is not None:
        _set_debug(raw, allow=fields.debug)
    changed = _draft(bytes(raw))
    if faults := tuple(_faults(changed.sigstruct)):
        raise Misconfigured("DJ342", f"enclave's fields: {faults[0]}", faults)
    return changed


def _set_debug(raw: bytearray, *, allow: bool) -> None:
    flags, mask = SigStruct.attributes.place.start, SigStruct.attribute_mask.place.start
    raw[flags] = raw[flags] & ~DEBUG | DEBUG * allow
    raw[mask] = raw[mask] & ~DEBUG | DEBUG * (not allow)


def _writings(fields: SigstructFields) -> Iterator[tuple[slice, bytes]]:
    """Each field that is said, where it stands, and as what."""
    for part, flags, xfrm in (
        (SigStruct.attributes, fields.flags, fields.xfrm),
        (SigStruct.attribute_mask, fields.flags_mask, fields.xfrm_mask),
    ):
        yield from _number(slice(part.place.start, part.place.start + _XFRM), flags)
        yield from _number(slice(part.place.start + _XFRM, part.place.stop), xfrm)
    numbers: tuple[tuple[Octets, int | None], ...] = (
        (SigStruct.vendor, fields.vendor),
        (SigStruct.software_defined, fields.software_defined),
        (SigStruct.isv_prod_id, fields.product_id),
        (SigStruct.isv_svn, fields.svn),
        (SigStruct.misc_select, fields.misc_select),
        (SigStruct.misc_mask, fields.misc_mask),
    )
    for field, number in numbers:
        yield from _number(field.place, number)
    for field, octets in ((SigStruct.isv_family_id, fields.family_id), (SigStruct.isv_ext_prod_id, fields.ext_product_id)):
        if octets is not None:
            yield field.place, octets
    if fields.day is not None:
        yield SigStruct.date.place, bytes.fromhex(f"{fields.day:%Y%m%d}")[::-1]


def _number(place: slice, number: int | None) -> Iterator[tuple[slice, bytes]]:
    if number is not None:
        yield place, number.to_bytes(place.stop - place.start, "little")


def _faults(sigstruct: SigStruct) -> Iterator[str]:
    if sigstruct.attributes[0] & _INIT:
        yield "ATTRIBUTES has INIT, which EINIT itself sets"
    if not sigstruct.kss and (any(sigstruct.isv_family_id) or any(sigstruct.isv_ext_prod_id)):
        yield "a family id or an extended product id needs KSS (0x80) in ATTRIBUTES"


def complete(draft: Draft, modulus: int, signature: bytes) -> SigStruct:
    """The SIGSTRUCT with key, signature, Q1, Q2; raises `Untrusted` DJ343 where it is none of this message by that key."""
    number, raw = int.from_bytes(signature, "big"), bytearray(draft.sigstruct.raw)
    if len(signature) != MODULUS_SIZE or number >= modulus:
        raise Untrusted(
            "DJ343",
            f"signature: {len(signature)} bytes, expected {MODULUS_SIZE}, raw or in base64, and a number below the key's modulus",
        )
    q1, q2 = quotients(number, modulus)
    for field, value in (
        (SigStruct.modulus, modulus),
        (SigStruct.exponent, EXPONENT),
        (SigStruct.signature, number),
        (SigStruct.q1, q1),
        (SigStruct.q2, q2),
    ):
        raw[field.place] = value.to_bytes(field.place.stop - field.place.start, "little")
    whole = SigStruct(bytes(raw))
    if any(signature_faults(whole)):
        form = f"RSA, PKCS #1 v1.5, SHA-256 of the message's {MESSAGE_SIZE} bytes"
        raise Untrusted("DJ343", f"signature: none of this message by this key ({form})")
    return whole


def sign(draft: Draft, signer: EnclaveSigner) -> SigStruct:
    """The SIGSTRUCT as that key signs it; raises as `complete` does, and what the signer raises."""
    return complete(draft, signer.modulus, signer.sign(draft.message))
