"""The webhook as the API server calls it: TLS on loopback, reviews in, answers, figures and log lines out."""

import asyncio
import base64
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import cast

import pytest
from tests.adapters.https import CONTEXT, HOST, Client
from tests.admission.pods import EPC, FAQ, asking, pod
from tests.admission.test_review import question

from donjon.adapters import clock
from donjon.adapters.http.https import Bounds, HttpsServer, Request, Why
from donjon.adapters.metrics import exposition
from donjon.adapters.metrics.admission import AdmissionMetrics
from donjon.admission.policies.registration import PATH
from donjon.admission.review import MAX_SIZE
from donjon.admission.settings import Settings
from donjon.formats.json import Json
from donjon.services.admission import webhook
from donjon.services.admission.webhook import LINES_A_SECOND, Webhook

ASKS = json.dumps(question(pod(asking({FAQ: 10})))).encode()
REFUSED = json.dumps(question(pod(asking({EPC: "10Mi"}), nodeName="n1"))).encode()
MEBIBYTE = 1 << 20


@dataclass
class Here:
    port: int
    metrics: AdmissionMetrics

    async def post(self, body: bytes, **how: str) -> tuple[int, bytes]:
        client = await Client.connected(self.port)
        try:
            status, said, _ = await client.post(body, **how)
        finally:
            client.close()
        return status, said

    def told(self, line: str) -> bool:
        return line in exposition.text(self.metrics.registry).decode()


def served(story: Callable[[Here], Awaitable[None]], bounds: Bounds | None = None) -> None:
    async def run() -> None:
        metrics = AdmissionMetrics("test")
        application = Webhook(Settings(), metrics, clock.monotonic)
        server = HttpsServer(application, lambda: CONTEXT, host=HOST, port=0, bounds=bounds or Bounds(body=MAX_SIZE))
        here = Here(await server.start(), metrics)
        try:
            await story(here)
        finally:
            await server.close(0.2)
            await asyncio.sleep(0.01)

    asyncio.run(run())


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Json]]:
    return [{"event": record.getMessage()} | getattr(record, "fields", {}) for record in caplog.records]


def test_a_pod_that_asks_is_wired_and_counted() -> None:
    async def story(here: Here) -> None:
        status, said = await here.post(ASKS)
        response = json.loads(said)["response"]
        assert (status, response["allowed"]) == (200, True)
        assert {"sgx.intel.com~1enclave"} <= {
            each["path"].split("/")[-1] for each in json.loads(base64.b64decode(response["patch"]))
        }
        assert here.told('donjon_admission_reviews_total{outcome="wired"} 1.0')
        assert here.told("donjon_admission_seconds_count 1.0")

    served(story)


def test_a_pod_that_the_policies_refuse_is_one_line_and_counted_by_code(caplog: pytest.LogCaptureFixture) -> None:
    async def story(here: Here) -> None:
        assert json.loads((await here.post(REFUSED))[1])["response"]["allowed"] is True
        assert here.told('donjon_admission_reviews_total{outcome="refused"} 1.0')
        assert here.told('donjon_admission_findings_total{code="DJ105",severity="error"} 1.0')

    with caplog.at_level(logging.INFO):
        served(story)
    (line,) = lines(caplog)
    assert (line["event"], line["pod"], line["codes"]) == ("the policies refuse this pod", "team/p", ["DJ105"])


