"""What a hostile tenant or stranger sends: policies that cost, and quotes whose certificates are laid out anew.

Each was seen to end or to stop the service before there was a bound for it.
"""

import base64
import json
import random
import re
import struct
from collections.abc import Callable, Iterator
from itertools import count, pairwise, repeat

from donjon.formats.json import JsonObject

_ARGUMENTS = "a," * 4_045 + "a"
_EXPRESSION = f"||z&&f({_ARGUMENTS})"
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----\n(.+?)-----END CERTIFICATE-----\n", re.DOTALL)
_SIGNATURE_LENGTH = 432  # where a quote of version 3 says how long its signature data are (Intel SGX ECDSA QVL API, A.4)


def _policy(*issuance: str, note: object = "") -> str:
    return f"version=1.2; // {note}\nauthorizationrules {{ => permit(); }};\nissuancerules {{\n" + "\n".join(issuance) + "\n};\n"


def many_queries(note: object = "") -> str:
    """490 queries of 8,100 characters each, from 12 KB: of each, the library makes a tree of a megabyte."""
    names = json.dumps(json.dumps([f"p{number:03}" for number in range(490)], separators=(",", ":")))
    return _policy(
        f'=> add(type="n", value=JsonToClaimValue({names}));',
        f'=> add(type="tail", value="{_EXPRESSION}");',
        'n:[type=="n"] && t:[type=="tail"] => add(type="out", value=JmesPath("{}", AppendString(n.value, t.value)));',
        note=note,
    )


def much_json(note: object = "") -> str:
    """Reads the runtime data again and again."""
    rules = ('c:[type=="lists"] => add(type="out", value=JmesPath(c.value, "length(@)"));',) * 60
    return _policy(*rules, note=note)


def large_token(note: object = "") -> str:
    """68 claims of 256 KiB from 20 KB."""
    doubled = [
        f'a:[type=="a{number}"] => add(type="a{number + 1}", value=AppendString(a.value, a.value));' for number in range(12)
    ]
    issued = [f'a:[type=="a12"] => issue(type="t{number}", value=a.value);' for number in range(68)]
    return _policy(f'=> add(type="a0", value="{"x" * 64}");', *doubled, *issued, note=note)


def large_policy(note: object = "") -> str:
    """64 KB of rules: what it takes to read them, before any of them is computed."""
    rules = [f'[type=="x{number}", value=="{number}"] => issue(type="y{number}", value={number});' for number in range(900)]
    return _policy(*rules, note=note)


POLICIES: dict[str, Callable[[object], str]] = {
    each.__name__: each for each in (many_queries, much_json, large_token, large_policy)
}


def lists() -> str:
    """Runtime data with 21,000 empty lists."""
    return json.dumps({"lists": [[]] * 21_000}, separators=(",", ":"))


def values(size: int) -> Iterator[bytes]:
    """JSON of so many bytes that is nothing but values, in several shapes."""
    shapes = (b"[],", b'{"":0},', b"0,", b'"",', b"[[],[]],")
    bodies = [b"[" + shape * (size // len(shape) - 1) + shape[:-1] + b"]" for shape in shapes]
    bodies.append(b'{"quote":' + b"[" * (size // 2) + b"]" * (size // 2) + b"}")
    return (body for _ in repeat(None) for body in bodies)


def layouts(quote: bytes, certificate: int) -> Iterator[bytes]:
    """One quote of version 3, true each time, the lines of one of its certificates broken in another way each time."""
    chance = random.Random(certificate)  # noqa: S311 - nothing secret is made here.
    start = quote.index(b"-----BEGIN")
    blocks = _PEM.findall(quote[start:])
    for _ in count():
        again = [_broken(block, chance) if number == certificate else block for number, block in enumerate(blocks)]
        chain = b"".join(b"-----BEGIN CERTIFICATE-----\n" + block + b"-----END CERTIFICATE-----\n" for block in again)
        yield _carrying(quote, start, chain)


def _broken(block: bytes, chance: random.Random) -> bytes:
    text = block.replace(b"\n", b"")
    ends = [0, *sorted(chance.sample(range(1, len(text)), len(text) // 60)), len(text)]
    return b"".join(text[begin:end] + b"\n" for begin, end in pairwise(ends))


def _carrying(quote: bytes, start: int, chain: bytes) -> bytes:
    head, size = quote[: start - 4], struct.pack("<I", len(chain))
    whole = len(head) + len(size) + len(chain) - _SIGNATURE_LENGTH - 4
    return head[:_SIGNATURE_LENGTH] + struct.pack("<I", whole) + head[_SIGNATURE_LENGTH + 4 :] + size + chain


def request(quote: bytes, **members: JsonObject | str) -> bytes:
    """The body of a request to attest."""
    return json.dumps({"quote": _base64(quote), **members}).encode()


def runtime(text: str) -> JsonObject:
    """Runtime data in JSON, as a request holds them; the quote says nothing of them, so that the answer is a refusal."""
    return {"data": _base64(text.encode()), "dataType": "JSON"}


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode("ascii").rstrip("=")
