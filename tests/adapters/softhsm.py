"""Tokens of SoftHSM, Debian's: the same for all tests of a process, whose module knows the folder it was loaded with."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from urllib.parse import quote

import pytest
from testbed import packages
from testbed.trouble import Lacking, Trouble

from donjon.adapters.keys import places
from donjon.adapters.keys.hsm import HsmStore
from donjon.adapters.keys.places import TokenPlace

MODULE = packages.SOFTHSM["softhsm2"]
PIN = "4711"
TOKEN, ENCLAVES = "donjon tests", "enclave tests"
_NUMBERS = count()


@dataclass(frozen=True)
class SoftHsm:
    """A folder with tokens, one of them, and the PIN of its user."""

    folder: Path
    token: str = TOKEN

    def text(self, ring: str | None = None, **changed: str) -> str:
        """A ring's place as settings name it; a new ring, where none is named."""
        said = {"token": self.token, "module": MODULE, "pin": str(self.folder / "pin"), **changed}
        label = ring or f"ring {next(_NUMBERS)}"
        return f"pkcs11:token={quote(said['token'])};object={quote(label)}?module-path={said['module']}&pin-source={said['pin']}"

    def place(self, ring: str | None = None, **changed: str) -> TokenPlace:
        found = places.parse(self.text(ring, **changed))
        assert isinstance(found, TokenPlace)
        return found

    def store(self, ring: str | None = None) -> HsmStore:
        return HsmStore(self.place(ring))


@contextmanager
def softhsm(folder: Path) -> Iterator[SoftHsm]:
    """A new one; where its package is missing and cannot be installed, the test is not run, and says so."""
    try:
        packages.install(packages.SOFTHSM)
    except (Lacking, Trouble) as error:
        pytest.skip(f"needs SoftHSM: {error}")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/tokens\nlog.level = ERROR\n")
    (folder / "pin").write_text(f"{PIN}\n")
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")  # The module reads it when it is loaded.
    for token in (TOKEN, ENCLAVES):
        made = ["softhsm2-util", "--init-token", "--free", "--label", token, "--pin", PIN, "--so-pin", PIN]
        subprocess.run(made, check=True, capture_output=True)
    yield SoftHsm(folder)
    if before is None:
        del os.environ["SOFTHSM2_CONF"]
    else:
        os.environ["SOFTHSM2_CONF"] = before
