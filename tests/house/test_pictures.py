"""The pictures of docs/pictures: the dashboard's is that of its panels, and each can be read in light and dark."""

import importlib.util
import json
import xml.etree.ElementTree as ET
from pathlib import Path
from types import ModuleType

import pytest

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"


def drawing() -> ModuleType:
    """docs/pictures/draw.py, which is no module of a package."""
    spec = importlib.util.spec_from_file_location("draw", PICTURES / "draw.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_dashboards_picture_is_that_of_its_panels() -> None:
    draw = drawing()
    dashboard = json.loads(draw.DASHBOARD.read_text(encoding="utf-8"))
    assert (PICTURES / "dashboard.svg").read_text(encoding="utf-8") == draw.draw(dashboard), "make pictures"


@pytest.mark.parametrize("picture", sorted(PICTURES.glob("*.svg")), ids=lambda path: path.name)
def test_a_picture_is_well_formed_says_what_it_shows_and_knows_the_dark(picture: Path) -> None:
    text = picture.read_text(encoding="utf-8")
    assert ET.fromstring(text).get("aria-label")  # noqa: S314 - our own file.
    assert "prefers-color-scheme: dark" in text
    assert 'class="ground"' in text
