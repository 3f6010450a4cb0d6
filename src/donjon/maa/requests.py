"""Bodies of requests: bytes to values, once.

Names are read in any case; what is not known is refused, so that no misspelt member is silently left out.
"""

import binascii
import json
from dataclasses import dataclass, field
from enum import StrEnum

from donjon.attestation import binding, evidence
from donjon.attestation import quote as quotes
from donjon.attestation.binding import Data, HeldData
from donjon.attestation.quote import Quote
from donjon.errors import Malformed
from donjon.formats import strict_json
from donjon.formats.json import Json
from donjon.formats.strict_json import Members
from donjon.formats.words import excerpt
from donjon.maa import names
from donjon.maa.names import Shape
from donjon.maa.versions import CERTIFICATE_OBJECTS, ApiVersion, AttestationType
from donjon.sgx.platform import Tee

MAX_BODY = 1 << 20  # bytes; a quote, data of both kinds and a draft have less than half of it
MAX_VALUES = 1_000  # of a body; those of data of run time are counted by themselves, for those of a body hold them as a text

_MAX_PADDING = 2
_USUAL = str.maketrans("-_", "+/")
_OPEN_ENCLAVE = b"\x01"  # with what its header begins; a quote begins with its version, 3 to 5
_KINDS = {
    AttestationType.SGX_ENCLAVE: ("quote", Tee.SGX),
    AttestationType.OPEN_ENCLAVE: ("report", Tee.SGX),
    AttestationType.TDX_VM: ("quote", Tee.TDX),
}
"""Of each type the member with the evidence, and of what that is."""
_DATA = ("data", "dataType")
_BESIDE: Shape = {"runtimeData": _DATA, "initTimeData": _DATA, "draftPolicyForAttestation": (), "nonce": ()}


class DataType(StrEnum):
    """As what data beside the evidence are read."""

    BINARY = "Binary"
    JSON = "JSON"


class Change(StrEnum):
    """What a certificate token asks for, by the member in which newer versions carry it."""

    ADD = "policyCertificateToAdd"
    REMOVE = "policyCertificateToRemove"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestRequest:
    """A request to attest: `attest` makes one."""

    submitted: bytes = field(repr=False)  # the evidence as it came, a header of Open Enclave included
    quote: Quote
    held_data: HeldData
    draft: str | None = field(repr=False)  # a policy to try: its text or its token


def attest(body: bytes, kind: AttestationType) -> AttestRequest:
    """The request of that body; raises `Malformed` DJ200 to DJ202, DJ210, DJ211, DJ432, DJ450, DJ452 or DJ453."""
    if kind not in _KINDS:
        raise Malformed("DJ452", f"attestation type: {kind} is not attested here, expected one of {', '.join(sorted(_KINDS))}")
    name, tee = _KINDS[kind]
    request = names.canonical(strict_json.parse(body, "request", MAX_BODY, values=MAX_VALUES), {name: (), **_BESIDE}, "DJ450")
    submitted = octets(request.text(name), name)
    quote = _quote(submitted, kind)
    if quote.tee is not tee:
        raise Malformed("DJ453", f"{name}: of {quote.tee}, expected one of {tee} for {kind}")
    held_data = HeldData(
        runtime=_data(request, "runtimeData"), initial=_data(request, "initTimeData"), nonce=_optional(request, "nonce")
    )
    return AttestRequest(
        submitted=submitted, quote=quote, held_data=held_data, draft=_optional(request, "draftPolicyForAttestation")
    )


def policy_token(body: bytes) -> str:
    """The token that a plain text body is; raises `Malformed` DJ450."""
    if len(body) > MAX_BODY:
        raise Malformed("DJ450", f"policy token: {len(body)} bytes, expected at most {MAX_BODY}")
    try:
        return body.decode("ascii").strip(" \t\r\n")
    except UnicodeDecodeError as error:
        raise Malformed("DJ450", "policy token: expected a JSON web token, which is ASCII") from error


def certificate_token(body: bytes, version: ApiVersion, change: Change) -> str:
    """The token that asks for that change; raises `Malformed` DJ210, DJ211 or DJ450."""
    if version in CERTIFICATE_OBJECTS:
        request = strict_json.parse(body, "request", MAX_BODY, values=MAX_VALUES)
        return names.canonical(request, {change.value: ()}, "DJ450").text(change.value)
    return _string(body)


def certificate_body(token: str, version: ApiVersion, change: Change) -> str:
    """The body that asks for that change, as `certificate_token` reads it."""
    return json.dumps({change.value: token} if version in CERTIFICATE_OBJECTS else token)


def octets(text: str, name: str) -> bytes:
    """Bytes in base64 of either alphabet, padded or not; raises `Malformed` DJ450."""
    bare = text.rstrip("=")
    padding, other = len(text) - len(bare), "-" in bare or "_" in bare
    if padding > _MAX_PADDING or (padding and len(text) % 4) or (other and ("+" in bare or "/" in bare)):
        raise Malformed("DJ450", f"{name}: no base64")
    usual = bare.translate(_USUAL) if other else bare
    try:
        return binascii.a2b_base64(usual + "=" * (-len(bare) % 4), strict_mode=True)
    except ValueError as error:  # That the text is no ASCII is one, too.
        raise Malformed("DJ450", f"{name}: no base64: {error}") from error


def _quote(submitted: bytes, kind: AttestationType) -> Quote:
    wrapped = submitted[:1] == _OPEN_ENCLAVE
    if wrapped != (kind is AttestationType.OPEN_ENCLAVE):
        expected = "Open Enclave's header before it" if not wrapped else "no header of Open Enclave"
        raise Malformed("DJ453", f"evidence: expected {expected} for {kind}")
    return quotes.parse(evidence.unwrap(submitted) if wrapped else submitted)


def _data(request: Members, name: str) -> Data | None:
    if request.content.get(name) is None:
        return None
    member = request.member(name)
    raw, data_type = octets(member.text("data"), f"{name}.data"), member.text("dataType")
    match names.choice(data_type, DataType):
        case DataType.BINARY:
            return binding.binary(raw, name)
        case DataType.JSON:
            return binding.json(raw, name)
        case None:
            raise Malformed("DJ450", f"{name}.dataType: {excerpt(data_type)}, expected {' or '.join(DataType)}")


def _optional(request: Members, name: str) -> str | None:
    return None if request.content.get(name) is None else request.text(name)


def _string(body: bytes) -> str:
    if len(body) > MAX_BODY:
        raise Malformed("DJ450", f"request: {len(body)} bytes, expected at most {MAX_BODY}")
    if body.lstrip()[:1] != b'"' or body.count(b"\\") > MAX_VALUES:  # Whatever else it is, it is not read to be told.
        raise Malformed("DJ450", "request: expected one JSON string, which is the token")
    try:
        content: Json = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Malformed("DJ450", f"request: no JSON: {error}") from error
    if not isinstance(content, str):
        raise Malformed("DJ450", f"request: expected one JSON string, found {type(content).__name__}")
    return content
