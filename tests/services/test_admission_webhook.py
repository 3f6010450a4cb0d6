"""The webhook as the API server calls it: TLS on loopback, reviews in, answers, figures and log lines out."""

import asyncio
import base64
import json
import logging
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
from tests.adapters.https import CONTEXT, HOST, SERVING, Client
from tests.admission.pods import EPC, FAQ, asking, pod
from tests.admission.test_review import question
from tests.ports import free_port
from tests.services.test_admission_certificates import ready, until

from donjon.adapters import clock
from donjon.adapters.http import Response
from donjon.adapters.http.gate import BAD, TOO_SLOW
from donjon.adapters.http.public import GuardedServer
from donjon.adapters.metrics import exposition
from donjon.adapters.metrics.admission import AdmissionMetrics
from donjon.admission.policies.registration import PATH
from donjon.admission.settings import Settings
from donjon.formats.json import Json
from donjon.services.admission import webhook
from donjon.services.admission.calls import LIMITS, WebhookCalls
from donjon.services.admission.webhook import JSON, LINES_A_SECOND, Webhook, WebhookRequest

ASKS = json.dumps(question(pod(asking({FAQ: 10})))).encode()
REFUSED = json.dumps(question(pod(asking({EPC: "10Mi"}), nodeName="n1"))).encode()
MEBIBYTE = 1 << 20


@dataclass
class Here:
    port: int
    metrics: AdmissionMetrics
    server: GuardedServer

    async def post(self, body: bytes, **how: str) -> tuple[int, bytes]:
        client = await Client.connected(self.port)
        try:
            status, said, _ = await client.post(body, **how)
        finally:
            client.close()
        return status, said

    def told(self, line: str) -> bool:
        return line in exposition.text(self.metrics.registry).decode()


def served(story: Callable[[Here], Awaitable[None]], kind: type[Webhook] = Webhook) -> None:
    async def run() -> None:
        metrics = AdmissionMetrics("test")
        application = kind(Settings(), metrics, clock.monotonic)
        calls, turned_away = WebhookCalls(application), application.turn_away
        server = GuardedServer(calls, lambda: CONTEXT, host=HOST, port=0, limits=LIMITS, error_response=turned_away)
        here = Here(await server.start(), metrics, server)
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


def test_what_is_too_large_is_turned_away_by_its_length_alone() -> None:
    async def story(here: Here) -> None:
        client = await Client.connected(here.port)
        await client.say(b"POST /mutate HTTP/1.1\r\nHost: w\r\nContent-Length: %d\r\n\r\n" % (8 * MEBIBYTE + 1))
        status, said, stays = await client.answer()
        client.close()
        assert (status, said.endswith(b"[DJ140]\n"), stays) == (413, True, False)
        assert here.told('donjon_admission_errors_total{code="DJ140"} 1.0')

    served(story)


def test_as_many_reviews_as_have_room_are_answered_of_one_address() -> None:
    """Two of the largest at once, and then a hundred of the usual."""

    async def story(here: Here) -> None:
        largest = ASKS + b" " * (8 * MEBIBYTE - len(ASKS))
        assert {status for status, _ in await asyncio.gather(here.post(largest), here.post(largest))} == {200}
        assert {status for status, _ in await asyncio.gather(*(here.post(ASKS) for _ in range(100)))} == {200}

    served(story)


def test_pods_of_megabytes_are_turned_away_before_usual_ones_though_all_come_from_the_api_server() -> None:
    async def story(here: Here) -> None:
        large = ASKS + b" " * (3 * MEBIBYTE - len(ASKS))
        answers = await asyncio.gather(*map(here.post, [large] * 12 + [ASKS] * 20), return_exceptions=True)
        statuses = [answer if isinstance(answer, BaseException) else answer[0] for answer in answers]
        assert set(statuses[12:]) == {200}
        assert set(statuses[:12]) != {200}, "some are answered 503, or cut off as they send on"

    served(story)


def test_the_webhook_waits_longer_for_the_next_request_than_the_api_server_keeps_a_connection() -> None:
    """Whoever closes first loses no call; client-go closes an idle connection after 90 s."""
    assert LIMITS.idle > 90 + LIMITS.request


def test_whoever_waits_for_the_event_loop_goes_between_two_answers() -> None:
    order = list[str]()

    class Watching(Webhook):
        def answer(self, request: WebhookRequest) -> Response:
            order.append("answer")
            asyncio.get_running_loop().call_soon(order.append, "another")
            return super().answer(request)

    async def story(here: Here) -> None:
        clients = [await Client.connected(here.port) for _ in range(6)]
        assert [code for code, *_ in await asyncio.gather(*(each.post(ASKS) for each in clients))] == [200] * 6
        assert order == ["answer", "another"] * 6
        for each in clients:
            each.close()

    served(story, kind=Watching)


