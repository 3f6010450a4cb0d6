"""One decision or change: who asked what of which instance, what was answered, and why. Nothing secret, and no whole quote.

What callers can make longer is cut, and says so with its length and hash: nobody's decision goes unrecorded for its size.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from donjon.formats import strict_json
from donjon.formats.json import Json, JsonObject

MAX_TEXT = 512  # characters of one text
MAX_TRACE = 16 << 10  # bytes of the trace in JSON

POLICY = "policy"
"""The fact that names a policy by its hash."""
TEXT = "text"
"""The member that says that the policy's text is kept, which the fact names."""


class EventKind(StrEnum):
    """What a request asked for, or what was told again."""

    ATTEST = "attest"
    DRAFT = "draft"  # an attestation by the caller's own policy, answered without a signature
    POLICY_SET = "policy-set"
    POLICY_RESET = "policy-reset"
    CERTIFICATE_ADDED = "certificate-added"
    CERTIFICATE_REMOVED = "certificate-removed"
    KEYS = "keys"  # which ones sign and are published, as a process takes them up, and when they change
    POLICY_KEPT = "policy-kept"  # told again, for the record that said so is dropped for its age
    CERTIFICATES_KEPT = "certificates-kept"  # 〃


OWN = frozenset({EventKind.KEYS, EventKind.POLICY_KEPT, EventKind.CERTIFICATES_KEPT})
"""What the service tells by itself, and nobody asked for."""


class EventVerdict(StrEnum):
    """Whether the request was allowed or refused."""

    ALLOW = "allowed"
    REFUSE = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What one record tells. `facts` are short texts by name: hashes of policy and quote, the token's jti, a thumbprint."""

    kind: EventKind
    instance: str
    caller: str
    verdict: EventVerdict
    codes: tuple[str, ...] = ()  # every reason of a no
    facts: Mapping[str, str] = field(default_factory=dict)
    trace: Json = None  # how the policy came to its answer
    request: str = ""  # the name of the request, which its caller may have chosen
    text: str = field(default="", repr=False)  # of the policy that the facts name, to be kept with the record; "" of a draft


def encode(event: Event) -> bytes:
    """The event in its one form: JSON in ASCII, names in order, no space, nothing longer than its bound."""
    content: JsonObject = {
        "kind": str(event.kind),
        "instance": _cut(event.instance),
        "caller": _cut(event.caller),
        "verdict": str(event.verdict),
        "codes": list(dict.fromkeys(event.codes)),
        "facts": {name: _cut(text) for name, text in event.facts.items()},
        "trace": event.trace,
        **({"request": _cut(event.request)} if event.request else {}),
        **({TEXT: True} if event.text else {}),
    }
    encoded = _encode(content)
    return encoded if len(encoded) <= MAX_TRACE else _encode({**content, "trace": _shorten_trace(event.trace)})


def parse(text: bytes) -> JsonObject:
    """What an event tells, from its bytes; raises `Malformed` DJ210."""
    return dict(strict_json.parse(text, "audit event", fractions=True).content)


def _shorten_trace(trace: Json) -> Json:
    encoded = _encode(trace)
    if len(encoded) <= MAX_TRACE:
        return trace
    return {
        "cut": True,
        "bytes": len(encoded),
        "sha256": hashlib.sha256(encoded).hexdigest(),
        "begins": encoded[:MAX_TEXT].decode(),
    }


def _cut(text: str) -> str:
    if len(text) <= MAX_TEXT:
        return text
    whole = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{text[:MAX_TEXT]}… ({len(text)} characters, SHA-256 {whole})"


def _encode(content: Json) -> bytes:
    return json.dumps(content, separators=(",", ":"), sort_keys=True, allow_nan=False).encode("ascii")
