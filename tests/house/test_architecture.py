"""The map has every room of the house, in the order in which they may know one another."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
ROOMS = re.findall(r"^\| `([a-z]+)` \|", PAGE, re.MULTILINE)


def layers() -> list[list[str]]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    (storeys,) = (each["layers"] for each in contracts if each["type"] == "layers")
    return [[name.strip(" ()") for name in layer.split("|") if "(" not in name] for layer in reversed(storeys)]


def test_every_room_stands_on_the_map_and_no_other() -> None:
    folders = {path.name for path in (ROOT / "src" / "donjon").iterdir() if (path / "__init__.py").exists()} | {"errors"}
    assert set(ROOMS) == folders
    assert len(ROOMS) == len(set(ROOMS))


def test_the_order_of_the_map_is_that_of_the_contracts() -> None:
    storey = {name: number for number, layer in enumerate(layers()) for name in layer}
    assert [storey[room] for room in ROOMS] == sorted(storey[room] for room in ROOMS)


def test_what_the_map_names_is_there() -> None:
    source = ROOT / "src" / "donjon"
    bases = (ROOT, source, source / "admission", source / "services" / "attestation")
    paths = re.findall(r"`((?:[a-z_]+/)+[a-z_]*(?:\.py)?)`", PAGE)
    assert [path for path in paths if not any((base / path).exists() for base in bases)] == []
    names = re.findall(rf"`((?:{'|'.join(ROOMS)})(?:\.[a-z_]+)+)`", PAGE)
    assert [name for name in names if not is_module(source, name) and not is_function(source, name)] == []


def is_module(source: Path, name: str) -> bool:
    place = source.joinpath(*name.split("."))
    return place.is_dir() or place.with_suffix(".py").exists()


def is_function(source: Path, name: str) -> bool:
    module, _, function = name.rpartition(".")
    path = source.joinpath(*module.split(".")).with_suffix(".py")
    return path.exists() and f"\ndef {function}(" in path.read_text(encoding="utf-8")