@pytest.mark.parametrize(
    ("how", "body", "status", "code"),
    [
        ({}, b"{", 400, "DJ141"),
        ({}, b"\xff", 400, "DJ141"),
        ({}, b"{}", 400, "DJ142"),
        ({}, b"[" * 1_000_000, 400, "DJ140"),
        ({}, ASKS.replace(b"CREATE", b"DELETE"), 400, "DJ143"),
        ({}, b" " * (8 * MEBIBYTE + 1), 413, "DJ140"),
        ({"path": "/"}, ASKS, 404, "DJ144"),
        ({"kind": "application/yaml"}, ASKS, 415, "DJ144"),
        ({"kind": ""}, ASKS, 415, "DJ144"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_question_is_turned_away_by_code_and_the_next_call_served(
    how: dict[str, str], body: bytes, status: int, code: str
) -> None:
    async def story(here: Here) -> None:
        answered, said = await here.post(body, **how)
        assert answered == status
        assert said.decode().rstrip().endswith(f"[{code}]")
        assert here.told(f'donjon_admission_errors_total{{code="{code}"}} 1.0')
        assert (await here.post(ASKS))[0] == 200

    served(story)


def test_eight_mebibytes_are_answered() -> None:
    async def story(here: Here) -> None:
        assert (await here.post(ASKS + b" " * (8 * MEBIBYTE - len(ASKS))))[0] == 200

    served(story)


def test_a_mistake_of_ours_is_an_answer_too(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(webhook, "review", broken)

    async def story(here: Here) -> None:
        status, said = await here.post(ASKS)
        assert status == 500
        assert b"[DJ145]" in said

    served(story)
    assert "ZeroDivisionError" in caplog.text


def test_who_sends_nonsense_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    moment = 1000.0
    application = Webhook(Settings(), AdmissionMetrics("test"), lambda: moment)
    for _ in range(10 * LINES_A_SECOND):
        application.turn_away(Why.NO_HTTP, "10.0.0.1")
    assert len(caplog.records) == LINES_A_SECOND
    moment += 1
    application.turn_away(Why.TOO_SLOW, "10.0.0.1")
    assert len(caplog.records) == LINES_A_SECOND + 1


def test_who_sends_pods_that_are_refused_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Nor with what they are called."""
    moment = 1000.0
    application = Webhook(Settings(), AdmissionMetrics("test"), lambda: moment)
    long = json.dumps(question(pod(asking({EPC: "10Mi"}), nodeName="n1")) | {}).replace('"team"', f'"{"n" * 100_000}"').encode()
    with caplog.at_level(logging.INFO):
        for _ in range(3 * LINES_A_SECOND):
            application.answer(Request(method="POST", path=PATH, content_type="application/json", body=long, peer="10.0.0.1"))
        assert len(caplog.records) == LINES_A_SECOND
        application.turn_away(Why.NO_HTTP, "10.0.0.1")
        assert len(caplog.records) == LINES_A_SECOND + 1, "these are counted by themselves"
    assert all(len(json.dumps(line)) < 20_000 for line in lines(caplog))


def test_a_sentence_in_the_log_is_cut(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "MAX_SENTENCE", 40)
    application = Webhook(Settings(), AdmissionMetrics("test"), clock.monotonic)
    body = json.dumps(question(pod(asking({EPC: "10Mi"}), nodeName="n1"))).encode()
    with caplog.at_level(logging.INFO):
        application.answer(Request(method="POST", path=PATH, content_type="application/json", body=body, peer="10.0.0.1"))
    (line,) = lines(caplog)
    assert [len(each) for each in cast("list[str]", line["findings"])] == [40]


def resident() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - a file of the kernel.
        return int(file.read().split()[1]) * 4096


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_memory_stays_flat_whatever_comes() -> None:
    many = json.dumps(question(pod(*(asking({EPC: "1Mi"}, f"c{number}") for number in range(10_000))))).encode()
    wide = json.dumps(question({"a": "x" * 7 * MEBIBYTE + "\U0001f600"}), ensure_ascii=False).encode()
    bad = [many, wide, b"[" * (3 * MEBIBYTE), b"[" + b"{}," * 2 * MEBIBYTE, b'{"a":' * 500_000, b"\xff" * MEBIBYTE, ASKS]
    application = Webhook(Settings(), AdmissionMetrics("test"), clock.monotonic)

    def around() -> int:
        for body in bad:
            kind = "application/json"
            application.answer(Request(method="POST", path="/mutate", content_type=kind, body=body, peer=""))
        return resident()

    first = max(around() for _ in range(2))
    assert max(around() for _ in range(8)) - first < 16 * MEBIBYTE
