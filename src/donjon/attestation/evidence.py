"""The forms in which quotes are handed around: raw, in hexadecimal, in base64, between PEM lines, behind Open Enclave's header.

Source of the header: openenclave/openenclave, `oe_report_header_t`.
"""

import base64
import binascii
import re
from struct import Struct

from donjon.attestation.quote import MAX_QUOTE, Quote, parse
from donjon.errors import Malformed

MAX_EVIDENCE = 4 * MAX_QUOTE  # bytes; hexadecimal takes two for one, and white space some

_OPEN_ENCLAVE = Struct("<IIQ")  # version, type, size of the quote
_OE_VERSION, _OE_LOCAL, _OE_REMOTE = 1, 1, 2

_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s(.+)\s-----END \1-----", re.DOTALL)
_HEX = re.compile(rb"(?:0x)?((?:[0-9A-Fa-f]{2})+)")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]+={0,2}")
_SPACE = b" \t\r\n"


def parse_quote(evidence: bytes) -> Quote:
    """The quote in any of these forms; raises `Malformed`."""
    return parse(unwrap(evidence))


def unwrap(evidence: bytes) -> bytes:
    """The quote's own bytes; raises `Malformed` DJ200 or DJ201 for what has none of these forms."""
    if len(evidence) > MAX_EVIDENCE:
        raise Malformed("DJ200", f"evidence: {len(evidence)} bytes, expected at most {MAX_EVIDENCE}")
    raw = evidence if _is_binary(evidence) else _decode(evidence)
    return _strip_header(raw)


def _is_binary(evidence: bytes) -> bool:
    """Quotes and headers begin with a small little-endian number; text does not."""
    return not evidence or evidence[0] in {1, 3, 4, 5}


def _decode(evidence: bytes) -> bytes:
    armoured = _PEM.fullmatch(evidence.strip(_SPACE))
    text = (armoured[2] if armoured else evidence).translate(None, _SPACE)
    if digits := _HEX.fullmatch(text):
        return binascii.unhexlify(digits[1])
    if not _BASE64.fullmatch(text):
        json = "; of JSON give the quote alone, as jq -r .quote prints it" if text.startswith(b"{") else ""
        raise Malformed("DJ201", f"evidence: neither a quote nor one in hexadecimal, base64 or PEM{json}")
    bare = text.rstrip(b"=")
    try:
        return base64.b64decode(bare + b"=" * (-len(bare) % 4), altchars=b"-_" if set(bare) & set(b"-_") else None, validate=True)
    except binascii.Error as error:
        raise Malformed("DJ201", f"evidence: no base64: {error}") from error


def _strip_header(raw: bytes) -> bytes:
    if len(raw) < _OPEN_ENCLAVE.size or raw[:4] != _OE_VERSION.to_bytes(4, "little"):
        return raw
    _, kind, size = _OPEN_ENCLAVE.unpack_from(raw)
    if kind != _OE_REMOTE:
        actual = "a local report, which only its own machine can check" if kind == _OE_LOCAL else f"type {kind}"
        raise Malformed("DJ201", f"Open Enclave report: {actual}, expected type {_OE_REMOTE} (remote)")
    if size != len(raw) - _OPEN_ENCLAVE.size:
        raise Malformed("DJ200", f"Open Enclave report: a quote of {size} bytes, but {len(raw) - _OPEN_ENCLAVE.size} follow")
    return raw[_OPEN_ENCLAVE.size :]
