"""What the fuzzer has found before, and the seeds, through every parser: only errors of ours come out, and soon."""

from pathlib import Path

import pytest
from tests.fuzz.targets import CORPUS, TARGETS
from tests.labour import least_labour

SECONDS = 1.0
CASES = sorted(path for path in CORPUS.rglob("*") if path.is_file())
DEEP = 100_000


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}-{path.name[:8]}")
def test_what_was_found_before_is_an_error_of_ours_or_none(path: Path) -> None:
    data = path.read_bytes()
    assert least_labour(lambda: TARGETS[path.parent.name].run(data), SECONDS) < SECONDS


@pytest.mark.parametrize("name", TARGETS)
def test_every_prefix_of_a_seed_is_an_error_of_ours_or_none(name: str) -> None:
    for seed in TARGETS[name].seeds():
        for length in range(0, len(seed), max(1, len(seed) // 60)):
            TARGETS[name].run(seed[:length])


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize(
    "data", [b"", b"\0", b"\xff" * 64, b"{" * DEEP, b"[" * DEEP, b'{"a":' * DEEP, b"0" * DEEP, b"\x30\x80" * DEEP, b"1" * 5000]
)
def test_what_is_nothing_at_all_is_an_error_of_ours(name: str, data: bytes) -> None:
    TARGETS[name].run(data)


def test_every_target_has_a_corpus() -> None:
    assert {path.parent.name for path in CASES} == set(TARGETS)
