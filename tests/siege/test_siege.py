"""The short form of `make siege`, each attack for some seconds: no kill, no honest call lost, memory back afterwards."""

import os
from collections.abc import Iterator

import pytest
from tests.endurance.process import Process
from tests.siege import siege
from tests.siege.attacks import ATTACKS
from tests.siege.cell import Cell
from tests.siege.fortress import fortress
from tests.siege.honest import Record
from tests.siege.target import Target

SECONDS = 4.0
PROBES = Record()
"""Of all attacks."""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a cgroup with a memory limit is made as root: run the tests as root")


@pytest.fixture(scope="module")
def besieged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Process, Cell, Target]]:
    """One service for all attacks, one after the other, each of which would end it or leave it slow for the next."""
    with fortress(tmp_path_factory.mktemp("siege")) as running:
        yield running
        assert "a mistake in Donjon" not in running[0].told()


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_honest_call_is_lost_while_somebody_attacks(besieged: tuple[Process, Cell, Target], attack: str) -> None:
    outcome = siege.lay(attack, SECONDS, *besieged)
    PROBES.took.extend(outcome.probes.took)
    assert outcome.broken() == []


def test_the_probe_is_answered_in_time_under_all_of_them_together() -> None:
    """A hundred probes an attack are too few for a percentile of each; `make siege` tells that."""
    assert len(PROBES.took) > len(ATTACKS), "the attacks were made"
    assert PROBES.slowest(0.99) < siege.PROBED, f"{PROBES.slowest(0.99):.3f} s"
