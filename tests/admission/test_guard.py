"""What the chart put there, laid over what the API server has: each way to weaken it shows, and what the server adds does not."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from donjon.admission.policies.guard import ChartValues, Guard, absence, change, first_difference, guard, path

CHART_VALUES = ChartValues(namespace="donjon", guard=Guard.POLICIES)
OBJECTS = guard(CHART_VALUES)
HOOK = guard(ChartValues(namespace="donjon", guard=Guard.WEBHOOK))["MutatingWebhookConfiguration/donjon"]
POLICY, BINDING = "ValidatingAdmissionPolicy/donjon-refuse", "ValidatingAdmissionPolicyBinding/donjon-refuse"

Change = Callable[[Any], None]


def live(printed: Any, *changes: Change) -> Any:
    """An object as the API server has it: its own fields and defaults beside, and what somebody changed."""
    entry = deepcopy(printed) | {"status": {"observedGeneration": 1}}
    entry["metadata"] |= {"uid": "u", "resourceVersion": "7", "labels": {"team": "theirs"}}
    for each in changes:
        each(entry)
    return entry


def weak(text: str) -> Change:
    """A change written as a statement about `it`."""
    return lambda it: exec(text, {"it": it})  # noqa: S102 - the statements stand below.


@pytest.mark.parametrize("mode", Guard)
def test_what_the_api_server_has_as_it_was_printed_is_whole(mode: Guard) -> None:
    for printed in guard(ChartValues(namespace="donjon", guard=mode)).values():
        assert first_difference(printed, live(printed)) == ""


@pytest.mark.parametrize(
    ("name", "deed", "place"),
    [
        (BINDING, "it['spec']['validationActions'] = ['Warn']", "spec.validationActions"),
        (BINDING, "it['spec']['validationActions'][0] = 'Warn'", "spec.validationActions[0]"),
        (BINDING, "it['spec']['policyName'] = 'other'", "spec.policyName"),
        (BINDING, "it['spec']['paramRef'] = {'name': 'x'}", "spec.paramRef"),
        (
            BINDING,
            "it['spec']['matchResources'] = {'namespaceSelector': {'matchLabels': {'a': 'b'}}}",
            "spec.matchResources",
        ),
        (POLICY, "it['spec']['failurePolicy'] = 'Ignore'", "spec.failurePolicy"),
        (
            POLICY,
            "it['spec']['matchConstraints']['namespaceSelector'] = {'matchLabels': {'a': 'b'}}",
            "spec.matchConstraints.namespaceSelector.matchLabels",
        ),
        (
            POLICY,
            "it['spec']['matchConstraints']['excludeResourceRules'] = [{'resources': ['pods']}]",
            "spec.matchConstraints.excludeResourceRules",
        ),
        (
            POLICY,
            "it['spec']['matchConstraints']['resourceRules'][0]['resourceNames'] = ['one']",
            "spec.matchConstraints.resourceRules[0].resourceNames",
        ),
        (POLICY, "it['spec']['matchConditions'].append({'name': 'no', 'expression': 'false'})", "spec.matchConditions"),
        (POLICY, "it['spec']['variables'][3]['expression'] = '[]'", "spec.variables[3].expression"),
        (POLICY, "it['spec']['validations'][0]['expression'] = 'true'", "spec.validations[0].expression"),
        (POLICY, "it['spec']['paramKind'] = {'kind': 'ConfigMap'}", "spec.paramKind"),
        (POLICY, "del it['spec']", "spec"),
        ("MutatingAdmissionPolicy/donjon", "it['spec']['mutations'] = []", "spec.mutations"),
    ],
)
def test_what_would_weaken_a_policy_shows_by_its_field(name: str, deed: str, place: str) -> None:
    assert first_difference(OBJECTS[name], live(OBJECTS[name], weak(deed))) == place


def test_a_webhook_that_is_called_otherwise_shows_and_its_own_authority_does_not() -> None:
    defaults = weak("it['webhooks'][0] |= {'namespaceSelector': {}, 'objectSelector': {}}")
    authority = weak("it['webhooks'][0]['clientConfig']['caBundle'] = 'LS0t'")
    assert first_difference(HOOK, live(HOOK, defaults, authority)) == ""
    elsewhere = weak("it['webhooks'][0]['clientConfig']['service']['name'] = 'theirs'")
    assert first_difference(HOOK, live(HOOK, authority, elsewhere)) == "webhooks[0].clientConfig.service.name"
    assert first_difference(HOOK, live(HOOK, weak("it['webhooks'] = []"))) == "webhooks"


def test_values_decide_what_is_to_be_there() -> None:
    kinds = {mode: {name.partition("/")[0] for name in guard(ChartValues(namespace="n", guard=mode))} for mode in Guard}
    validating = {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
    assert kinds == {
        Guard.NONE: set(),
        Guard.ACCOUNTS: validating,
        Guard.POLICIES: {*validating, "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"},
        Guard.WEBHOOK: {*validating, "MutatingWebhookConfiguration"},
    }
    assert len(guard(ChartValues(namespace="n", guard=Guard.ACCOUNTS))) == 6


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
def test_every_object_has_words_for_its_loss(name: str) -> None:
    for finding in (absence(name), change(name, "spec")):
        assert name.replace("/", " ") in finding.sentence()
        assert "helm upgrade" in finding.do
