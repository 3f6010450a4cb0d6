"""Signing keys made and listed at the command line."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from donjon.adapters import clock
from donjon.adapters.keys import signing
from donjon.cli.attestation.command import attestation
from donjon.errors import DonjonError
from donjon.formats.durations import duration
from donjon.signing.ring import MAX_KEYS, Order
from donjon.signing.signer import Algorithm

ISSUER = "https://attest.example/team-a"


def run(*said: str) -> Result:
    return CliRunner().invoke(attestation, ["keys", *said])


def new(folder: Path, *more: str) -> Result:
    return run("new", str(folder), "--issuer", ISSUER, "--algorithm", "ES256", *more)


def states(folder: Path) -> list[str]:
    return [each["state"] for each in json.loads(run("list", str(folder), "-o", "json").output)["keys"]]


def write(folder: Path, began: str, ends: str, name: str) -> None:
    """A key of some time ago."""
    begins, until = (clock.moment() + (-duration(each[1:]) if each[0] == "-" else duration(each)) for each in (began, ends))
    text = signing.fresh_file(Order(algorithm=Algorithm.ES256, issuer=ISSUER, begins=begins, ends=until))
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(text)


def test_the_first_key_signs_at_once_and_the_next_is_published_first(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "keys"
    first = new(folder)
    assert first.exit_code == 0
    assert "ES256, signs at once, until" in first.output
    second = new(folder, "--ahead", "2h", "--lifetime", "90d")
    assert "is published now and signs from" in second.output
    assert states(folder) == ["signs", "next"]
    assert [each.stat().st_mode & 0o777 for each in (folder, *folder.iterdir())] == [0o700, 0o600, 0o600]
    listed = run("list", str(folder)).output.splitlines()
    assert ["signs" in listed[0], "next" in listed[1], len(listed)] == [True, True, 2]


def test_a_key_that_must_go_at_once_is_succeeded_at_once(tmp_path: Path) -> None:
    new(tmp_path)
    new(tmp_path, "--ahead", "24h")
    assert "signs at once" in new(tmp_path, "--ahead", "0s").output
    assert states(tmp_path) == ["published", "signs", "next"]


def test_a_second_next_key_is_refused(tmp_path: Path) -> None:
    new(tmp_path)
    new(tmp_path)
    assert code(new(tmp_path)) == "DJ545"
    assert states(tmp_path) == ["signs", "next"]


def test_keys_whose_tokens_have_ended_are_deleted_when_another_is_made(tmp_path: Path) -> None:
    write(tmp_path, "-30d", "300d", "old.pem")
    write(tmp_path, "-10h", "300d", "last.pem")
    assert states(tmp_path) == ["ended", "signs"]
    write(tmp_path, "-1h", "300d", "present.pem")
    assert states(tmp_path) == ["ended", "published", "signs"]
    done = new(tmp_path)
    assert "deleted old.pem: all its tokens have ended" in done.output
    assert states(tmp_path) == ["published", "signs", "next"]


def test_keys_that_signed_heads_of_the_audit_are_kept(tmp_path: Path) -> None:
    write(tmp_path, "-30d", "300d", "old.pem")
    write(tmp_path, "-1d", "300d", "last.pem")
    assert "deleted" not in new(tmp_path, "--keep").output
    assert states(tmp_path) == ["ended", "signs", "next"]


def test_the_list_says_that_there_is_no_next_one(tmp_path: Path) -> None:
    write(tmp_path, "-1h", "1h", "last.pem")
    alone = run("list", str(tmp_path))
    assert (alone.exit_code, "no next one, and last.pem ends" in alone.stderr, "[DJ541]" in alone.stderr) == (0, True, True)
    assert new(tmp_path).exit_code == 0
    assert run("list", str(tmp_path)).stderr == ""


def test_a_check_of_the_settings_warns_of_a_key_that_ends_soon_as_the_log_does(tmp_path: Path) -> None:
    write(tmp_path / "keys", "-1h", "1h", "last.pem")
    settings = tmp_path / "donjon.toml"
    settings.write_text(f'unsafe-http = true\n[instances.team-a]\nissuer = "{ISSUER}"\nkeys = "{tmp_path}/keys"\n')
    said = ["serve", "--check", "--database", f"sqlite:///{tmp_path}/x.db", "--config", str(settings)]
    done = CliRunner().invoke(attestation, said)
    assert (done.exit_code, "no next one, and last.pem ends" in done.output, "[DJ541]" in done.output) == (0, True, True)


def test_where_none_signs_the_list_says_so(tmp_path: Path) -> None:
    write(tmp_path, "-300d", "-1d", "ended.pem")
    done = run("list", str(tmp_path))
    assert (code(done), "ended.pem" in done.output) == ("DJ541", True)
    assert "signs at once" in new(tmp_path).output
    assert states(tmp_path) == ["signs"]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DonjonError, match="no such folder") as told:
        CliRunner().invoke(attestation, ["keys", "list", str(tmp_path / "nowhere")], catch_exceptions=False)
    assert told.value.code == "DJ542"


def test_more_keys_than_a_ring_takes_are_not_made(tmp_path: Path) -> None:
    for number in range(MAX_KEYS):
        write(tmp_path, "-1h", "300d", f"{number}.pem")
    assert code(new(tmp_path)) == "DJ540"
    assert len(list(tmp_path.iterdir())) == MAX_KEYS


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (("new", "x:y", "--issuer", ISSUER), "expected a folder, kubernetes:NAMESPACE/SECRET"),
        (("new", "keys", "--issuer", "http://x"), "expected https://HOST"),
        (("new", "keys"), "--issuer"),
        (("new", "keys", "--issuer", ISSUER, "--algorithm", "HS256"), "HS256"),
        (("new", "keys", "--issuer", ISSUER, "--ahead", "soon"), "expected a number and s, m, h or d"),
        (("new", "keys", "--issuer", ISSUER, "--lifetime", "9h"), "expected more than 9:00:00"),
    ],
)
def test_usage_that_cannot_be_meant_is_told(said: tuple[str, ...], words: str) -> None:
    done = run(*said)
    assert done.exit_code == 2
    assert words in " ".join(done.output.replace("│", " ").split())


def test_a_folder_that_cannot_be_written_is_a_coded_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert code(new(tmp_path / "file" / "keys")) == "DJ544"


def code(done: Result) -> str:
    assert isinstance(done.exception, DonjonError), done.output
    return done.exception.code
