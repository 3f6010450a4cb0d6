"""A first-time user's way, as docs/attestation-service.md shows it: a make-believe Intel, the service, a token checked."""

import json
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from click.testing import CliRunner
from cryptography import x509
from tests import pages
from tests.pages import Terminal
from tests.ports import free_port

from donjon.cli.attestation.command import attestation
from donjon.cli.audit.command import audit
from donjon.errors import Unavailable

PROJECT = Path(__file__).parents[2]


def rehearse(folder: Path, port: int) -> None:
    done = CliRunner().invoke(attestation, ["rehearse", str(folder), "--port", str(port)], catch_exceptions=False)
    assert f"donjon attestation serve --config {folder}/attestation.toml" in done.output


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_what_the_page_shows_works_as_it_stands(tmp_path: Path) -> None:
    port = free_port()
    server, log = f"https://127.0.0.1:{port}", tmp_path / "log"
    (tmp_path / "docs").symlink_to(PROJECT / "docs")
    instead = {
        ".venv/bin": str(Path(sys.executable).parent),
        "127.0.0.1:8081": f"127.0.0.1:{port}",
        "rehearse rehearsal": f"rehearse rehearsal --port {port}",
        "attest.py rehearsal": f"attest.py rehearsal {server}",
        "operator.pem": "operator.pem --yes",
    }
    reader = Terminal(folder=tmp_path, environment={"DONJON_ATTESTATION": server}, instead=instead)
    shown = pages.shown("attestation-service.md", __file__)
    rehearse, serve, attest, verify, explain, export, change, reset, show, new_key, keys = shown
    assert "attestation.toml" in reader.run(rehearse)
    with reader.serving(serve, "attestation service listens", log):
        assert listens(port)
        with urlopen(f"http://127.0.0.1:{port + 1}/readyz") as answer:
            assert answer.read() == b"ok: simulated, the trust root is not Intel's\n"
        asked = reader.run(attest)
        assert reader.typed(export) == f"export DONJON_ATTESTATION={server}"
        assert ": in force is hash " in reader.run(change)
        assert "400" in reader.run(attest, ok=(1,))
        assert "NOT PERMITTED" in reader.run(explain, ok=(1,))
        assert "UpToDate" in reader.run(verify)
        reader.run(reset)
        assert " policy-set rehearsal uri:operator " in reader.run(show)
        assert "is published now and signs from" in reader.run(new_key)
        assert "  next  " in reader.run(keys)
    assert 'certificate = "uri:operator"' in (tmp_path / "rehearsal" / "attestation.toml").read_text(encoding="utf-8")
    sgx, tdx = (json.loads(f"{{{each}") for each in re.split(r"^\{", asked, flags=re.MULTILINE)[1:])
    assert (sgx["x-ms-attestation-type"], tdx["x-ms-attestation-type"]) == ("sgx", "tdxvm")
    assert sgx["x-donjon-simulated"] is tdx["x-donjon-simulated"] is True
    assert sgx["x-ms-runtime"] == {"says": "this key is the enclave's", "key": "..."}


def donjon_audit(*arguments: str) -> str:
    return CliRunner().invoke(audit, arguments, catch_exceptions=False).output


def test_its_settings_are_good(tmp_path: Path) -> None:
    rehearse(tmp_path / "r", free_port())
    done = CliRunner().invoke(attestation, ["serve", "--check", "--config", str(tmp_path / "r" / "attestation.toml")])
    assert done.output == "the settings are good\nsettings that weaken security: unsafe-trust-root\n"


def test_a_check_warns_where_nobody_is_asked_for_collateral_and_none_is_there(tmp_path: Path) -> None:
    rehearse(tmp_path / "r", free_port())
    said = [
        "serve",
        "--check",
        "--config",
        str(tmp_path / "r" / "attestation.toml"),
        "--database",
        f"sqlite:///{tmp_path}/new.db",
    ]
    empty = CliRunner().invoke(attestation, said)
    assert empty.output.startswith("the settings are good\nsettings that weaken security: unsafe-trust-root\nwarning: ")
    assert "the database holds none that has not ended, and in mode offline nobody is asked" in empty.output
    assert "[DJ512]" in empty.output
    assert not (tmp_path / "new.db").exists()
    later = CliRunner().invoke(attestation, [*said[:-2], "--unsafe-clock", "2100-01-01T00:00:00Z"])
    assert "[DJ512]" in later.output
    assert "settings that weaken security: unsafe-trust-root, unsafe-clock\n" in later.output
    assert (empty.exit_code, later.exit_code) == (0, 0)