@contextmanager
def running(folder: Path) -> Iterator[tuple[int, int, Path]]:
    """The webhook as a process of its own: where it serves, where it is probed, and what the kernel says of its memory."""
    (folder / "tls.crt").write_bytes(SERVING.certificate)
    (folder / "tls.key").write_bytes(SERVING.key)
    port, probes = free_port(), free_port()
    command = (sys.executable, "-m", "donjon", "admission", "serve", "--certificate-dir", str(folder), "--drain", "0")
    places = ("--listen", f"{HOST}:{port}", "--probes", f"{HOST}:{probes}")
    webhook = subprocess.Popen((*command, *places), stderr=subprocess.DEVNULL)
    try:
        yield port, probes, Path(f"/proc/{webhook.pid}/statm")
    finally:
        webhook.terminate()
        assert webhook.wait(30) == 0


def test_bodies_beyond_what_there_is_room_for_are_refused_and_memory_stays_flat(tmp_path: Path) -> None:
    """A hundred MiB of three addresses, in bodies that never end; a fourth is answered all the while."""

    async def call(port: int) -> None:
        client = await Client.connected(port, source="127.0.0.9")
        assert (await client.post(ASKS))[0] == 200
        client.close()

    async def send_half(port: int, number: int) -> Client:
        head = b"POST /mutate HTTP/1.1\r\nHost: w\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        client = await Client.connected(port, source=f"127.0.0.{number % 3 + 2}")
        with suppress(OSError):  # The server closes while a body without room is sent.
            await client.say(head % (8 * MEBIBYTE) + bytes(8 * MEBIBYTE - 1))
        return client

    async def story(port: int, probes: int, statm: Path) -> None:
        await until(lambda: ready(probes), 60)
        await call(port)
        before = resident(statm)
        halves = asyncio.gather(*(send_half(port, number) for number in range(12)))
        while not halves.done():
            await call(port)
            assert resident(statm) - before < LIMITS.bodies + 24 * MEBIBYTE
        for each in await halves:
            each.close()
        assert b'donjon_admission_errors_total{code="DJ148"}' in await fetch(probes, "/metrics")

    with running(tmp_path) as (port, probes, statm):
        asyncio.run(story(port, probes, statm))


async def fetch(port: int, path: str) -> bytes:
    """All that is answered to a GET in plain HTTP."""
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: w\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer


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
        application.turn_away(BAD, "10.0.0.1")
    assert len(caplog.records) == LINES_A_SECOND
    moment += 1
    application.turn_away(TOO_SLOW, "10.0.0.1")
    assert len(caplog.records) == LINES_A_SECOND + 1


def test_who_sends_pods_that_are_refused_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Nor with what they are called."""
    moment = 1000.0
    application = Webhook(Settings(), AdmissionMetrics("test"), lambda: moment)
    long = json.dumps(question(pod(asking({EPC: "10Mi"}), nodeName="n1")) | {}).replace('"team"', f'"{"n" * 100_000}"').encode()
    with caplog.at_level(logging.INFO):
        for _ in range(3 * LINES_A_SECOND):
            application.answer(WebhookRequest(method="POST", path=PATH, content_type=JSON, body=long, peer="10.0.0.1"))
        assert len(caplog.records) == LINES_A_SECOND
        application.turn_away(BAD, "10.0.0.1")
        assert len(caplog.records) == LINES_A_SECOND + 1, "these are counted by themselves"
    assert all(len(json.dumps(line)) < 20_000 for line in lines(caplog))


def test_a_sentence_in_the_log_is_cut(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "MAX_SENTENCE", 40)
    application = Webhook(Settings(), AdmissionMetrics("test"), clock.monotonic)
    body = json.dumps(question(pod(asking({EPC: "10Mi"}), nodeName="n1"))).encode()
    with caplog.at_level(logging.INFO):
        application.answer(WebhookRequest(method="POST", path=PATH, content_type=JSON, body=body, peer="10.0.0.1"))
    (line,) = lines(caplog)
    assert [len(each) for each in cast("list[str]", line["findings"])] == [40]


def resident(statm: Path = Path("/proc/self/statm")) -> int:
    return int(statm.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_memory_stays_flat_whatever_comes() -> None:
    many = json.dumps(question(pod(*(asking({EPC: "1Mi"}, f"c{number}") for number in range(10_000))))).encode()
    wide = json.dumps(question({"a": "x" * 7 * MEBIBYTE + "\U0001f600"}), ensure_ascii=False).encode()
    bad = [many, wide, b"[" * (3 * MEBIBYTE), b"[" + b"{}," * 2 * MEBIBYTE, b'{"a":' * 500_000, b"\xff" * MEBIBYTE, ASKS]
    application = Webhook(Settings(), AdmissionMetrics("test"), clock.monotonic)

    def around() -> int:
        for body in bad:
            application.answer(WebhookRequest(method="POST", path=PATH, content_type=JSON, body=body, peer=""))
        return resident()

    first = max(around() for _ in range(2))
    assert max(around() for _ in range(8)) - first < 16 * MEBIBYTE
