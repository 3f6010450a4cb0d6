"""A first-time user's way, as docs/attestation-service.md shows it: a make-believe Intel, the service, a token checked."""

import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.cli.calling import call
from tests.ports import free_port

from donjon.cli.attestation.command import attestation
from donjon.cli.audit.command import audit
from donjon.errors import Unavailable

PROJECT = Path(__file__).parents[2]
PAGE = PROJECT / "docs" / "attestation-service.md"


def rehearse(folder: Path, port: int) -> None:
    done = CliRunner().invoke(attestation, ["rehearse", str(folder), "--port", str(port)], catch_exceptions=False)
    assert f"donjon attestation serve --config {folder}/attestation.toml" in done.output


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def example(name: str, *arguments: Path, port: int) -> subprocess.CompletedProcess[str]:
    told = (sys.executable, str(PROJECT / "docs" / "examples" / name), *map(str, arguments), f"https://127.0.0.1:{port}")
    return subprocess.run(told, capture_output=True, text=True, check=False, timeout=30)


def test_what_the_page_shows_works_as_it_stands(tmp_path: Path) -> None:
    caller = "--authority rehearsal/authority.pem --certificate rehearsal/operator.pem"
    shown = re.findall(r"^\$ (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert shown == [
        "donjon attestation rehearse rehearsal",
        "donjon attestation serve --config rehearsal/attestation.toml",
        ".venv/bin/python docs/examples/attest.py rehearsal",
        "export DONJON_ATTESTATION=https://127.0.0.1:8081",
        f"donjon policy set docs/examples/policies/enclave.policy {caller}",
        f"donjon policy reset {caller}",
    ]
    folder, port = tmp_path / "rehearsal", free_port()
    rehearse(folder, port)
    command = (sys.executable, "-m", "donjon", *shown[1].replace("rehearsal/", f"{folder}/").split()[1:])
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as service:
        assert service.stderr is not None
        told = service.stderr.readline()
        while "attestation service listens" not in told:
            assert told, "it ended"
            told = service.stderr.readline()
        assert listens(port)
        asked = example("attest.py", folder, port=port)
        change, reset = (f"{each} --yes".replace("rehearsal/", f"{folder}/").split()[1:] for each in shown[4:])
        server = f"https://127.0.0.1:{port}"
        changed = call(*(str(PROJECT / word) if word.startswith("docs/") else word for word in change), DONJON_ATTESTATION=server)
        refused = example("attest.py", folder, port=port)
        back = call(*reset, DONJON_ATTESTATION=server)
        service.send_signal(signal.SIGTERM)
        service.communicate(timeout=30)
    assert asked.returncode == 0, asked.stderr
    assert (changed.returncode, back.returncode) == (0, 0), changed.stderr + back.stderr
    assert ": in force is hash " in changed.stdout
    recorded = donjon_audit("show", "--database", f"sqlite:///{folder}/attestation.db", "--kind", "policy-set")
    assert 'certificate = "uri:operator"' in (folder / "attestation.toml").read_text(encoding="utf-8")
    assert " policy-set rehearsal uri:operator " in recorded
    assert "400" in refused.stderr
    sgx, tdx = (json.loads(f"{{{each}") for each in re.split(r"^\{", asked.stdout, flags=re.MULTILINE)[1:])
    assert (sgx["x-ms-attestation-type"], tdx["x-ms-attestation-type"]) == ("sgx", "tdxvm")
    assert sgx["x-donjon-simulated"] is tdx["x-donjon-simulated"] is True
    assert sgx["x-ms-runtime"] == {"says": "this key is the enclave's", "key": "..."}


def donjon_audit(*arguments: str) -> str:
    return CliRunner().invoke(audit, arguments, catch_exceptions=False).output


def test_its_settings_are_good(tmp_path: Path) -> None:
    rehearse(tmp_path / "r", free_port())
    done = CliRunner().invoke(attestation, ["serve", "--check", "--config", str(tmp_path / "r" / "attestation.toml")])
    assert done.output == "the settings are good\n"


def test_nothing_that_is_there_is_overwritten(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="DJ534"):
        CliRunner().invoke(attestation, ["rehearse", str(tmp_path)], catch_exceptions=False)
    assert list(tmp_path.iterdir()) == []


def test_what_it_makes_secret_is_for_its_owner_alone(tmp_path: Path) -> None:
    rehearse(tmp_path / "r", free_port())
    for secret in ("keys/one.pem", "tls/tls.key", "operator.pem"):
        assert (tmp_path / "r" / secret).stat().st_mode & 0o077 == 0
