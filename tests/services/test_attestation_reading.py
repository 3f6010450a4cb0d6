"""Requests that are large enough to take long are read one at a time, and whatever else waits goes between."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import ParamSpec, TypeVar

import pytest
from tests.broken.test_service import holding, shown
from tests.services.attesting import instance, simulated
from tests.simulation.intel import world

from donjon.attestation import claims, token
from donjon.errors import Malformed
from donjon.maa import requests
from donjon.maa.requests import AttestRequest
from donjon.maa.versions import AttestationType
from donjon.services.attestation.maa.routes import LIGHT_REQUEST

AT_ONCE, ROUNDS = 8, 4
DATA = b'{"a":[' + b",".join([b'{"":0}'] * 6000) + b"]}"
WHILE = 0.05  # seconds that one is read, in which the others come

T = TypeVar("T")
P = ParamSpec("P")


def noted(order: list[str], name: str, work: Callable[P, T]) -> Callable[P, T]:
    """The same work, and a note of who has the event loop next."""

    def do(*args: P.args, **named: P.kwargs) -> T:
        order.append(name)
        asyncio.get_running_loop().call_soon(order.append, "another")
        return work(*args, **named)

    return do


def test_before_the_large_data_of_a_true_quote_are_told_whoever_waits_for_the_event_loop_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    monkeypatch.setattr(requests, "attest", noted(order, "read", requests.attest))
    monkeypatch.setattr(claims, "derive", noted(order, "derive", claims.derive))
    monkeypatch.setattr(token, "issue", noted(order, "issue", token.issue))
    with simulated(tmp_path, instance(tmp_path, "aad"), world("v3 SGX")) as service:
        answer = service.attest({"quote": holding(DATA), "runtimeData": shown(DATA, "JSON")})
    assert answer.status_code == 200, answer.text
    assert order == ["read", "another", "derive", "issue", "another", "another"]


def test_between_two_large_requests_that_are_read_whoever_waits_for_the_event_loop_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def read(body: bytes, kind: AttestationType) -> AttestRequest:
        order.append("read")
        asyncio.get_running_loop().call_soon(order.append, "another")
        Event().wait(WHILE)
        raise Malformed("DJ450", f"request: {len(body)} bytes for {kind}")

    monkeypatch.setattr(requests, "attest", read)
    with (
        simulated(tmp_path, instance(tmp_path, "aad"), world("v3 SGX")) as service,
        ThreadPoolExecutor(AT_ONCE) as callers,
    ):
        path = ["/aad/attest/SgxEnclave"] * AT_ONCE * ROUNDS
        statuses = [each.status_code for each in callers.map(lambda each: service.post(each, bytes(LIGHT_REQUEST + 1)), path)]
    assert statuses == [400] * len(path)
    assert order == ["read", "another"] * len(path)
