"""A serving certificate that clients do not take now, or soon will not, is told at a check, the start, a change, and in time."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.pki.certs import DAY, LIFETIME, START, made
from tests.ports import free_port
from tests.services import attesting
from tests.services.test_probes import get

from donjon.adapters import clock
from donjon.adapters.http.folder import FolderContexts
from donjon.adapters.metrics.admission import AdmissionMetrics
from donjon.cli.attestation.command import attestation
from donjon.errors import DonjonError
from donjon.pki.serving import ServingCertificate
from donjon.runtime.certificate_settings import CertificateFolder
from donjon.runtime.certificate_watch import CertificateWatch
from donjon.runtime.certificates import FilesLoop, PresentedCertificate
from donjon.services.attestation.assembly import tell_certificate

HOUR = timedelta(hours=1)
GOOD, OTHER, SHORT = made(), made(START + DAY), made(lifetime=HOUR)
STORY: list[tuple[datetime, str]] = [
    (START - DAY, f"begins {START - HOUR:%FT%TZ}"),
    (START, ""),
    (START + LIFETIME - DAY - HOUR, ""),
    (START + LIFETIME - HOUR, f"ends {START + LIFETIME:%FT%TZ}"),
    (START + LIFETIME + HOUR, f"ended {START + LIFETIME:%FT%TZ}"),
]
"""At which moment the certificate `GOOD` is told to be what."""


class Told:
    """The moment that tests set, the files, and what the log was told about certificates."""

    def __init__(self, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        self.folder, self.moment, self._caplog = folder, START, caplog
        self.put(GOOD)

    def put(self, certificate: ServingCertificate, key: bytes = b"") -> None:
        (self.folder / "tls.crt").write_bytes(certificate.certificate)
        (self.folder / "tls.key").write_bytes(key or certificate.key)

    def lines(self) -> list[tuple[str, str, str]]:
        """Level, code and words of each line so far, which are forgotten."""
        found = [
            (each.levelname, each.__dict__.get("fields", {})) for each in self._caplog.records if "certificate" in each.message
        ]
        self._caplog.clear()
        return [(level, str(fields.get("code", "")), str(fields.get("error", ""))) for level, fields in found]


@pytest.fixture
def told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Told:
    return Told(tmp_path, caplog)


def attestations(told: Told) -> tuple[Callable[[], None], Callable[[], str]]:
    """How the attestation service looks, and the caveat of its yes."""
    watch = CertificateWatch(FolderContexts(told.folder, tell_certificate), lambda: told.moment)
    return watch.look, watch.caveat


def webhooks(told: Told) -> tuple[Callable[[], None], Callable[[], str]]:
    """The same of the webhook."""
    presented = PresentedCertificate(AdmissionMetrics("test"), lambda: told.moment)
    loop = FilesLoop(CertificateFolder(folder=told.folder), presented)
    return loop.round, presented.caveat


@pytest.mark.parametrize("program", [attestations, webhooks])
def test_each_stretch_of_a_certificates_life_is_told_once(
    told: Told, program: Callable[[Told], tuple[Callable[[], None], Callable[[], str]]]
) -> None:
    told.moment = STORY[0][0]
    look, caveat = program(told)
    words = []
    for moment, expected in STORY:
        told.moment = moment
        for _ in range(3):
            look()
        assert expected in caveat()
        assert bool(expected) is bool(caveat()), caveat()
        words.append([line for line in told.lines() if line[1:] != ("", "") or moment > START])
    assert [len(each) for each in words] == [1, 0, 0, 1, 1]
    for lines, (_, expected) in zip(words, STORY, strict=True):
        assert all(code == "DJ149" and expected in error for _, code, error in lines)
    assert [lines[0][0] for lines in words if lines] == ["ERROR", "WARNING", "ERROR"]


@pytest.mark.parametrize("program", [attestations, webhooks])
def test_a_change_to_one_that_has_ended_is_told_and_it_ends_with_a_good_one(
    told: Told, program: Callable[[Told], tuple[Callable[[], None], Callable[[], str]]]
) -> None:
    told.moment = START + 2 * DAY
    look, caveat = program(told)
    look()
    told.put(SHORT)
    look()
    assert ("ERROR", "DJ149") in [line[:2] for line in told.lines()]
    assert "[DJ149]" in caveat()
    told.put(OTHER)
    look()
    assert [line[0] for line in told.lines()] == ["INFO", "INFO"], "another is in use, and all is well again"
    assert caveat() == ""


@pytest.mark.parametrize("program", [attestations, webhooks])
def test_a_key_that_does_not_fit_is_told_once_and_the_last_certificate_serves_on(
    told: Told, program: Callable[[Told], tuple[Callable[[], None], Callable[[], str]]]
) -> None:
    look, caveat = program(told)
    look()
    told.lines()
    told.put(OTHER, key=GOOD.key)
    for _ in range(3):
        look()
    assert [line[:2] for line in told.lines()] == [("WARNING", "DJ146")]
    assert "not taken [DJ146]" in caveat()
    (told.folder / "tls.key").unlink()
    for _ in range(3):
        look()
    assert [line[:2] for line in told.lines()] == [("WARNING", "DJ146")], "another fault, told once, too"
    told.moment = START + 2 * DAY
    told.put(OTHER)
    look()
    assert caveat() == ""


def test_a_short_life_is_not_always_near_its_end(told: Told) -> None:
    told.put(SHORT)
    look, caveat = attestations(told)
    look()
    assert caveat() == ""
    told.moment = START + HOUR - timedelta(minutes=10)
    assert "ends" in caveat()


@pytest.mark.parametrize(
    ("begins", "lifetime", "words"),
    [
        (-2 * DAY, DAY, "ended "),
        (2 * DAY, DAY, "begins "),
        (-89 * DAY, LIFETIME - HOUR, "warning: serving certificate: ends "),
        (-DAY, LIFETIME, ""),
    ],
    ids=["ended", "not begun", "near its end", "good"],
)
def test_a_check_says_it(told: Told, begins: timedelta, lifetime: timedelta, words: str) -> None:
    told.put(made(clock.moment() + begins, lifetime))
    said = ("--tls-dir", str(told.folder), "--database", f"sqlite:///{told.folder}/x.db")
    for check in ("--check", "--check=files"):
        done = CliRunner().invoke(attestation, ["serve", check, *said])
        error = done.exception
        if words in {"ended ", "begins "}:
            assert isinstance(error, DonjonError)
            assert error.code == "DJ149"
            assert f"serving certificate: {words}" in error.message
        else:
            assert (done.exit_code, error, words in done.output, "DJ149" in done.output) == (0, None, True, bool(words))


def test_a_service_that_starts_with_an_ended_one_says_so_and_is_ready(told: Told) -> None:
    port = free_port()
    settings = replace(attesting.chosen(told.folder, "", {"mode": "lazy"}), tls=told.folder, probes=("127.0.0.1", port))
    with attesting.serving(told.folder, settings, lambda: START + LIFETIME + HOUR):
        status, body = asyncio.run(get(port, "/readyz"))
        assert ("ERROR", "DJ149") in [line[:2] for line in told.lines()]
        assert (status, f"ended {START + LIFETIME:%FT%TZ}" in body) == (200, True), body
