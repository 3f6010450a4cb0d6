"""One process of the second opinion for all tests here."""

from collections.abc import Iterator

import pytest
from tests.conformance.peer import Peer, started


@pytest.fixture(scope="session")
def peer() -> Iterator[Peer]:
    with started() as running:
        yield running
