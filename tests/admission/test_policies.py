"""The policies as objects and as text, without a cluster: what the API server makes of them is seen in tests/cluster."""

import re
from importlib.resources import files
from pathlib import Path
from string import Formatter
from typing import Any

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from donjon.admission.codes import AGENT_RULE, CLEANUP_RULE, DEVICE_CLASS_RULE, EVENT_RULE
from donjon.admission.limits import MAX_COUNTED, MAX_LIST_LENGTH
from donjon.admission.policies import cel
from donjon.admission.policies.all import (
    DEFAULT_ACCOUNT,
    DEFAULT_CLEANUP,
    DEFAULT_PREFIX,
    for_pods,
    for_the_cleanup,
    for_the_node_agent,
)
from donjon.admission.policies.printing import manifest
from donjon.admission.policies.wiring import MOST, SUFFIXES
from donjon.admission.rule import AdmissionRule
from donjon.admission.rules import RULES, table
from donjon.admission.settings import Settings
from donjon.cli.admission.command import admission
from donjon.findings import Finding, Severity
from donjon.formats.json import JsonObject, at, objects
from donjon.kube.names import EPC_UNITS, FOREIGN_EPC
from donjon.kube.quantities import parse

CHART_TEMPLATE = Path(__file__).parents[2] / "deploy/chart/templates/policies.yaml"
OURS = (*for_the_node_agent(DEFAULT_PREFIX, DEFAULT_ACCOUNT), *for_the_cleanup(DEFAULT_PREFIX, DEFAULT_CLEANUP))
OBJECTS = (*for_pods(DEFAULT_PREFIX), *OURS)
POLICIES = [entry for entry in OBJECTS if not str(entry["kind"]).endswith("Binding")]
CODES = {rule.code for rule in RULES} | {AGENT_RULE, CLEANUP_RULE, DEVICE_CLASS_RULE, EVENT_RULE}
HOLES = {
    "containers",
    "quantities",
    "counted",
    "repeated",
    "namespace",
    "node",
    "wiring",
    "provider",
    "number",
    "devices",
    "strays",
}


def name(entry: JsonObject) -> str:
    return str(at(entry, "metadata", "name"))


