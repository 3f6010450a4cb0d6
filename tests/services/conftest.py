"""A folder with a short name, for sockets, and a quicker pace."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.adapters.places import short_folder

from donjon.services.node import nodeobject, run


@pytest.fixture
def short() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that looks five times as often, where a test is about what it does and not about how soon."""
    monkeypatch.setattr(run, "LOOK_EVERY", 0.1)
    monkeypatch.setattr(nodeobject, "REST", 0.1)
