"""The short form of `make siege`, each attack for some seconds: no kill, no honest call lost, memory back afterwards."""

import os
from pathlib import Path

import pytest
from tests.siege import siege
from tests.siege.attacks import ATTACKS
from tests.siege.fortress import fortress

SECONDS = 4.0

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a cgroup with a memory limit is made as root: run the tests as root")


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_honest_call_is_lost_while_somebody_attacks(tmp_path: Path, attack: str) -> None:
    with fortress(tmp_path) as (service, bounds, target):
        outcome = siege.lay(attack, SECONDS, service, bounds, target)
        assert "a mistake in Donjon" not in service.told()
    assert outcome.broken() == []
    assert outcome.probes.slowest(0.99) < siege.PROBED, f"{outcome.probes.slowest(0.99):.3f} s"
