"""How a registry says by which proof it may be called.

Sources: RFC 9110, 11.6.1; distribution, `docs/spec/auth/token.md`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_CHALLENGE = 4_096
_PART = re.compile(r'([A-Za-z]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))|([A-Za-z]+)', re.ASCII)
"""A parameter, or the name of a scheme."""


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
    schemes: list[tuple[str, dict[str, str]]] = []
    for name, quoted, word, scheme in _PART.findall(text):
        if scheme:
            schemes.append((scheme.lower(), {}))
        elif schemes:
            schemes[-1][1][name.lower()] = quoted or word
    for scheme, values in schemes:
        realm = values.get("realm", "")
        if scheme == "basic" or (scheme == "bearer" and realm):
            yield RegistryChallenge(bearer=scheme == "bearer", realm=realm, service=values.get("service", ""))
