"""A folder with a short name, for sockets; tokens of SoftHSM."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.adapters.places import short_folder
from tests.adapters.softhsm import SoftHsm, softhsm


@pytest.fixture
def short() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def hsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftHsm]:
    """The process's, with rings and labels of each test's own."""
    with softhsm(tmp_path_factory.mktemp("hsm")) as token:
        yield token
