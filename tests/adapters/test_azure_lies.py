"""Azure that lies, stalls or never ends: each answer is refused with a code, in time, and nobody else is given the token."""

import threading
from collections.abc import Callable, Iterator

import pytest
from tests.adapters.fakearm import Answer, error, ok
from tests.adapters.test_azure_pools import WISH, Arm, arm, refusal

from donjon.adapters import clock
from donjon.adapters.azure import pools as module
from donjon.adapters.azure import transport

__all__ = ["arm"]

ELSEWHERE = {"Azure-AsyncOperation": "https://evil.example/operations/x", "Retry-After": "0"}


def answering(given: Arm, method: str, part: str, answer: Callable[[], Answer]) -> None:
    """Questions of one kind get this answer, whatever is there."""
    fake, original = given[0], given[0].answer

    def chosen(asked: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if asked == method and part in path:
            fake.requests.append((asked, path, headers))
            return answer()
        return original(asked, path, headers, body)

    fake.answer = chosen  # type: ignore[assignment, method-assign] # Azure, for this test.


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ((200, {}, b"[" * 100_000), "DJ845"),
        ((200, {}, b'{"name": "sgx1", "properties": {"count": ' + b"9" * 100_000 + b"}}"), "DJ845"),
        (ok({"name": "sgx1", "properties": {"provisioningState": {"a": [1]}}}), "DJ845"),
        (error(429, "x", "y", {"Retry-After": "1000000000"}), "DJ846"),
        (error(429, "x", "y", {"Retry-After": "inf"}), "DJ846"),
        (error(429, "x", "y", {"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}), "DJ846"),
        (error(429, "x", "y", {"Retry-After": "soon"}), "DJ845"),
        ((307, {"Location": "https://evil.example/"}, b""), "DJ845"),
    ],
    ids=["deep", "long number", "state", "centuries", "for ever", "a date", "no time", "another host"],
)
def test_an_answer_that_is_none_is_refused_at_once(arm: Arm, answer: Answer, code: str) -> None:
    fake, pools, _ = arm
    fake.queue = [lambda: answer]
    assert refusal(pools.read, "sgx1").startswith(code)
    assert len(fake.requests) == 1


def test_a_pause_of_minutes_that_azure_asks_for_is_waited_and_one_of_hours_is_not() -> None:
    waited: list[float] = []
    way = transport.BoundedTransport("https://management.azure.com", waited.append)
    way.sleep(300)
    assert refusal(way.sleep, 3 * 3600.0).startswith("DJ846")
    assert refusal(way.sleep, float("nan")).startswith("DJ846")
    assert waited == [300]


def test_redirects_in_a_circle_end(arm: Arm) -> None:
    fake, pools, _ = arm
    fake.queue = [lambda: (307, {"Location": f"https://127.0.0.1:{fake.port}/again"}, b"")] * 200
    assert refusal(pools.read, "sgx1").startswith("DJ845")
    assert len(fake.requests) < 50


def test_an_answer_without_end_is_cut_off(arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    fake, pools, _ = arm
    monkeypatch.setattr(transport, "MAX_ANSWER", 1 << 16)
    fake.queue = [lambda: (200, {}, b'{"name": "' + b"x" * (1 << 20) + b'"}')]
    assert refusal(pools.read, "sgx1").startswith("DJ845")


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Closed until the test is over, so that the stand-in's thread ends."""
    event = threading.Event()
    yield event
    event.set()


def test_an_answer_that_stalls_is_left(arm: Arm, gate: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    fake, pools, _ = arm
    monkeypatch.setattr(module, "WHOLE", 0.3)

    def stall() -> Answer:
        gate.wait(20)
        return ok({"name": "sgx1"})

    fake.queue = [stall]
    begun = clock.monotonic()
    assert refusal(pools.read, "sgx1").startswith("DJ846")
    assert clock.monotonic() - begun < 5
    gate.set()


def test_an_operation_at_another_host_is_not_asked_about(arm: Arm) -> None:
    """The token would go there."""
    _, pools, _ = arm
    created = b'{"name": "sgx1", "properties": {"provisioningState": "Creating"}}'
    answering(arm, "PUT", "agentPools", lambda: (201, ELSEWHERE, created))
    told = refusal(pools.put, "sgx1", WISH, None, lambda _: None)
    assert told.startswith("DJ845")
    assert "evil.example" in told


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ((200, {}, b"<html>"), "DJ845"),
        ((200, {}, b"[]"), "DJ845"),
        (ok({"name": "x"}), "DJ847"),
        (ok({"status": 7}), "DJ846"),
        (ok({"status": "\x1b[2J"}), "DJ846"),
        (ok({"status": "InProgress"}, {"Retry-After": "1000000000"}), "DJ846"),
        (error(401, "ExpiredAuthenticationToken", "the token ended"), "DJ840"),
        (ok({"status": "Failed", "error": {"code": "\x1b[2J", "message": "x" * 10**6}}), "DJ847"),
    ],
    ids=["html", "list", "no status", "number", "escape", "centuries", "a token that ended", "long words"],
)
def test_an_operation_that_says_nonsense_is_told_with_its_code(
    arm: Arm, answer: Answer, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, pools, _ = arm
    monkeypatch.setattr(module, "PATIENCE", 0.5)
    answering(arm, "GET", "operations/", lambda: answer)
    told = refusal(pools.put, "sgx1", WISH, None, lambda _: None)
    assert told.startswith(code)
    assert len(told) < 1000
    assert "\x1b" not in told


def test_a_token_that_ends_while_a_pool_is_made_is_told(arm: Arm) -> None:
    fake, pools, credential = arm
    original = fake.answer

    def ending(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        credential.ends = credential.ends or method == "PUT"
        if "operations/" in path:
            fake.requests.append((method, path, headers))
            return error(401, "ExpiredAuthenticationToken", "the token ended")
        return original(method, path, headers, body)

    fake.answer = ending  # type: ignore[method-assign] # Azure, for this test.
    assert refusal(pools.put, "sgx1", WISH, None, lambda _: None).startswith("DJ840")
    assert len(fake.puts()) == 1


def test_no_host_but_the_one_that_is_named_is_asked() -> None:
    way = transport.BoundedTransport("https://management.azure.com", print)
    for host in ("evil.example", "management.azure.com.evil.example", "xmanagement.azure.com"):
        assert refusal(way.send, Question(f"https://{host}/")).startswith("DJ845")


class Question:
    """As much of a request as is looked at before it is sent."""

    def __init__(self, url: str) -> None:
        self.url = url
