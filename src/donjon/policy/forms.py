"""The forms in which policies travel: a text, a JSON web token, and the JSON that tools and services put around these.

A policy is set and answered as a token with the claim AttestationPolicy, base64url of the text; `az attestation policy show`, the
REST API and PowerShell wrap it further. Nothing is proved here: whose signature a token has is left unasked.
Source: "Author and sign an attestation policy" and "Policy - Get" of Azure Attestation; the Azure CLI's extension `attestation`.
"""

import base64
import binascii
import codecs
import hashlib
import json
import re
from dataclasses import dataclass, field, replace

from donjon.errors import Malformed
from donjon.formats import base64url
from donjon.formats.words import excerpt
from donjon.policy.claims import Json
from donjon.policy.parsing import decode

MAX_FORM = 1 << 20  # bytes; a policy of 64 KiB in four wrappings, in UTF-16, with certificates beside it
MAX_WRAPPINGS = 8

_POLICY_CLAIM = "attestationpolicy"
_MEMBERS = (_POLICY_CLAIM, "x-ms-policy", "token", "jwt", "jwk", "policy", "policyjws", "newattestationpolicy", "text", "payload")
"""Under which tools and services put a policy, in small letters."""
_EXPECTED = "AttestationPolicy, x-ms-policy, token or jwt"
_UTF_16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_QUOTES = ("'", '"', "`")

_POLICY = re.compile(r"\s*(?://|version\b)", re.IGNORECASE)
_TOKEN = re.compile(r"e[wy][A-Za-z0-9_-]+=*\.[A-Za-z0-9_=-]*\.[A-Za-z0-9_=-]*", re.ASCII)
_AMONG = re.compile(r"(?<![A-Za-z0-9_.-])" + _TOKEN.pattern, re.ASCII)
_FOLD = re.compile(r"\r?\n[ \t]+")  # as PowerShell breaks a long value
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]+|[A-Za-z0-9_-]+)={0,2}", re.ASCII)
_JWE = re.compile(r"eyJ[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*){4}", re.ASCII)  # RFC 7516


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A policy's text, and what it stood in, from the outside in; nothing where it was a text alone.

    `token` is the innermost token around the text. One that `is_signed` names an algorithm; that it holds is another's to prove.
    """

    text: str = field(repr=False)
    wrappings: tuple[str, ...]
    token: str | None = field(default=None, repr=False)
    is_signed: bool = False


def hash_of(text: str) -> str:
    """By which tokens (`x-ms-policy-hash`) and the audit name a policy of that text: SHA-256 of its base64url, in base64url."""
    return base64url.encode(hashlib.sha256(base64url.encode(text.encode("utf-8")).encode("ascii")).digest())


def unwrap(content: bytes) -> Form:
    """The policy's text in those bytes; raises `Malformed` DJ400 or DJ401, and DJ291 for what holds no policy, told what it is.

    What has none of the forms is taken for a text, of which `parsing` says what is wrong.
    """
    if len(content) > MAX_FORM:
        raise Malformed("DJ401", f"policy: {len(content)} bytes with what is around it, expected at most {MAX_FORM}")
    return _inside(_text(content), ())


def _text(content: bytes) -> str:
    """UTF-8, or the UTF-16 that PowerShell's > writes, with or without a mark."""
    name = next((name for mark, name in _UTF_16.items() if content.startswith(mark)), None)
    if name is None and len(content) > 1 and 0 in content[:2]:
        name = "utf-16-le" if content[1] == 0 else "utf-16-be"
    if name is None:
        return decode(content)
    try:
        return content.decode(name).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise Malformed("DJ400", f"policy: byte {error.start} is no UTF-16; save it as UTF-8 text") from error


def _inside(text: str, around: tuple[str, ...]) -> Form:
    """The text, where it is a policy's or of no known form; otherwise what is inside of it."""
    _check_bound(around)
    bare = text.strip()
    if _POLICY.match(bare):
        return _of_json(f'"{bare}"', around) if _is_escaped(bare) else Form(text=text, wrappings=around)
    if bare.startswith(("{", "[", '"')) and (_is_json(bare) or (bare.startswith("{") and not _AMONG.search(bare))):
        return _of_json(bare, around)
    if len(bare) > 1 and bare[0] == bare[-1] and bare[0] in _QUOTES:
        return _inside(bare[1:-1], (*around, "quotation marks"))
    compact = "".join(bare.split())
    if _TOKEN.fullmatch(compact):
        return _of_token(compact, around)
    if _JWE.fullmatch(bare):
        raise _no("a token that is encrypted", "the policy's text or its token", around)
    return _of_base64(compact, around) or _among(text, around)


def _is_escaped(text: str) -> bool:
    """Whether it is the inside of a text in JSON, as cut out of JSON by hand: no quotation mark in it without a backslash."""
    return '\\"' in text and '"' not in text.replace('\\"', "") and _is_json(f'"{text}"')


