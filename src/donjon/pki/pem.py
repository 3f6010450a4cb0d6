"""Chains of certificates in PEM, read strictly: nothing before, between or inside the blocks that is not theirs.

The library's own reader skips whatever it does not know, so that two readers could see two chains in one text.
"""

import binascii
import re

from donjon.errors import Malformed

CERTIFICATE, CRL = b"CERTIFICATE", b"X509 CRL"  # RFC 7468, sections 5 and 6
MAX_CHAIN = 32 << 10  # bytes; Intel's chains of three have less than 4 KiB

_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----\r?\n((?:[A-Za-z0-9+/]++={0,2}+\r?\n)++)-----END CERTIFICATE-----(?:\r?\n)?")
END = b"-----END CERTIFICATE-----\n"
AFTER = b"\0 \t\r\n"  # what Intel's library and others leave behind a chain


def parse(text: bytes, count: int) -> tuple[bytes, ...]:
    """The DER of exactly that many certificates, in the order of the text; raises `Malformed` DJ204."""
    if len(text) > MAX_CHAIN:
        raise Malformed("DJ204", f"certificate chain: {len(text)} bytes, expected at most {MAX_CHAIN}")
    rest, certificates, position = text.rstrip(AFTER), [], 0
    while position < len(rest):
        block = _BLOCK.match(text, position)
        if block is None:
            raise Malformed("DJ204", f"certificate chain: byte {position} begins no certificate in PEM")
        certificates.append(_decode(block[1]))
        position = block.end()
    if len(certificates) != count:
        raise Malformed("DJ204", f"certificate chain: {len(certificates)} certificates, expected {count}")
    return tuple(certificates)


def each(text: bytes) -> tuple[bytes, ...]:
    """The certificates that stand one behind the other in a text, still in PEM; nothing is checked."""
    return tuple(block + END for block in text.split(END) if block)


def encode(chain: tuple[bytes, ...], label: bytes = CERTIFICATE) -> bytes:
    """Those certificates, or what the label says, as one text, 64 characters a line."""
    return b"".join(_block(der, label) for der in chain)


def _block(der: bytes, label: bytes) -> bytes:
    text = binascii.b2a_base64(der, newline=False)
    lines = b"\n".join(text[start : start + 64] for start in range(0, len(text), 64))
    return b"-----BEGIN %b-----\n%b\n-----END %b-----\n" % (label, lines, label)


def _decode(body: bytes) -> bytes:
    """The bytes that this base64 stands for; only the one text that a writer makes of them is taken, down to its last group."""
    text = body.translate(None, b"\r\n")
    try:
        der = binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error as error:
        raise Malformed("DJ204", f"certificate chain: no base64: {error}") from error
    if binascii.b2a_base64(der[-(len(der) % 3 or 3) :], newline=False) != text[-4:]:
        raise Malformed("DJ204", "certificate chain: base64 with bits behind its end")
    return der
