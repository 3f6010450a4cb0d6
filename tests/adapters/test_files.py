"""Files that settings name are regular ones: whatever else stands there is told by its name, and nobody waits for it."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.adapters.places import short_folder
from tests.services.attesting import keys

from donjon.adapters import files
from donjon.adapters.http.folder import FolderContexts
from donjon.adapters.keys import public
from donjon.cli.attestation.keys import keys as command
from donjon.errors import DonjonError, Misconfigured
from donjon.services.attestation.settings.service import read
from donjon.signing.signer import Algorithm


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(path))


def looped(path: Path) -> None:
    path.symlink_to(path)


def of_nothing(path: Path) -> None:
    path.symlink_to("/dev/zero")


def of_a_pipe(path: Path) -> None:
    os.mkfifo(path.with_suffix(".pipe"))
    path.symlink_to(path.with_suffix(".pipe"))


KINDS: list[tuple[Callable[[Path], None], str]] = [
    (os.mkfifo, "a pipe, expected a regular file"),
    (of_a_pipe, "a pipe, expected a regular file"),
    (listening, "a socket, expected a regular file"),
    (of_nothing, "a device, expected a regular file"),
    (Path.mkdir, "a folder, expected a regular file"),
    (looped, "Too many levels of symbolic links"),
]
IDS = ["a pipe", "a link to a pipe", "a socket", "a device", "a folder", "a link to itself"]


@pytest.mark.parametrize("size", [0, 1, 4, 5, 9])
def test_a_regular_file_is_read_up_to_the_bound_also_by_a_link(tmp_path: Path, size: int) -> None:
    (tmp_path / "file").write_bytes(b"x" * size)
    (tmp_path / "link").symlink_to("file")
    for name in ("file", "link"):
        assert files.read(tmp_path / name, 4) == b"x" * min(size, 4)


@pytest.mark.parametrize(("make", "words"), KINDS, ids=IDS)
def test_whatever_is_no_regular_file_is_told_by_its_name(make: Callable[[Path], None], words: str) -> None:
    with short_folder() as folder:
        make(folder / "one.pem")
        with pytest.raises(OSError, match=words) as told:
            files.read(folder / "one.pem", 4)
        assert told.value.filename == str(folder / "one.pem")


@pytest.mark.parametrize(("make", "words"), KINDS, ids=IDS)
def test_keys_beside_what_is_no_file_are_not_listed_and_the_reason_is_told(make: Callable[[Path], None], words: str) -> None:
    with short_folder() as folder:
        place = keys(folder, "a", "https://a.example", Algorithm.ES256)
        make(place / "two.pem")
        done = CliRunner().invoke(command, ["list", str(place)])
        assert isinstance(done.exception, DonjonError)
        assert done.exception.code == "DJ542"
        assert "two.pem: " + words in done.exception.message
        with pytest.raises(DonjonError, match=words):
            public.certificates(place)


@pytest.mark.parametrize(("make", "words"), KINDS, ids=IDS)
def test_a_serving_certificate_that_is_no_file_is_told(make: Callable[[Path], None], words: str) -> None:
    with short_folder() as folder:
        (folder / "tls.crt").write_bytes(b"")
        make(folder / "tls.key")
        with pytest.raises(DonjonError, match=words) as told:
            FolderContexts(folder, print)
        assert told.value.code == "DJ146"


INSTANCE = """[instances.a]
issuer = "https://a.example/a"
keys = "keys"
mode = "Isolated"
certificates = ["{0}"]
[oidc.corp]
issuer = "https://login.example"
audience = "x"
authorities = "{0}"
"""


@pytest.mark.parametrize(("make", "words"), KINDS, ids=IDS)
def test_every_file_that_settings_name_and_that_is_none_is_a_fault(make: Callable[[Path], None], words: str) -> None:
    with short_folder() as folder:
        make(folder / "one.pem")
        with pytest.raises(Misconfigured) as told:
            read({"unsafe-http": "true", "unsafe-trust-root": str(folder / "one.pem")}, {}, INSTANCE.format(folder / "one.pem"))
    assert told.value.code == "DJ500"
    assert told.value.message.count(words) == 3
