"""Pods through Kubernetes' own evaluator of the printed policies, and through the Python rules: equal pods out, equal words."""

import json
import random
import re
from dataclasses import dataclass

import pytest
from tests.admission.makers import MAKERS, workload
from tests.admission.samples import MIRROR, collected, generated
from tests.conformance.policies import World, answers, differences, differences_of_makers, name_of, program

from donjon.admission.policies.all import DEFAULT_PREFIX, for_pods
from donjon.admission.rules import RULES
from donjon.admission.settings import Settings
from donjon.formats.json import JsonObject

PODS = collected() + generated(random.Random(20), 30)  # noqa: S311 - not for secrets
SMALL = [pod for pod in PODS if len(json.dumps(pod)) < 10_000]  # The large ones take most of the time.
PLAIN = World()
OTHERS = {
    "allowed": (World(labels={"donjon.dev/provision": "allowed"}), "intel.com/provision"),
    "by an account": (World(settings=Settings(provision_accounts=("team:default",))), "intel.com/provision"),
    "by its annotation": (World(settings=Settings(provision_by_annotation=True)), "quote-provider"),
    "without host devices": (World(settings=Settings(refuse_host_devices=True)), r"/dev|privileged|\"/\""),
    "on one node": (World(by_kubelet=True), MIRROR),
    "unwired": (World(wires=False), "alibabacloud"),
}
"""Other choices and callers, each with what pods have in them that it matters to."""
OF_MAKERS = dict.fromkeys(MAKERS, SMALL[-10:]) | {
    "DaemonSet": [pod for pod in SMALL if re.search("affinity|nodeSelector", json.dumps(pod))]
}


@pytest.fixture(scope="module")
def path() -> str:
    return program()


def test_policies_and_python_rules_say_the_same_of_a_pod(path: str) -> None:
    found = answers(path, PLAIN, [("pods", pod) for pod in PODS])
    assert list(differences(PLAIN, PODS, found)) == []
    assert sum(each.is_of_core for each in found) < len(PODS) / 5, "most pods reach the policies"
    words = " ".join(word for each in found for word in (each.refusal, *each.warnings))
    assert {rule.code for rule in RULES} - set(re.findall(r"DJ\d+", words)) <= {"DJ102", "DJ116"}, (
        "of unwired ones, of a DaemonSet's"
    )


@pytest.mark.parametrize("name", OTHERS)
def test_so_they_do_where_others_ask_or_something_else_was_chosen(path: str, name: str) -> None:
    world, pattern = OTHERS[name]
    pods = [pod for pod in SMALL if re.search(pattern, json.dumps(pod))]
    found = answers(path, world, [("pods", pod) for pod in pods])
    assert list(differences(world, pods, found)) == []
    assert world.wires or any("[DJ102]" in each.refusal for each in found)
    assert list(differences(PLAIN, pods, found)) != [], "the choice matters to some of them"


def test_what_makes_pods_is_warned_about_as_its_pods_are_judged(path: str) -> None:
    made = [(kind, pod) for kind, pods in OF_MAKERS.items() for pod in pods]
    found = answers(path, PLAIN, [(MAKERS[kind][1], workload(kind, pod)) for kind, pod in made])
    for kind, pods in OF_MAKERS.items():
        of_kind = [each for each, (made_by, _) in zip(found, made, strict=True) if made_by == kind]
        assert list(differences_of_makers(PLAIN, kind, pods, of_kind)) == []
    assert any("[DJ116]" in word for each in found for word in each.warnings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slip:
    """A mistake in a printed expression, and what comes to light by it."""

    policy: str
    right: str
    wrong: str
    shows: str


SLIPS = (
    Slip(policy="donjon", right="value: '1'", wrong="value: '2'", shows="makes"),
    Slip(policy="donjon-refuse", right=".size() > 100", wrong=".size() > 1", shows="refuses"),
    Slip(policy="donjon-warn", right="compareTo(quantity('4096')) < 0", wrong="compareTo(quantity('4096')) > 0", shows="warns"),
)


def test_a_wrong_expression_is_found(path: str) -> None:
    policies = [wrong(each) for each in for_pods(DEFAULT_PREFIX, PLAIN.settings)]
    pods = [pod for pod in collected() if name_of(pod) in {"faq", "forty-two", "scone-las", "oe-helloworld", "intel-5"}]
    found = answers(path, PLAIN, [("pods", pod) for pod in pods], policies)
    said = list(differences(PLAIN, pods, found))
    for slip in SLIPS:
        assert any(f" {slip.shows}: " in each for each in said), slip


def wrong(policy: JsonObject) -> JsonObject:
    """The policy with its slip, if it has one."""
    text = json.dumps(policy)
    for slip in SLIPS:
        if f'AdmissionPolicy", "metadata": {{"name": "{slip.policy}"' in text:
            assert slip.right in text, slip
            text = text.replace(slip.right, slip.wrong)
    changed: JsonObject = json.loads(text)
    return changed
