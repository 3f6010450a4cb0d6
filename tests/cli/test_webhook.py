"""`donjon admission serve`, as far as it goes without a cluster."""

from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from donjon.cli.admission.command import admission
from donjon.errors import Misconfigured
from donjon.runtime.certificate_settings import CertificateFolder, SharedCertificate
from donjon.services.admission import run
from donjon.services.admission.settings import AdmissionSettings


def told(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> AdmissionSettings:
    """The settings that the service is run with."""
    given: list[AdmissionSettings] = []
    monkeypatch.setattr(run, "run", given.append)
    done = CliRunner().invoke(admission, ["serve", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return given[0]


def test_the_defaults_are_those_of_the_chart(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = told(monkeypatch=monkeypatch)
    assert settings.certificate == SharedCertificate(
        namespace="donjon",
        secret="donjon-webhook-tls",  # noqa: S106 - the name of a Secret.
        names=("donjon-webhook.donjon.svc",),
        lifetime=timedelta(days=90),
    )
    assert settings.configuration == "donjon"
    assert (settings.listen, settings.probes, settings.drain) == (("0.0.0.0", 9443), ("0.0.0.0", 9809), 10.0)  # noqa: S104 - these are the defaults.


def test_what_is_said_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    said = ("--namespace", "sgx", "--name", "10.0.0.1", "--certificate-lifetime", "45s", "--drain", "3", "--listen", "[::]:443")
    settings = told(*said, monkeypatch=monkeypatch)
    assert isinstance(settings.certificate, SharedCertificate)
    assert settings.certificate.names == ("donjon-webhook.sgx.svc", "10.0.0.1")
    assert settings.certificate.lifetime == timedelta(seconds=45)
    assert (settings.listen, settings.drain) == (("::", 443), 3.0)


def test_a_certificate_of_others_is_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told("--certificate-dir", "/tls", monkeypatch=monkeypatch).certificate == CertificateFolder(folder=Path("/tls"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--certificate-lifetime", "soon"), "such as 90d"),
        (("--certificate-lifetime", "29s"), "expected 30s to 825d"),
        (("--certificate-lifetime", "999999999d"), "expected 30s to 825d"),
        (("--listen", "9443"), "expected ADDRESS:PORT"),
        (("--probes", "0.0.0.0:99999"), "expected ADDRESS:PORT"),
        (("--drain", "-1"), "expected seconds, 0 to 600"),
        (("--drain", "601"), "expected seconds, 0 to 600"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(Misconfigured, match=words):
        CliRunner().invoke(admission, ["serve", *arguments], catch_exceptions=False)
