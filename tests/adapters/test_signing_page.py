"""What the page on signing shows, run as it stands there, with a token of SoftHSM and enclaves of others."""

import shutil
from pathlib import Path

from tests import pages
from tests.adapters.softhsm import ENCLAVES, SoftHsm
from tests.enclave.vectors import FOLDER
from tests.pages import Terminal

PAGE = "signing-enclaves.md"


def test_every_command_of_the_page_says_what_the_page_shows(hsm: SoftHsm, tmp_path: Path) -> None:
    shutil.copy(FOLDER / "ita-minimal-enclave.signed.so", tmp_path / "enclave.signed.so")
    shutil.copy(FOLDER / "edp_test_enclave.sgxs", tmp_path / "app.sgxs")
    reader = Terminal(
        folder=tmp_path,
        environment={},
        instead={"/etc/donjon/pin": str(hsm.folder / "pin"), "token=enclaves": f"token={ENCLAVES}"},
    )
    wanted = pages.shown("signing-enclaves.md", __file__)
    answers = [(command, lines) for command, lines in pages.answers(pages.text(PAGE)) if command in wanted]
    assert [command for command, _ in answers] == wanted
    for command, lines in answers:
        answer = reader.run(command)
        assert [line for line in lines if not pages.is_shown(reader.typed(line), answer)] == [], answer
    assert sorted(path.name for path in tmp_path.glob("*.signed.so")) == [
        "by-token.signed.so",
        "enclave.signed.so",
        "release.signed.so",
        "two-steps.signed.so",
    ]
