"""The example on the page of each code that a pod can have: it has that code and no other, and mended it has none."""

import json
import re
from importlib.resources import files
from pathlib import Path

import pytest
from click.testing import CliRunner

from donjon.admission.codes import (
    AGENT_RULE,
    BOUNDING,
    CLEANUP_RULE,
    CORE_RULE,
    DEVICE_CLASS_RULE,
    ELSEWHERE,
    EVENT_RULE,
    GIVEN_TO_ALL,
    IDLE_SCALING,
    IN_A_SANDBOX,
    MISPLACED,
    UNCOUNTED,
    UNLABELLED,
    WITHOUT_NUMBER,
)
from donjon.admission.intent import read
from donjon.admission.manifests.api_server import complete
from donjon.admission.manifests.documents import read as documents
from donjon.admission.predicates import RuleInput
from donjon.admission.reasons import reasons
from donjon.admission.rules import BEYOND_NODES, RULES
from donjon.admission.settings import AdmissionContext, Settings
from donjon.cli.check import check
from donjon.findings import Severity
from donjon.findings.codes import MISNAMED
from donjon.formats.json import JsonObject

OFFLINE = {CORE_RULE: Severity.ERROR, MISPLACED: Severity.ERROR} | dict.fromkeys(
    (MISNAMED, WITHOUT_NUMBER, UNLABELLED, ELSEWHERE, IN_A_SANDBOX), Severity.WARNING
)
"""What `donjon check` alone says, since the API server has spoken, or dropped it, before any policy is asked."""

OF_PODS = sorted({rule.code for rule in RULES} | {*OFFLINE, BEYOND_NODES.code})
OF_OTHERS = [UNCOUNTED, GIVEN_TO_ALL, BOUNDING, IDLE_SCALING]
"""Those of objects that make no pods."""

UNWIRED = "DJ102"
"""What `donjon check` wires first and so cannot show: a pod that came unwired, since the policy was missing."""

SEVERITIES = {rule.code: rule.severity for rule in (*RULES, BEYOND_NODES)} | OFFLINE
EXAMPLE = re.compile(r"\*\*Example\.\*\*.*?```yaml\n(?P<wrong>.*?)```\n\nMended:\n\n```yaml\n(?P<right>.*?)```", re.DOTALL)
BESIDES = {"DJ122": [BEYOND_NODES.code]}
"""What else is to be said of an example: no node here has as much as hardly a machine has."""
NODES = '{"kind": "Node", "metadata": {"name": "sgx-1"}, "status": {"allocatable": {"sgx.intel.com/epc": "8Gi"}}}'


def page(code: str) -> str:
    return (files("donjon.findings") / "pages" / f"{code}.md").read_text(encoding="utf-8")


def example(code: str, which: str) -> str:
    found = EXAMPLE.search(page(code))
    assert found is not None
    return found[which]


def told(text: str, tmp_path: Path) -> JsonObject:
    """What `donjon check` says of the one object in a text."""
    nodes = tmp_path / "nodes.json"
    nodes.write_text(NODES)
    done = CliRunner().invoke(check, ["-", "--nodes", str(nodes), "--output", "json"], input=text)
    (checked,) = json.loads(done.stdout)["checked"]
    assert done.exit_code == (1 if checked["refused"] else 0)
    answer: JsonObject = checked
    return answer


def codes(checked: JsonObject) -> list[str]:
    findings = checked["findings"]
    assert isinstance(findings, list)
    return [str(finding["code"]) for finding in findings if isinstance(finding, dict)]


def test_every_admission_code_has_an_example_but_those_about_our_accounts_and_device_classes() -> None:
    pages = [entry.name.removesuffix(".md") for entry in (files("donjon.findings") / "pages").iterdir()]
    assert [code for code in sorted(pages) if "**Example.**" in page(code)] == sorted((*OF_PODS, *OF_OTHERS))
    assert {code for code in pages if "DJ100" <= code < "DJ130"} - set(OF_PODS) == {
        AGENT_RULE,
        CLEANUP_RULE,
        EVENT_RULE,
        DEVICE_CLASS_RULE,
    }


@pytest.mark.parametrize("code", [code for code in OF_PODS if code != UNWIRED])
def test_an_example_has_exactly_its_code(code: str, tmp_path: Path) -> None:
    checked = told(example(code, "wrong"), tmp_path)
    assert codes(checked) == [code, *BESIDES.get(code, ())]
    assert checked["refused"] is (SEVERITIES[code] is Severity.ERROR)


def test_the_example_of_what_is_not_wired_is_refused_when_nothing_wires_it_and_admitted_when_something_does(
    tmp_path: Path,
) -> None:
    (document,) = documents(example(UNWIRED, "wrong"))
    made = document.json()
    assert isinstance(made, dict)
    unwired = read(complete(made))
    (reason,) = reasons(
        RuleInput(intent=unwired, original=unwired, context=AdmissionContext(namespace="team"), settings=Settings())
    )
    assert reason.finding.code == UNWIRED
    assert codes(told(example(UNWIRED, "wrong"), tmp_path)) == []


@pytest.mark.parametrize("code", OF_PODS)
def test_an_example_mended_is_admitted_without_a_word(code: str, tmp_path: Path) -> None:
    checked = told(example(code, "right"), tmp_path)
    assert (codes(checked), checked["refused"]) == ([], False)


def warnings_of_another(text: str) -> list[str]:
    """The codes of what `donjon check` warns of in the one object without pods in a text."""
    done = CliRunner().invoke(check, ["-", "--output", "json"], input=text)
    (passed_over,) = json.loads(done.stdout)["notLookedAt"]
    assert done.exit_code == 0
    return [each["code"] for each in passed_over["findings"] if each["severity"] == Severity.WARNING]


@pytest.mark.parametrize("code", OF_OTHERS)
def test_an_example_without_pods_has_its_code_and_mended_no_warning(code: str) -> None:
    assert warnings_of_another(example(code, "wrong")) == [code]
    assert warnings_of_another(example(code, "right")) == []
