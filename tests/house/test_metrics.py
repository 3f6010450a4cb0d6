"""Every metric is on its page, every alert has a runbook, and what alerts and dashboard ask for exists."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from tests.house import metrics_page

PROJECT = Path(__file__).parents[2]
FILES = PROJECT / "deploy" / "chart" / "files"
RUNBOOKS = PROJECT / "docs" / "runbooks"
METRIC = re.compile(r"\bdonjon_(?:node|meter|metrics|admission|attestation)_\w+")
PARTS = ("Means", "At stake", "Look", "Mend", "Wake")


def rules() -> Iterator[dict[str, Any]]:
    """Every alert of the file."""
    for group in YAML(typ="safe").load(FILES / "alerts.yaml")["groups"]:
        yield from group["rules"]


def asked(file: str) -> set[str]:
    """The metrics that a file names."""
    return set(METRIC.findall((FILES / file).read_text(encoding="utf-8")))


def series() -> set[str]:
    """Every name that is scraped: of a histogram its three."""
    names = set()
    for each in metrics_page.families():
        names |= {f"{each.name}_{part}" for part in ("bucket", "sum", "count")} if each.kind == "histogram" else {each.name}
    return names


def test_the_page_of_metrics_is_what_the_code_keeps() -> None:
    assert (PROJECT / "docs" / "metrics.md").read_text(encoding="utf-8") == metrics_page.page()


def test_every_label_is_described_and_no_other() -> None:
    assert {label for each in metrics_page.families() for label in each.labels} == set(metrics_page.LABELS)


def test_what_programs_answer_is_what_the_page_says() -> None:
    for program in metrics_page.PROGRAMS.values():
        kept = {each.name: each for each in program.registry.collect() if not each.name.startswith("process_")}
        said = {each.name.removesuffix("_total"): each for each in program.families}
        assert {(name, each.type, each.documentation) for name, each in kept.items()} == {
            (name, each.kind, each.text) for name, each in said.items()
        }


@pytest.mark.parametrize("file", ["alerts.yaml", "dashboard.json", "prometheus-adapter.yaml"])
def test_alerts_and_dashboard_ask_for_metrics_that_exist(file: str) -> None:
    assert asked(file) <= series()


def test_every_alert_says_how_bad_it_is_and_where_its_runbook_is() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
        assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{rule['alert']}.md"


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    assert {path.stem for path in RUNBOOKS.iterdir()} == {rule["alert"] for rule in rules()}


@pytest.mark.parametrize("path", sorted(RUNBOOKS.iterdir()), ids=lambda path: path.stem)
def test_a_runbook_says_what_is_at_stake_where_to_look_what_to_do_and_whom_to_wake(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"# {path.stem}\n")
    assert tuple(re.findall(r"^\*\*(.+?)\.\*\*", text, re.MULTILINE)) == PARTS
    assert re.search(r"^\$ kubectl ", text, re.MULTILINE)
    assert all(name in {rule["alert"] for rule in rules()} for name in re.findall(r"\bDonjon[A-Z]\w+", text))


def test_every_alert_of_the_page_of_monitoring_is_there_and_no_other() -> None:
    page = (PROJECT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| \[(\w+)\]\(runbooks/\1\.md\) \| (\w+(?:, \w+)?) \|", page, re.MULTILINE))
    severities: dict[str, list[str]] = {}
    for rule in rules():
        severities.setdefault(rule["alert"], []).append(rule["labels"]["severity"])
    assert rows == {name: ", ".join(each) for name, each in severities.items()}


def test_panels_have_names_of_their_own_and_stand_beside_one_another() -> None:
    panels = json.loads((FILES / "dashboard.json").read_text(encoding="utf-8"))["panels"]
    assert len({each["id"] for each in panels}) == len({each["title"] for each in panels}) == len(panels)
    places = [
        (x, y)
        for each in panels
        for x in range(each["gridPos"]["x"], each["gridPos"]["x"] + each["gridPos"]["w"])
        for y in range(each["gridPos"]["y"], each["gridPos"]["y"] + each["gridPos"]["h"])
    ]
    assert len(places) == len(set(places))
    assert max(x for x, _ in places) < 24
