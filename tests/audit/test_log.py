"""Statements are taken out of a line whatever a collector made of it, and a line whose statement was not taken is told."""

import base64
import json

import pytest
from tests.audit.chains import anchor, head, written

from donjon.audit import log
from donjon.audit.statements import encode

RECORDS = written("host-1", 3)
HEAD, ANCHOR = encode(head(RECORDS[2]), None), encode(anchor(RECORDS[1]), None)
TIME = "2026-03-01T20:08:21.160Z"


def line(event: str, **fields: str) -> str:
    return json.dumps({"time": TIME, "level": "info", "event": event, **fields})


TOLD = line(log.HEAD, statement=HEAD)
DOCKER = {"log": f"{TOLD}\n", "stream": "stderr", "time": TIME}


@pytest.mark.parametrize(
    "form",
    [
        "{}",
        f"{TIME} {{}}",
        "[pod/donjon-attestation-0/attestation] {}",
        f"[pod/donjon-attestation-0/attestation] {TIME} {{}}\r",
        f"{TIME} stderr F {{}}",
        "attestation-1  | {}",
        "Mar 01 20:08:21 host-1 donjon[123]: {}",
        "<30>1 2026-03-01T20:08:21Z host-1 donjon 123 - - {}",
        'donjon-0 {{pod="donjon-0", x={{}}}} {}',
        "\x1b[36mattestation\x1b[0m {}",
        "\ufeff{}",
        "MESSAGE={}",
    ],
    ids=[
        "as written",
        "timestamps",
        "prefix",
        "prefix and timestamps",
        "containerd",
        "compose",
        "journald",
        "syslog",
        "labels",
        "colours",
        "byte order mark",
        "export",
    ],
)
def test_what_stands_before_a_line_hides_no_statement(form: str) -> None:
    for kind, text in ((log.HEAD, HEAD), (log.ANCHOR, ANCHOR)):
        reading = log.read(form.format(line(kind, statement=text)))
        assert (reading.texts, reading.is_missed) == ([text], False)


@pytest.mark.parametrize(
    "wrapper",
    [
        DOCKER,
        {"MESSAGE": TOLD, "_PID": "123"},
        {"event": TOLD, "time": 1, "host": "host-1"},
        {"level": "info", "event": TOLD},
        {"event": {"original": TOLD}, "tags": ["a"]},
        {"labels": {}, "line": TOLD},
        {"streams": [{"values": [["1", TOLD]]}]},
        {"message": json.dumps(DOCKER)},
        {"log_processed": json.loads(TOLD), "stream": "stderr"},
    ],
    ids=["Docker", "journald", "Splunk", "Splunk with a level", "ECS", "Loki", "a push to Loki", "two deep", "Fluent Bit"],
)
def test_a_line_within_an_object_is_read(wrapper: dict[str, object]) -> None:
    reading = log.read(f"{TIME} {json.dumps(wrapper)}")
    assert (reading.texts, reading.is_missed) == ([HEAD], False)


def test_a_statement_alone_and_two_lines_that_became_one_are_read() -> None:
    assert log.read(f"{HEAD}\n").texts == [HEAD]
    assert log.read(TOLD + line(log.ANCHOR, statement=ANCHOR)).texts == [HEAD, ANCHOR]


@pytest.mark.parametrize("deep", range(950, 1001))
def test_values_in_values_end_no_reading(deep: int) -> None:
    text = f'{{"a": {"[" * deep}{json.dumps(TOLD)}{"]" * deep}}}'
    reading = log.read(text)
    assert reading.texts or reading.is_missed


@pytest.mark.parametrize(
    "text",
    [
        *(TOLD[:length] for length in range(TOLD.index(log.HEAD) + len(log.HEAD), len(TOLD))),
        TOLD[TOLD.index(HEAD) - 5 :],
        line(log.HEAD),
        f"event=x {TOLD[:-3]}",
        f'level=info event="audit anchor" statement={ANCHOR}',
        TOLD.replace('"', '""'),
        f"{line('other')} {TOLD[:-1]}",
        json.dumps({"log": TOLD[:-10], "stream": "stderr"}),
        f"{TIME} {HEAD}",
        "{" * 300 + TOLD,
        "\0".join(TOLD),
        f'{{"a": {"[" * 993}{line(log.HEAD, statement=HEAD)[:-3]}',
    ],
)
def test_a_line_of_which_no_statement_can_be_taken_is_told(text: str) -> None:
    reading = log.read(text)
    assert (reading.texts, reading.is_missed) == ([], True)


def test_the_mark_of_a_statement_is_seen_wherever_its_header_has_it() -> None:
    for kid in ("", "a", "ab"):
        header = json.dumps({"alg": "ES256", "kid": kid, "typ": "donjon-audit-head"}).encode()
        assert log.read(f"x {base64.urlsafe_b64encode(header).decode()}").is_missed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Starting …",
        "{",
        line("attestation service listens"),
        line("no audit head", code="DJ622"),
        f"{TIME} stderr F {line('no audit head', error='x')}",
        line("attest", request=HEAD[:64], caller=HEAD),
        line("attest", caller=log.HEAD),
        json.dumps({"log": line("attest", caller=TOLD)}),
        "[" * 5000,
        '{"statement": 1}',
        '{"a":' * 5000,
    ],
)
def test_any_other_line_has_none_whatever_a_caller_put_into_it(text: str) -> None:
    reading = log.read(text)
    assert (reading.texts, reading.is_missed) == ([], False)
