"""Pools of AKS by Microsoft's SDK, against a stand-in for Resource Manager: what is made, and every way to be turned away."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError
from tests.adapters.fakearm import FakeArm, error, ok, serving

from donjon.adapters import clock
from donjon.adapters.azure import pools as module
from donjon.adapters.azure.pools import AksPools
from donjon.errors import DonjonError
from donjon.formats.json import JsonObject

WISH: JsonObject = {
    "vmSize": "Standard_DC4s_v3",
    "count": 2,
    "mode": "User",
    "osType": "Linux",
    "osSKU": "Ubuntu",
    "maxPods": 110,
}


class Credential:
    """Somebody who is signed in, for as long as the test says."""

    def __init__(self) -> None:
        self.tokens = 0
        self.ends = False

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        self.tokens += 1
        if self.ends:
            raise ClientAuthenticationError("the session is over")
        return AccessToken("token", 4102444800)


@pytest.fixture
def arm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[FakeArm, AksPools, Credential]]:
    fake, credential = FakeArm(), Credential()
    monkeypatch.setattr(module, "BACKOFF", 0.001)
    monkeypatch.setattr(module, "LOOK_EVERY", 0.01)
    with serving(fake, tmp_path) as endpoint:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
        pools = AksPools("s", "group", "vaults", clock.monotonic, clock.pause, endpoint=endpoint, credential=credential)
        yield fake, pools, credential
        pools.close()


Arm = tuple[FakeArm, AksPools, Credential]


def refusal(act: Any, *arguments: Any) -> str:
    with pytest.raises(DonjonError) as caught:
        act(*arguments)
    return f"{caught.value.code} {caught.value.message}"


def test_a_pool_is_made_and_waited_for(arm: Arm) -> None:
    _, pools, _ = arm
    states: list[str] = []
    assert pools.read("sgx1") is None
    pools.put("sgx1", WISH, None, states.append)
    there = pools.read("sgx1")
    assert there is not None
    assert {name: there[0][name] for name in WISH} == WISH
    assert there[0]["provisioningState"] == "Succeeded"
    assert "InProgress" in states


def test_a_change_is_made_to_what_was_read_and_to_nothing_newer(arm: Arm) -> None:
    fake, pools, _ = arm
    fake.put_there("sgx1", **WISH)
    there = pools.read("sgx1")
    assert there is not None
    fake.put_there("sgx1", **WISH, nodeLabels={"by": "somebody else"})
    assert refusal(pools.put, "sgx1", WISH | {"count": 3}, there[1], print).startswith("DJ844")
    assert fake.pools["sgx1"]["count"] == 2


def test_a_pool_that_somebody_made_meanwhile_is_not_written_over(arm: Arm) -> None:
    fake, pools, _ = arm
    assert pools.read("sgx1") is None
    fake.put_there("sgx1", **WISH | {"count": 9})
    assert refusal(pools.put, "sgx1", WISH, None, print).startswith("DJ844")
    assert fake.pools["sgx1"]["count"] == 9


def test_throttling_is_waited_out_as_long_as_azure_says(arm: Arm) -> None:
    fake, pools, _ = arm
    fake.queue = [lambda: error(429, "TooManyRequests", "slow down", {"Retry-After": "0"})] * 3
    fake.put_there("sgx1", **WISH)
    assert pools.read("sgx1") is not None
    assert len(fake.requests) == 4


def test_throttling_without_end_is_an_error(arm: Arm) -> None:
    fake, pools, _ = arm
    fake.queue = [lambda: error(429, "TooManyRequests", "slow down", {"Retry-After": "0"})] * 50
    assert refusal(pools.read, "sgx1").startswith("DJ847")
    assert len(fake.requests) < 20


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (error(409, "OperationNotAllowed", "another operation is in progress"), "DJ844", "another operation is in progress"),
        (error(401, "ExpiredAuthenticationToken", "the token ended"), "DJ840", "the token ended"),
        (error(403, "AuthorizationFailed", "you may not"), "DJ847", "you may not"),
        (error(400, "QuotaExceeded", "no cores left"), "DJ847", "no cores left"),
        (error(404, "ResourceGroupNotFound", "no such group"), "DJ847", "no such group"),
        (ok({"name": "another", "properties": {}}), "DJ845", "of another"),
        (ok({"name": "sgx1", "properties": 7}), "DJ845", ""),
        (ok({"name": "sgx1"}), "DJ845", ""),
        ((200, {}, b"<html>"), "DJ84", ""),
        ((200, {}, b"[]"), "DJ845", ""),
        (error(400, "\x1b[2J", "x" * 100_000), "DJ847", "xxx"),
    ],
    ids=lambda each: each[:6] if isinstance(each, str) else "",
)
def test_each_way_to_be_turned_away_has_its_code(
    arm: Arm, answer: tuple[int, dict[str, str], bytes], code: str, words: str
) -> None:
    fake, pools, _ = arm
    fake.queue = [lambda: answer]
    told = refusal(pools.read, "sgx1")
    assert told.startswith(code)
    assert words in told
    assert len(told) < 1000
    assert "\x1b" not in told


def test_a_cluster_that_is_not_there_is_told_from_a_pool_that_is_not(arm: Arm) -> None:
    fake, pools, _ = arm
    fake.cluster = "another"
    assert refusal(pools.read, "sgx1").startswith("DJ843")


def test_a_session_that_ends_under_way_is_told(arm: Arm) -> None:
    fake, pools, credential = arm
    credential.ends = True
    assert refusal(pools.read, "sgx1").startswith("DJ840")
    assert fake.requests == []


def test_an_operation_that_fails_is_told_in_azures_words(arm: Arm) -> None:
    fake, pools, _ = arm
    fake.fate = "Failed"
    told = refusal(pools.put, "sgx1", WISH, None, print)
    assert told.startswith("DJ847")
    assert "no cores are left" in told


def test_an_operation_without_end_is_left_and_said(arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    fake, pools, _ = arm
    fake.looks = 10**6
    monkeypatch.setattr(module, "PATIENCE", 0.3)
    assert refusal(pools.put, "sgx1", WISH, None, lambda _: None).startswith("DJ846")


def test_a_pool_that_somebody_changes_is_waited_for(arm: Arm) -> None:
    fake, pools, _ = arm
    fake.put_there("sgx1", **WISH, provisioningState="Updating")
    states: list[str] = []

    def look(state: str) -> None:
        states.append(state)
        fake.put_there("sgx1", **WISH)

    pools.wait("sgx1", look)
    assert states == ["Updating", "Succeeded"]


def test_nobody_is_reached_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TRIES", 0)
    pools = AksPools("s", "g", "c", clock.monotonic, clock.pause, endpoint="https://127.0.0.1:1", credential=Credential())
    assert refusal(pools.read, "sgx1").startswith("DJ846")
    pools.close()