def printed(*arguments: str) -> str:
    done = CliRunner().invoke(admission, ["policies", *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def loaded(text: str) -> list[dict[str, Any]]:
    return list(YAML(typ="safe").load_all(text))


def test_every_policy_has_a_binding_of_its_kind_and_name() -> None:
    bound = {(entry["kind"], at(entry, "spec", "policyName")) for entry in OBJECTS if entry not in POLICIES}
    assert bound == {(f"{entry['kind']}Binding", name(entry)) for entry in POLICIES}


@pytest.mark.parametrize(
    ("policy", "fails", "actions"),
    [
        ("donjon", "Fail", None),
        ("donjon-refuse", "Fail", ["Deny", "Audit"]),
        ("donjon-warn", "Ignore", ["Warn"]),
        ("donjon-warn-workloads", "Ignore", ["Warn"]),
        ("donjon-debug", "Ignore", ["Warn"]),
        ("donjon-device-classes", "Fail", ["Deny", "Audit"]),
        ("donjon-node-agent", "Fail", ["Deny", "Audit"]),
        ("donjon-node-events", "Fail", ["Deny", "Audit"]),
        ("donjon-uninstall", "Fail", ["Deny", "Audit"]),
    ],
)
def test_what_wires_or_refuses_must_answer_and_what_warns_need_not(policy: str, fails: str, actions: list[str] | None) -> None:
    about, bound = (entry for entry in OBJECTS if name(entry) == policy)
    assert at(about, "spec", "failurePolicy") == fails
    assert at(bound, "spec", "validationActions") == actions


@pytest.mark.parametrize("policy", POLICIES, ids=name)
def test_no_policy_is_asked_about_everything(policy: JsonObject) -> None:
    assert at(policy, "spec", "matchConditions")


@pytest.mark.parametrize("policy", POLICIES, ids=name)
def test_a_policy_leaves_nothing_of_what_it_looks_at_for_the_api_server_to_fill_in(policy: JsonObject) -> None:
    """Else it says something else than the same policy once stored, and an upgrade after one made by hand is a conflict."""
    constraints = at(policy, "spec", "matchConstraints")
    assert isinstance(constraints, dict)
    filled = {"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}}
    assert constraints == filled | {"resourceRules": constraints["resourceRules"]}
    assert all(at(rule, "scope") == "*" for rule in objects(constraints["resourceRules"]))


@pytest.mark.parametrize("policy", POLICIES, ids=name)
def test_variables_speak_only_of_variables_before_them(policy: JsonObject) -> None:
    known: set[str] = set()
    variables = at(policy, "spec", "variables")
    assert isinstance(variables, list)
    for variable in variables:
        used = set(re.findall(r"variables\.(\w+)", str(at(variable, "expression"))))
        assert used <= known
        known.add(str(at(variable, "name")))
    assert set(re.findall(r"variables\.(\w+)", manifest([policy]))) <= known


@pytest.mark.parametrize("policy", [entry for entry in POLICIES if entry["kind"] == "ValidatingAdmissionPolicy"], ids=name)
def test_validating_policies_use_no_function_newer_than_kubernetes_1_30(policy: JsonObject) -> None:
    newer = r"lists\.range|\.flatten\(|\.slice\(|transformList|transformMap|\.sort\(|\.distinct\(|\.first\(|\.last\("
    assert not re.search(newer, manifest([policy]))


def test_a_refusal_joins_all_reasons_in_one_validation() -> None:
    refuse = next(entry for entry in POLICIES if name(entry) == "donjon-refuse")
    validations = at(refuse, "spec", "validations")
    assert isinstance(validations, list)
    assert len(validations) == 1
    assert at(validations[0], "reason") == "Forbidden"
    assert "donjon check" in str(at(validations[0], "message")), "said where the API server cannot show the reasons"


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_is_printed_and_has_a_page_with_its_name(code: str) -> None:
    assert f"[{code}]" in manifest(OBJECTS)
    page = (files("donjon.findings") / "pages" / f"{code}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {code}: ")
    for part in ("**Found.**", "**What to do.**", "**How to see it.**"):
        assert part in page


def test_every_code_in_an_expression_is_one_of_the_table() -> None:
    assert set(re.findall(r"DJ\d{3}", manifest(OBJECTS))) == CODES


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_a_rules_words_have_only_the_holes_that_are_said(rule: AdmissionRule) -> None:
    assert {hole for _, hole, _, _ in Formatter().parse(rule.sentence) if hole} <= HOLES


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_a_rule_reads_like_a_finding(rule: AdmissionRule) -> None:
    fields = {field: getattr(rule, field) for field in ("code", "severity", "subject", "observation", "why", "do")}
    assert rule.sentence == Finding(**fields).sentence()


def test_the_longest_refusal_fits_into_a_message() -> None:
    longest = dict.fromkeys(HOLES, "x" * (MAX_LIST_LENGTH + 3)) | {"node": "n" * 253, "namespace": "n" * 63}
    hardest = [rule for rule in table(refuse_host_devices=True) if rule.severity is Severity.ERROR]
    together = [rule for rule in hardest if rule.code != "DJ113"]  # which is said alone
    assert sum(len(rule.sentence.format(**longest)) + len("; ") for rule in together) < 5 * 1024


@pytest.mark.parametrize("foreign", FOREIGN_EPC)
def test_a_foreign_number_with_its_suffix_is_its_bytes_up_to_the_last_that_fits(foreign: str) -> None:
    for number in (0, 1, 10, MOST[foreign]):
        assert parse(f"{number}{SUFFIXES[foreign]}") == number * EPC_UNITS[foreign] < MAX_COUNTED
    assert (MOST[foreign] + 1) * EPC_UNITS[foreign] == MAX_COUNTED


def test_printing_is_stable_and_says_the_objects() -> None:
    assert printed() == printed() == manifest(OBJECTS)
    assert loaded(printed()) == list(OBJECTS)


def test_the_command_takes_account_and_prefix() -> None:
    accounts = ("--service-account", "agent", "--cleanup-account", "broom")
    text = printed("--namespace", "sgx", *accounts, "--prefix", "other")
    assert all(f"'system:serviceaccount:sgx:{name}'" in text for name in ("agent", "broom"))
    assert {entry["metadata"]["name"] for entry in loaded(text)} == {
        "other",
        "other-refuse",
        "other-warn",
        "other-warn-workloads",
        "other-debug",
        "other-device-classes",
        "other-node-agent",
        "other-node-events",
        "other-uninstall",
    }
    assert "(kubectl get mutatingadmissionpolicy,mutatingadmissionpolicybinding other)" in text


def test_the_command_takes_what_the_cluster_has_chosen() -> None:
    text = printed("--provision-account", "team:signer", "--provision-by-annotation", "--refuse-host-devices")
    chosen = Settings(provision_accounts=("team:signer",), provision_by_annotation=True, refuse_host_devices=True)
    assert loaded(text)[: len(for_pods(DEFAULT_PREFIX))] == list(for_pods(DEFAULT_PREFIX, chosen))
    refusing = next(entry for entry in loaded(text) if entry["metadata"]["name"] == "donjon-refuse")
    assert {code for code in CODES if f"[{code}]" in manifest([refusing])} >= {"DJ104", "DJ114", "DJ115"}


def test_the_charts_template_is_what_the_command_prints() -> None:
    assert CHART_TEMPLATE.read_text(encoding="utf-8") == printed("--helm"), (
        "donjon admission policies --helm > deploy/chart/templates/policies.yaml"
    )


def test_text_in_an_expression_cannot_end_its_literal() -> None:
    assert cel.text("it's a \\ here") == "'it\\'s a \\\\ here'"
    assert cel.text("two\nlines\x1b") == "'two\\x0alines\\x1b'"
    assert cel.sentence("a {node} b", {"node": "x"}) == "'a ' + x + ' b'"
