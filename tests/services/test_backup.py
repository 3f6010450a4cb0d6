"""Backup and restore, as docs/audit.md has them: its commands are run as they stand, beside a running service."""

import logging
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests import pages
from tests.adapters.postgres import Server
from tests.services import attesting
from tests.services.attesting import chosen, instance, serving
from tests.services.test_attestation_audit import PATH, POLICY, heads

from donjon.signing.signer import Algorithm

SHOWN = pages.shown("audit.md", __file__)
BACKUP, RESTORE, SERVER_BACKUP = ("\n".join(lines) for lines in (SHOWN[:3], SHOWN[3:5], SHOWN[5:]))
VERIFY = "donjon audit verify --database sqlite:///attestation.db --heads service.log --keys audit-keys"


def run(folder: Path, commands: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """These lines, one after the other, until one fails, with the programs of this interpreter, and of that folder."""
    programs = [Path(sys.executable).parent, *([] if path is None else [path]), *os.environ["PATH"].split(":")]
    told = {**os.environ, "PATH": ":".join(map(str, programs))}
    return subprocess.run(["sh", "-ec", commands], cwd=folder, env=told, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def flags(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Mapping[str, str]:
    """Settings of a service whose heads are signed by `audit-keys`, and which are in the log."""
    caplog.set_level(logging.INFO)
    keys = attesting.keys(tmp_path, "audit", "https://audit.example", Algorithm.ES256)
    (tmp_path / "audit-keys").symlink_to(keys)
    return {"mode": "offline", "audit-keys": str(keys)}


def test_a_copy_beside_the_service_is_whole_and_what_came_later_is_told_once_it_is_put_back(
    tmp_path: Path, flags: Mapping[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    settings = chosen(tmp_path, instance(tmp_path, "aad"), flags)
    with serving(tmp_path, settings) as service:
        assert service.put(PATH, POLICY).status_code == 200
        heads(caplog, tmp_path)
        copied = run(tmp_path, BACKUP)
        assert (copied.returncode, copied.stderr) == (0, "")
        assert copied.stdout.splitlines()[-1] == "1 chain, 2 records: whole"
        assert service.put(PATH, POLICY).status_code == 200
    before = heads(caplog, tmp_path).read_text()
    restored = run(tmp_path, RESTORE)
    assert (restored.returncode, restored.stderr) == (0, "")
    with serving(tmp_path, settings) as service:
        assert service.put(PATH, POLICY).status_code == 200
    since = heads(caplog, tmp_path).read_text().removeprefix(before)
    (tmp_path / "since.log").write_text(since)
    told = run(tmp_path, VERIFY)
    assert told.returncode == 1, told.stderr
    assert re.findall(r"\[(DJ\d+)\]", told.stdout) == ["DJ606"]
    green = run(tmp_path, VERIFY.replace("service.log", "copy.log --heads since.log"))
    assert (green.returncode, green.stdout.splitlines()[-1]) == (0, "2 chains, 4 records: whole")


def test_a_dump_of_a_server_is_restored_and_whole_beside_the_service(
    postgresql: Server, tmp_path: Path, flags: Mapping[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    address = postgresql.prepared()
    name = address.partition("?")[0].rpartition("/")[2]
    copy, commands = f"{name}copy", SERVER_BACKUP
    for shown, ours in (
        ("postgresql://donjon@db/attestation", address),
        ("postgresql://donjon@db/copy", address.replace(name, copy)),
        (" copy\n", f" {copy}\n"),
    ):
        assert shown in commands
        commands = commands.replace(shown, ours)
    with serving(tmp_path, chosen(tmp_path, instance(tmp_path, "aad"), {**flags, "database": address})) as service:
        assert service.put(PATH, POLICY).status_code == 200
        heads(caplog, tmp_path)
        copied = run(tmp_path, commands, postgresql.programs)
    assert copied.returncode == 0, copied.stderr
    assert copied.stdout.splitlines()[-1] == "1 chain, 2 records: whole"
    with serving(
        tmp_path, chosen(tmp_path, instance(tmp_path, "aad"), {**flags, "database": address.replace(name, copy)})
    ) as service:
        assert service.get(PATH).status_code == 200