def _check_bound(around: tuple[str, ...]) -> None:
    if len(around) > MAX_WRAPPINGS:
        raise _no(f"wrapped more than {MAX_WRAPPINGS} times", "its text or its token", around)


# JSON.


def _is_json(text: str) -> bool:
    try:
        _json(text, ())
    except Malformed:
        return False
    return True


def _json(text: str, around: tuple[str, ...]) -> Json:
    try:
        content: Json = json.loads(text, object_pairs_hook=_members)
    except (ValueError, RecursionError) as error:
        raise _no(f"JSON that cannot be read ({error})", "whole JSON", around) from error
    return content


def _members(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a member stands twice in one object")
    return members


def _of_json(text: str, around: tuple[str, ...]) -> Form:
    value = _json(text, around)
    return _of_value(value, (*around, "a text in JSON") if isinstance(value, str) else around)


def _of_value(value: Json, around: tuple[str, ...]) -> Form:
    _check_bound(around)
    match value:
        case str():
            return _inside(value, around)
        case [only]:
            return _of_value(only, (*around, "a list"))
        case dict():
            return _of_members(value, around)
        case _:
            raise _no("JSON without a policy", f"an object with {_EXPECTED}", around)


def _of_members(value: dict[str, Json], around: tuple[str, ...]) -> Form:
    """What stands under the known names; under several, it must be the same policy."""
    members = {name: value[name] for name in value if name.lower() in _MEMBERS and isinstance(value[name], str | dict)}
    forms = [_of_member(name, each, (*around, name)) for name, each in members.items()]
    if not forms:
        raise _no(_without(value), f"the policy's text, its token, or JSON with {_EXPECTED}", around)
    if len({each.text for each in forms}) > 1:
        raise _no(f"{', '.join(members)} hold different policies", "one policy", around)
    return next((each for each in forms if each.is_signed), forms[0])


def _of_member(name: str, value: Json, around: tuple[str, ...]) -> Form:
    """Under AttestationPolicy even a text that is no policy is base64, as the service reads it."""
    if name.lower() == _POLICY_CLAIM and isinstance(value, str) and not _POLICY.match(value):
        octets = _octets("".join(value.split()))
        if octets is not None:
            return _inside(_text(octets), around)
    return _of_value(value, around)


def _without(value: dict[str, Json]) -> str:
    """What an object without a policy is."""
    if "x-ms-policy-hash" in value:
        return "an attestation token, which names its policy by the hash alone"
    if "x-ms-policy-result" in value or "x-ms-policy-token-hash" in value:
        return "the answer to a policy that was set or reset, which does not hold it"
    return f"JSON with {excerpt(', '.join(value)) or 'no members'}"


# Tokens.


def _of_token(text: str, around: tuple[str, ...]) -> Form:
    header, payload, _ = (_octets(part) for part in text.split("."))
    if header is None or payload is None:
        raise _no("a token with a part that is no base64url", "header.payload.signature", around)
    head = _json(_text(header), around)
    algorithm = head.get("alg") if isinstance(head, dict) else None
    words = f"a token with algorithm {excerpt(str(algorithm))}"
    if not payload:
        raise _no(f"{words} and without a body: it resets a policy, or says that none is set", "a policy", around)
    form = _inside(_text(payload), (*around, words))
    return form if form.token is not None else replace(form, token=text, is_signed=str(algorithm).lower() != "none")


def _of_base64(text: str, around: tuple[str, ...]) -> Form | None:
    """What a text is base64 of, where that is a policy or JSON."""
    octets = _octets(text) if text else None
    if octets is None or not (
        _POLICY.match(start := octets[:64].decode("utf-8", "replace").lstrip("\ufeff")) or start[:1] == "{"
    ):
        return None
    return _inside(_text(octets), (*around, "base64"))


def _among(text: str, around: tuple[str, ...]) -> Form:
    """The one token among other words: a table, YAML, what PowerShell prints."""
    tokens = set(_AMONG.findall(_FOLD.sub("", text)))
    if len(tokens) > 1:
        raise _no(f"a text with {len(tokens)} tokens", "one policy", around)
    return _of_token(tokens.pop(), (*around, "a text")) if tokens else Form(text=text, wrappings=around)


def _octets(text: str) -> bytes | None:
    """The bytes of base64 in either alphabet, padded or not; `None` for what is none."""
    if not _BASE64.fullmatch(text):
        return b"" if not text else None
    bare = text.rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except binascii.Error:
        return None


def _no(problem: str, expected: str, around: tuple[str, ...]) -> Malformed:
    where = f"in {', in '.join(around)}: " if around else ""
    return Malformed("DJ291", f"policy: {where}{problem}; expected {expected}")
