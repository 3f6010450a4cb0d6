"""How a registry says by which proof it may be called.

Sources: RFC 9110, 11.6.1; distribution, `docs/spec/auth/token.md`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_CHALLENGE = 4_096
_SCHEME = re.compile(r"(?:^|,)\s*(bearer|basic)(?=\s|,|$)", re.IGNORECASE | re.ASCII)
_PARAMETER = re.compile(r'([A-Za-z]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))', re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryChallenge:
    """One proof that would do."""

    bearer: bool  # a token; otherwise name and password
    realm: str = ""  # where tokens are given
    service: str = ""


def parse_challenges(text: str) -> tuple[RegistryChallenge, ...]:
    """Those of a header WWW-Authenticate that are known here, bearer first; none of a header beyond all measure."""
    if len(text) > MAX_CHALLENGE:
        return ()
    return tuple(sorted(_challenges(text), key=lambda each: not each.bearer))


def _challenges(text: str) -> Iterator[RegistryChallenge]:
    starts = [*_SCHEME.finditer(text)]
    for start, end in zip(starts, [*(each.start() for each in starts[1:]), len(text)], strict=True):
        values = {name.lower(): text or word for name, text, word in _PARAMETER.findall(text[start.end() : end])}
        bearer = start[1].lower() == "bearer"
        if not bearer or values.get("realm"):
            yield RegistryChallenge(bearer=bearer, realm=values.get("realm", ""), service=values.get("service", ""))
