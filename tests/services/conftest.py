"""A folder with a short name, for sockets, a quicker pace, and a cache with an upstream that has what a test has `made`."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.adapters.fakepccs import Pccs, answers, serving
from tests.adapters.places import short_folder
from tests.services.pccs import settings

from donjon.services.attestation.settings.service import AttestationSettings
from donjon.services.node import nodeobject, run
from donjon.simulation.intel.world import World


@pytest.fixture
def short() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that looks five times as often, where a test is about what it does and not about how soon."""
    monkeypatch.setattr(run, "LOOK_EVERY", 0.1)
    monkeypatch.setattr(nodeobject, "REST", 0.1)


@pytest.fixture
def upstream(made: World) -> Iterator[Pccs]:
    """A PCCS that has what the module's fixture `made` made."""
    with serving(Pccs(answers(made))) as pccs:
        yield pccs


@pytest.fixture
def lazy(made: World, upstream: Pccs, tmp_path: Path) -> AttestationSettings:
    """A cache that asks it when it is asked."""
    return settings(tmp_path, made.root, upstream.address)
