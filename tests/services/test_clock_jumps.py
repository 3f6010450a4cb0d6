"""A clock that jumps, years ahead or back: it decides what is answered, and nothing is broken when it is right again."""

from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from tests.endurance.process import evidence
from tests.services.attesting import instance, simulated
from tests.simulation.intel import MOMENT, world

from donjon.adapters.storage.database import Database
from donjon.adapters.storage.records import snapshot
from donjon.audit import statements, verification

YEARS = timedelta(days=1000)
NOTHING = {"unsafe-clock": ""}  # Quotes and collateral are judged by the clock, too.


@pytest.mark.parametrize("jumps", [(YEARS,), (-YEARS,), (YEARS, -YEARS, YEARS)], ids=["ahead", "back", "to and fro"])
def test_after_a_jump_what_is_not_valid_then_is_refused_and_afterwards_all_is_as_before(
    tmp_path: Path, jumps: tuple[timedelta, ...]
) -> None:
    moments = [MOMENT]
    quote = evidence("SgxEnclave")
    with simulated(tmp_path, instance(tmp_path, "aad"), world(), now=lambda: moments[-1], **NOTHING) as service:
        for jump in jumps:
            assert service.attest({**quote}).status_code == 200
            moments.append(MOMENT + jump)
            refused = service.attest({**quote})
            assert (refused.status_code, "DJ" in refused.text) in {(400, True), (503, True)}, refused.text
            assert service.get("/aad/certs").status_code == 200
            moments.append(MOMENT)
            assert service.attest({**quote}).status_code == 200
    assert chains(tmp_path) == []


def chains(folder: Path) -> list[str]:
    """What is wrong with the audit's records."""
    with closing(Database(f"sqlite:///{folder}/attestation.db")) as database, snapshot(database) as found:
        said = [statements.parse(text, ()) for text in found.statements()]
        return [str(each) for each in verification.verify(found.chains(pytest.fail), said).findings]
