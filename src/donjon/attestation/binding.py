"""Data that the enclave held when it was quoted, and whether the quote says so.

Data of run time are bound by the report data, data of initialisation by what the enclave was started with (CONFIGID). A nonce is
bound by nothing; it comes back as it was sent. Source: Azure Attestation REST API, "RuntimeData", "InitTimeData".
"""

import hashlib
from dataclasses import dataclass, field

from donjon.attestation.acceptance import AcceptedQuote
from donjon.errors import Malformed, Untrusted
from donjon.formats import strict_json
from donjon.formats.json import Json, JsonObject
from donjon.policy.claims import compact, is_unicode
from donjon.sgx.report import ReportBody

MAX_DATA = 64 << 10  # bytes, of each
MAX_VALUES = 20_000  # with names; a list of numbers of one digit may be that long
MAX_NESTING = 32  # objects and lists in one another
MAX_NONCE = 1 << 10  # characters

_HASH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Bytes, which may be the JSON text of an object: `binary` and `json` make them.

    Requests wait for collateral and for their turn, and an object takes thirty times the bytes of its text: so the text is kept.
    """

    raw: bytes = field(repr=False)
    is_json: bool = False

    @property
    def content(self) -> JsonObject | None:
        """The object, read anew each time; `None` of bytes that are not the text of one."""
        return _content(self.raw, "data") if self.is_json else None

    def digest(self) -> bytes:
        """SHA-256, 32 bytes: what the quote must hold."""
        return hashlib.sha256(self.raw).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldData:
    """Enclave held data: what the caller shows beside a quote; each is `None` where nothing was."""

    runtime: Data | None = None
    initial: Data | None = None
    nonce: str | None = None

    def __post_init__(self) -> None:
        if self.nonce is not None and (len(self.nonce) > MAX_NONCE or not is_unicode(self.nonce)):
            raise Malformed("DJ432", f"nonce: {len(self.nonce)} characters, expected at most {MAX_NONCE} of Unicode")


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundQuote:
    """An accepted quote with data that it really holds: `bind` alone makes one."""

    accepted_quote: AcceptedQuote
    held_data: HeldData


def binary(raw: bytes, subject: str) -> Data:
    """Data of which nothing but the bytes is known; raises `Malformed` DJ432 for more than `MAX_DATA`."""
    if len(raw) > MAX_DATA:
        raise Malformed("DJ432", f"{subject}: {len(raw)} bytes, expected at most {MAX_DATA}")
    return Data(raw=raw)


def json(raw: bytes, subject: str) -> Data:
    """Data that are the text of one JSON object; raises `Malformed` DJ210 or DJ432."""
    data = binary(raw, subject)
    content = _content(raw, subject)
    _check_nesting(content, subject, MAX_NESTING)
    if not is_unicode(compact(content)):
        raise Malformed("DJ432", f"{subject}: a text in it holds half a surrogate pair, expected Unicode")
    return Data(raw=data.raw, is_json=True)


def _content(raw: bytes, subject: str) -> JsonObject:
    return dict(strict_json.parse(raw, subject, MAX_DATA, fractions=True, values=MAX_VALUES).content)


def bind(accepted_quote: AcceptedQuote, held_data: HeldData) -> BoundQuote:
    """The quote with its data; raises `Untrusted` DJ430 or DJ431 for data that it does not hold."""
    body = accepted_quote.verified_quote.quote.body
    if held_data.runtime is not None and body.report_data[:_HASH] != held_data.runtime.digest():
        actual, expected = body.report_data[:_HASH].hex(), held_data.runtime.digest().hex()
        raise Untrusted("DJ430", f"runtime data: its SHA-256 is {expected}, but the report data begin with {actual}")
    if held_data.initial is not None:
        _check_initial(body if isinstance(body, ReportBody) else None, held_data.initial.digest())
    return BoundQuote(accepted_quote=accepted_quote, held_data=held_data)


def _check_initial(body: ReportBody | None, expected: bytes) -> None:
    if body is None or not body.kss:
        raise Untrusted("DJ431", "init-time data: only an SGX enclave with KSS holds any (CONFIGID), and this is none")
    if body.config_id[:_HASH] != expected:
        actual = body.config_id[:_HASH].hex()
        raise Untrusted("DJ431", f"init-time data: its SHA-256 is {expected.hex()}, but CONFIGID begins with {actual}")


def _check_nesting(value: Json, subject: str, left: int) -> None:
    if not isinstance(value, dict | list):
        return
    if not left:
        raise Malformed("DJ432", f"{subject}: nested deeper than {MAX_NESTING}")
    for each in value.values() if isinstance(value, dict) else value:
        _check_nesting(each, subject, left - 1)