def for_pods(folder: Path, *more: str) -> dict[str, Any]:
    command = ["rehearse", str(folder), "--for-pods", *more]
    made: dict[str, Any] = json.loads(CliRunner().invoke(attestation, command, catch_exceptions=False).output)
    return made


def test_for_pods_it_prints_whom_to_trust_and_evidence_and_no_key_and_a_second_time_the_same(tmp_path: Path) -> None:
    issuer = "https://donjon-attestation.donjon.svc"
    made = for_pods(tmp_path / "r", "--issuer", issuer)
    assert set(made) == {"authority.pem", "sgx.json", "tdx.json"}
    assert "PRIVATE KEY" not in json.dumps(made)
    assert f'simulated-issuer = "{issuer}"' in (tmp_path / "r" / "attestation.toml").read_text(encoding="utf-8")
    assert for_pods(tmp_path / "r", "--issuer", issuer) == made


def test_one_that_ended_halfway_is_begun_anew(tmp_path: Path) -> None:
    command = f"ulimit -f 4; exec {sys.executable} -B -m donjon attestation rehearse {tmp_path / 'r'} --for-pods"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=60)
    assert "[DJ534]" in ended.stderr
    assert not (tmp_path / "r").exists()
    assert set(for_pods(tmp_path / "r")) == {"authority.pem", "sgx.json", "tdx.json"}
    assert [each.name for each in tmp_path.iterdir()] == ["r"]


def test_a_folder_that_another_makes_meanwhile_is_not_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier one left is gone, and at once another's folder is there, who could change what is written into it."""
    half = tmp_path / ".r.half"
    half.mkdir()
    monkeypatch.setattr(shutil, "rmtree", lambda _: None)
    with pytest.raises(Unavailable, match="DJ534"):
        CliRunner().invoke(attestation, ["rehearse", str(tmp_path / "r")], catch_exceptions=False)
    assert list(half.iterdir()) == []


def test_its_certificate_is_for_the_issuers_name_and_for_this_machine(tmp_path: Path) -> None:
    for_pods(tmp_path / "r", "--issuer", "https://donjon-attestation.donjon.svc")
    certificate = x509.load_pem_x509_certificate((tmp_path / "r" / "tls" / "tls.crt").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["donjon-attestation.donjon.svc", "localhost"]


def test_a_folder_that_is_no_rehearsal_is_none_for_pods(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="expected a folder that a rehearsal made"):
        CliRunner().invoke(attestation, ["rehearse", str(tmp_path), "--for-pods"], catch_exceptions=False)


def test_an_issuer_that_no_token_could_have_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(attestation, ["rehearse", str(tmp_path / "r"), "--issuer", "http://plain.example"])
    assert done.exit_code == 2
    assert "http://plain.example" in done.output
    assert not (tmp_path / "r").exists()


def test_nothing_that_is_there_is_overwritten(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="DJ534"):
        CliRunner().invoke(attestation, ["rehearse", str(tmp_path)], catch_exceptions=False)
    assert list(tmp_path.iterdir()) == []


def test_what_it_makes_secret_is_for_its_owner_alone(tmp_path: Path) -> None:
    rehearse(tmp_path / "r", free_port())
    for secret in (".", "keys/one.pem", "tls/tls.key", "operator.pem"):
        assert (tmp_path / "r" / secret).stat().st_mode & 0o077 == 0


def test_a_check_says_that_what_the_database_holds_is_of_another_root(tmp_path: Path) -> None:
    """Of two rehearsals, each with a make-believe Intel of its own, one has the other's database."""
    for name in ("one", "other"):
        rehearse(tmp_path / name, free_port())
    database = f"sqlite:///{tmp_path}/one/attestation.db"
    said = ["serve", "--check", "--config", str(tmp_path / "other" / "attestation.toml"), "--database", database]
    done = CliRunner().invoke(attestation, said)
    assert (done.exit_code, "[DJ220]" in done.output, "DJ512" in done.output) == (0, True, False)
    assert "if it is another service's database, give this one its own" in done.output
    assert "stored collateral not served" not in done.output
