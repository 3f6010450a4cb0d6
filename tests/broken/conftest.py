"""A folder with a short name, for sockets."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.adapters.places import short_folder


@pytest.fixture
def short() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder
