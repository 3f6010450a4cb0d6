"""What the chart put there, laid over what the API server has: each way to weaken it shows, and what the server adds does not."""

from copy import deepcopy
from typing import Any

import pytest

from donjon.admission.policies.gaps import first_difference, gap
from donjon.admission.policies.guard import ChartValues, GuardExtent, guard, path

CHART_VALUES = ChartValues(namespace="donjon", extent=GuardExtent.POLICIES)
OBJECTS = guard(CHART_VALUES)
HOOK = guard(ChartValues(namespace="donjon", extent=GuardExtent.WEBHOOK))["MutatingWebhookConfiguration/donjon"]
POLICY, BINDING = "ValidatingAdmissionPolicy/donjon-refuse", "ValidatingAdmissionPolicyBinding/donjon-refuse"

Path = tuple[str | int, ...]

SPEC, HOOKS = ("spec",), ("webhooks",)
MATCHES: Path = (*SPEC, "matchConstraints")
CALL: Path = (*HOOKS, 0, "clientConfig")


def live(printed: Any, *changes: tuple[Path, Any]) -> Any:
    """An object as the API server has it: its own fields and defaults beside, and what somebody wrote at these paths."""
    entry = deepcopy(printed) | {"status": {"observedGeneration": 1}}
    entry["metadata"] |= {"uid": "u", "resourceVersion": "7", "labels": {"team": "theirs"}}
    for (*parents, last), value in changes:
        at = entry
        for each in parents:
            at = at[each]
        at[last] = value
    return entry


@pytest.mark.parametrize("mode", GuardExtent)
def test_what_the_api_server_has_as_it_was_printed_is_whole(mode: GuardExtent) -> None:
    for printed in guard(ChartValues(namespace="donjon", extent=mode)).values():
        assert first_difference(printed, live(printed)) == ""


@pytest.mark.parametrize(
    ("name", "where", "value", "place"),
    [
        (BINDING, (*SPEC, "validationActions"), ["Warn"], "spec.validationActions"),
        (BINDING, (*SPEC, "validationActions", 0), "Warn", "spec.validationActions[0]"),
        (BINDING, (*SPEC, "policyName"), "other", "spec.policyName"),
        (BINDING, (*SPEC, "paramRef"), {"name": "x"}, "spec.paramRef"),
        (BINDING, (*SPEC, "matchResources"), {"namespaceSelector": {"matchLabels": {"a": "b"}}}, "spec.matchResources"),
        (POLICY, (*SPEC, "failurePolicy"), "Ignore", "spec.failurePolicy"),
        (
            POLICY,
            (*MATCHES, "namespaceSelector"),
            {"matchLabels": {"a": "b"}},
            "spec.matchConstraints.namespaceSelector.matchLabels",
        ),
        (POLICY, (*MATCHES, "excludeResourceRules"), [{"resources": ["pods"]}], "spec.matchConstraints.excludeResourceRules"),
        (
            POLICY,
            (*MATCHES, "resourceRules", 0, "resourceNames"),
            ["one"],
            "spec.matchConstraints.resourceRules[0].resourceNames",
        ),
        (POLICY, (*SPEC, "matchConditions"), [{"name": "no", "expression": "false"}] * 9, "spec.matchConditions"),
        (POLICY, (*SPEC, "variables", 3, "expression"), "[]", "spec.variables[3].expression"),
        (POLICY, (*SPEC, "validations", 0, "expression"), "true", "spec.validations[0].expression"),
        (POLICY, (*SPEC, "paramKind"), {"kind": "ConfigMap"}, "spec.paramKind"),
        (POLICY, SPEC, None, "spec"),
        ("MutatingAdmissionPolicy/donjon", (*SPEC, "mutations"), [], "spec.mutations"),
    ],
)
def test_what_would_weaken_a_policy_shows_by_its_field(name: str, where: Path, value: Any, place: str) -> None:
    assert first_difference(OBJECTS[name], live(OBJECTS[name], (where, value))) == place


def test_a_webhook_that_is_called_otherwise_shows_and_its_own_authority_does_not() -> None:
    defaults: list[tuple[Path, Any]] = [((*HOOKS, 0, f"{kind}Selector"), {}) for kind in ("namespace", "object")]
    authority = ((*CALL, "caBundle"), "LS0t")
    assert first_difference(HOOK, live(HOOK, *defaults, authority)) == ""
    elsewhere = ((*CALL, "service", "name"), "theirs")
    assert first_difference(HOOK, live(HOOK, authority, elsewhere)) == "webhooks[0].clientConfig.service.name"
    assert first_difference(HOOK, live(HOOK, (HOOKS, []))) == "webhooks"


def test_values_decide_what_is_to_be_there() -> None:
    kinds = {mode: {name.partition("/")[0] for name in guard(ChartValues(namespace="n", extent=mode))} for mode in GuardExtent}
    validating = {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
    assert kinds == {
        GuardExtent.NONE: set(),
        GuardExtent.ACCOUNTS: validating,
        GuardExtent.POLICIES: {*validating, "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"},
        GuardExtent.WEBHOOK: {*validating, "MutatingWebhookConfiguration"},
    }
    assert len(guard(ChartValues(namespace="n", extent=GuardExtent.ACCOUNTS))) == 6


@pytest.mark.parametrize(
    ("name", "place"),
    [
        (POLICY, "validatingadmissionpolicies/donjon-refuse"),
        (BINDING, "validatingadmissionpolicybindings/donjon-refuse"),
        ("MutatingAdmissionPolicy/donjon", "mutatingadmissionpolicies/donjon"),
        ("MutatingAdmissionPolicyBinding/donjon", "mutatingadmissionpolicybindings/donjon"),
    ],
)
def test_each_object_is_asked_for_by_its_name(name: str, place: str) -> None:
    assert path(OBJECTS[name]) == f"/apis/admissionregistration.k8s.io/v1/{place}"


@pytest.mark.parametrize("name", OBJECTS)
def test_every_object_has_words_for_its_loss_and_a_command_that_mends_it(name: str) -> None:
    kind, _, own_name = name.partition("/")
    gone, other = (gap(name, OBJECTS[name], each, "sgx") for each in (None, live(OBJECTS[name], (SPEC, {}))))
    assert gone is not None
    assert other is not None
    assert name.replace("/", " ") in gone.sentence()
    marks = "kubectl annotate --local -f - -o yaml meta.helm.sh/release-name=donjon meta.helm.sh/release-namespace=sgx"
    again = f"helm get manifest donjon -n sgx | {marks} | kubectl apply --server-side --force-conflicts --field-manager=helm -f -"
    assert gone.do.endswith(f": {again}")
    assert other.do.endswith(f": kubectl delete {kind.lower()} {own_name} && {again}")
    assert gap(name, OBJECTS[name], live(OBJECTS[name]), "sgx") is None
