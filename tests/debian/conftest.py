"""Nodes, held while a test runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.debian.bare import DEBIAN, UBUNTU
from tests.debian.nodes import StandInNode
from tests.debian.preparing import machine


@pytest.fixture(params=[DEBIAN, UBUNTU], ids=lambda each: each.name)
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StandInNode]:
    with machine(request.param, tmp_path) as node:
        yield node


@pytest.fixture
def debian(tmp_path: Path) -> Iterator[StandInNode]:
    with machine(DEBIAN, tmp_path) as node:
        yield node
