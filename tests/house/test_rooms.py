"""The first law, on the syntax tree: below `adapters` there is no IO, clock, log, randomness, environment or `await`.

Import-linter sees which module knows which; it does not see what a module does with the standard library.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import donjon

SOURCE = Path(donjon.__file__).parent
EDGE = {"adapters", "simulation", "runtime", "services", "cli"}
"""What touches the world; every other folder and file of the package is a room, also those still to come."""

FORBIDDEN_MODULES = frozenset(
    {"asyncio", "glob", "http", "httpx2", "importlib", "logging", "mmap", "multiprocessing", "os", "pathlib", "random"}
    | {"requests", "secrets", "select", "selectors", "shutil", "signal", "socket", "ssl", "subprocess", "sys", "tempfile"}
    | {"threading", "time", "urllib", "uuid"}
)
PURE = frozenset({"urllib.parse"})
"""Of these, what is a function from values to values."""
FORBIDDEN_CALLS = frozenset({"open", "print", "input", "exec", "eval", "__import__"})
FORBIDDEN_METHODS = frozenset(
    {"now", "utcnow", "today", "read_text", "read_bytes", "write_text", "write_bytes", "open", "getenv", "environ"}
)
WAITING = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)


def rooms() -> list[Path]:
    inside = [path for path in SOURCE.rglob("*.py") if path.relative_to(SOURCE).parts[0] not in EDGE]
    return sorted(path for path in inside if path.relative_to(SOURCE).as_posix() not in {"__init__.py", "__main__.py"})


def trespasses(tree: ast.AST) -> Iterator[str]:
    """What a room must not do, each with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found = [alias.name for alias in names if alias.name.partition(".")[0] in FORBIDDEN_MODULES]
            case ast.ImportFrom(module=str(module)):
                found = [module] if module.partition(".")[0] in FORBIDDEN_MODULES and module not in PURE else []
            case ast.Call(func=ast.Name(id=name)):
                found = [name] if name in FORBIDDEN_CALLS else []
            case ast.Attribute(attr=name):
                found = [f".{name}"] if name in FORBIDDEN_METHODS else []
            case _:
                found = [type(node).__name__] if isinstance(node, WAITING) else []
        yield from (f"line {getattr(node, 'lineno', 0)}: {name}" for name in found)


@pytest.mark.parametrize("path", rooms(), ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_a_room_touches_nothing_of_the_world(path: Path) -> None:
    assert list(trespasses(ast.parse(path.read_text(encoding="utf-8")))) == []


def test_all_six_rooms_of_the_house_are_under_the_law() -> None:
    assert {path.relative_to(SOURCE).parts[0].removesuffix(".py") for path in rooms()} >= {
        *("errors", "findings", "sgx", "kube", "node", "admission")
    }


@pytest.mark.parametrize(
    "code",
    [
        "open('/dev/sgx_enclave')",
        "import os",
        "import os.path as p",
        "from os import environ",
        "from time import monotonic",
        "import logging",
        "import socket",
        "from pathlib import Path",
        "from urllib.request import urlopen",
        "from datetime import datetime\ndatetime.now()",
        "from datetime import date\ndate.today()",
        "thing.read_text()",
        "print('hello')",
        "async def wait() -> None: ...",
        "async def wait(work): await work",
        "async def wait(work):\n    async with work: ...",
        "async def wait(work):\n    async for each in work: ...",
        "import random",
        "from uuid import uuid4",
    ],
)
def test_the_law_sees_what_it_forbids(code: str) -> None:
    assert list(trespasses(ast.parse(code))) != []


def test_the_law_lets_values_be_computed() -> None:
    code = "import re\nfrom dataclasses import dataclass\nfrom collections.abc import Mapping\nlen(re.findall('a', 'b'))"
    assert list(trespasses(ast.parse(code))) == []
