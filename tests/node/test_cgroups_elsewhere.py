"""Lines of /proc/PID/cgroup from other people's clusters, runtimes and tests; each says where it was found."""

import json
from pathlib import Path
from typing import Any

import pytest

from donjon.node.cgroups import CgroupPlace, place

LINES = Path(__file__).parents[2] / "vectors" / "cgroups" / "lines.json"
CASES: list[dict[str, Any]] = json.loads(LINES.read_text())


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_whose_a_process_is_on_other_peoples_nodes(case: dict[str, Any]) -> None:
    expected = None if case["pod"] is None else CgroupPlace(pod_uid=case["pod"], container_id=case["container"])
    assert place("\n".join((*case["lines"], ""))) == expected


def test_every_case_is_another_and_says_where_it_is_from() -> None:
    assert len({case["name"] for case in CASES}) == len({tuple(case["lines"]) for case in CASES}) == len(CASES)
    assert all("/" in case["source"] for case in CASES)
