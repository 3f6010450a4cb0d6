"""The exchanges that the tests of azure-security-attestation 1.0.0 had with the real service in July 2021."""

import base64
import json
from dataclasses import dataclass
from functools import cache

from tests.attestation.vectors import ROOT

from donjon.formats.json import Json, JsonObject


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and the token that answered it."""

    number: int
    method: str
    path: str  # without its query
    body: str
    header: JsonObject
    payload: JsonObject

    @property
    def name(self) -> str:
        return f"{self.number} {self.method} {self.path}"


@cache
def exchanges() -> tuple[Exchange, ...]:
    lines = (ROOT / "maa-python-sdk-recordings" / "exchanges.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(_exchange(number, json.loads(line)) for number, line in enumerate(lines))


def _exchange(number: int, line: dict[str, str]) -> Exchange:
    header, payload, _ = json.loads(line["response"])["token"].split(".")
    return Exchange(number, line["method"], line["path"].partition("?")[0], line["body"] or "", part(header), part(payload))


def octets(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def part(text: str) -> JsonObject:
    """A part of a token that is a JSON object."""
    found: JsonObject = json.loads(octets(text))
    return found


def under(path: str) -> tuple[Exchange, ...]:
    return tuple(each for each in exchanges() if each.path.startswith(path))


def request(exchange: Exchange) -> JsonObject:
    found: JsonObject = json.loads(exchange.body)
    return found


def text(value: Json) -> str:
    assert isinstance(value, str)
    return value
