"""Bytes damaged and JSON edited at random, from a generator alone."""

import json
import random
from collections.abc import Callable

Random = random.Random


def damaged(rng: Random, data: bytes) -> tuple[bytes, str]:
    """The bytes with one place flipped, overwritten, cut out, doubled or cut off."""
    place = rng.randrange(max(1, len(data)))
    size = rng.choice((1, 1, 2, 4, 16, 64))
    match rng.randrange(6):
        case 0 | 1:
            bit = 1 << rng.randrange(8)
            return data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :], f"bit {bit} of byte {place}"
        case 2:
            fill = rng.choice((0x00, 0xFF, 0x20, 0x30))
            return data[:place] + bytes([fill]) * size + data[place + size :], f"{size} times {fill:#x} at {place}"
        case 3:
            return data[:place] + data[place + size :], f"{size} bytes less at {place}"
        case 4:
            return data[:place] + data[place : place + size] * 2 + data[place + size :], f"{size} bytes twice at {place}"
        case _:
            return data[:place], f"cut off at {place}"


def rewritten(rng: Random) -> Callable[[bytes], bytes]:
    """An edit of a document before it is signed."""
    seed = rng.getrandbits(32)

    def rewrite(text: bytes) -> bytes:
        return json_edited(random.Random(seed), text)  # noqa: S311 - the same number is to give the same mutant

    return rewrite


def json_edited(rng: Random, text: bytes) -> bytes:
    """The document with one thing about its JSON changed: a member, its type, its spelling, what stands around it."""
    content = json.loads(text)
    key = rng.choice(tuple(content))
    odd: object = rng.choice(
        (None, True, -1, 1.0, 256, 1 << 70, "1", "", [], {}, [1], "2026-13-01T00:00:00Z", "2026-05-30T00:00:00")
    )
    match rng.randrange(8):
        case 0:
            return _compact({**content, key: odd})
        case 1:
            return _compact({each: value for each, value in content.items() if each != key})
        case 2:
            return text[:-1] + b"," + _compact({key: rng.choice((content[key], odd))})[1:]  # a key that stands twice
        case 3:
            return _compact({**content, "unknown": odd})
        case 4:
            return rng.choice(
                (json.dumps(content).encode(), b" " + text, text + b"\n", text + b"\0", text + b"{}", b"\xef\xbb\xbf" + text)
            )
        case 5:
            return _compact(dict(rng.sample(list(content.items()), len(content))))
        case 6:
            return text.replace(
                b'"svn":1,', rng.choice((b'"svn":01,', b'"svn":1.0,', b'"svn":1e0,', b'"svn":-1,', b'"svn":"1",')), 1
            )
        case _:
            return damaged(rng, text)[0]


def _compact(content: object) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()
