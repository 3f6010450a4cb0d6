"""What the API server makes of pods, beside what the Python rules make of them.

What core validation says first, in its own words, is a list here: such pods never reach the refusing policy.
"""

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
from tests.admission.makers import MAKERS, member, workload
from tests.admission.pods import EPC, pod
from tests.admission.samples import collected, generated, limited
from tests.admission.wiring import wiring
from tests.cluster.conftest import Cluster
from tests.cluster.load import client_of

from donjon.admission.manifests.api_server import complete
from donjon.admission.rules import AROUND_THE_ACCOUNT
from donjon.admission.settings import AdmissionContext, Settings
from donjon.admission.verdict import AdmissionVerdict, decide
from donjon.findings import Severity
from donjon.formats.json import Json, JsonObject, at

GENERATED = 400
BATCHES = ("collected", "generated")

CORE_VALIDATION = (
    "must be an integer",  # fractions, and some whole numbers beyond an int64: 7Ei, 2E
    "must be greater than or equal to 0",
    "must be equal to",
    "Limit must be set",
    "must not contain '..'",
    "cannot be set for a windows pod",
)
"""The words of Kubernetes itself, which validates before it asks the refusing policy."""

_REFUSED = re.compile(
    r'^Error from server \((?P<reason>\w+)\): .*?(?:pods "|Pod "|Pods? ")(?P<name>[a-z0-9-]+)" is (?P<words>.*)$'
)

_WARNED = re.compile(r"^Warning: .*? with binding '(?P<policy>[^']*)': (?P<subject>.*?): .*\[(?P<code>DJ\d+)\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of all pods: those that came out, and the words about those that did not."""

    admitted: dict[str, JsonObject]
    refused: dict[str, str]
    warned: set[tuple[str, str]]  # subject and code; kubectl says the same words only once


def agree(cluster: Cluster, around: AdmissionContext, settings: Settings, batch: str, prefix: str = "donjon") -> None:
    """Fail where a pod of the batch comes out otherwise, or with other codes, than by the Python rules.

    The warnings looked at are those of the policies with that prefix: the chart's may have been chosen otherwise.
    """
    pods = collected() if batch == "collected" else generated(random.Random(20), GENERATED)  # noqa: S311 - not for secrets
    verdicts = {str(at(pod, "metadata", "name")): decide(complete(pod), around, settings) for pod in pods}
    outcome = through_the_server(cluster, around.namespace, pods, prefix)
    assert sorted((*outcome.admitted, *outcome.refused)) == sorted(verdicts)

    differing = [told for name, verdict in verdicts.items() if (told := difference(name, verdict, outcome, prefix))]
    assert differing == [], "\n".join(differing)
    of_core = {name for name, words in outcome.refused.items() if any(each in words for each in CORE_VALIDATION)}
    reached = [verdict for name, verdict in verdicts.items() if name not in of_core]
    expected = {
        (finding.subject, finding.code)
        for verdict in reached
        for finding in verdict.findings
        if finding.severity is Severity.WARNING
    }
    assert outcome.warned == expected, outcome.warned ^ expected
    assert len(of_core) < len(pods) / 2, "most pods reach the policies"


def large() -> JsonObject:
    """A pod of 1.4 MB that asks, nearly as large as etcd takes; who owns which of its fields is told at more length than that."""
    variables: list[Json] = [{"name": f"VARIABLE_{number}", "value": "v" * 12} for number in range(29_000)]
    return {**pod(limited({EPC: "1Mi"}, env=variables)), "metadata": {"name": "large"}}


_WARNING = re.compile(r"Validation failed for ValidatingAdmissionPolicy '(?P<policy>[^']*)' with binding '[^']*': (?P<words>.*)")


def agree_on_workloads(cluster: Cluster, folder: Path, around: AdmissionContext, settings: Settings) -> None:
    """Fail where the warnings about what makes a pod are others than the Python rules' reasons about that pod."""
    pods = collected() + generated(random.Random(7), 60)  # noqa: S311 - not for secrets
    place, plural = MAKERS[around.made_by]
    server, context = client_of(cluster, folder)
    differing, compared = [], 0
    with httpx2.Client(base_url=server, verify=context, timeout=20) as client:
        for pod in pods:
            made = workload(around.made_by, pod)
            answer = client.post(f"/{place}/namespaces/{around.namespace}/{plural}?dryRun=All", json=made)
            if answer.status_code != httpx2.codes.CREATED:
                assert any(each in answer.text for each in CORE_VALIDATION), answer.text
                continue
            metadata = {name: value for name, value in member(pod, "metadata").items() if name != "name"}
            verdict = decide(complete({**pod, "metadata": metadata}), around, settings)
            compared += 1
            expected = [[each.code for each in verdict.findings if each.severity is severity] for severity in Severity][:2]
            if (found := warned(answer.headers.get_list("warning"), around.namespace)) != expected:
                differing.append(f"{at(pod, 'metadata', 'name')}: the server warns {found}, the rules {expected}")
    assert differing == [], "\n".join(differing)
    assert compared > len(pods) / 2, "most workloads reach the policies"


def warned(headers: list[str], prefix: str) -> list[list[str]]:
    """The codes of the refusal that is foretold, and those of the warnings, by the policies of that prefix alone."""
    words = [found["words"] for each in headers if (found := _WARNING.search(each)) and found["policy"].startswith(prefix)]
    foretold = [each for each in words if "will be refused: " in each]
    return [
        [code for each in chosen for code in re.findall(r"\[(DJ\d+)\]", each)]
        for chosen in (foretold, [each for each in words if each not in foretold])
    ]


def through_the_server(cluster: Cluster, namespace: str, pods: list[JsonObject], prefix: str) -> Outcome:
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": pods})
    said = cluster.kubectl("create", "-n", namespace, "--dry-run=server", "-o", "json", "-f", "-", stdin=listed, check=False)
    first_error = re.search(r"^(Warning|Error)", said, re.MULTILINE)
    out, words = (said[: first_error.start()], said[first_error.start() :]) if first_error else (said, "")
    admitted = {str(at(item, "metadata", "name")): item for item in one_by_one(out)}
    refused = {found["name"]: found[0] for line in words.splitlines() if (found := _REFUSED.match(line))}
    told = [found for line in words.splitlines() if (found := _WARNED.match(line)) and found["policy"].startswith(prefix)]
    warned = {(found["subject"], found["code"]) for found in told}
    return Outcome(admitted=admitted, refused=refused, warned=warned)


def one_by_one(text: str) -> Iterator[JsonObject]:
    """The objects that kubectl prints one after the other."""
    while text := text.strip():
        found, end = json.JSONDecoder().raw_decode(text)
        yield found
        text = text[end:]


def difference(name: str, verdict: AdmissionVerdict, outcome: Outcome, prefix: str) -> str:
    """In what the API server and the rules differ about a pod; nothing where they do not."""
    words = outcome.refused.get(name)
    if words is not None and any(each in words for each in CORE_VALIDATION):
        return ""
    expected = [finding.code for finding in verdict.findings if finding.severity is Severity.ERROR]
    if words is not None and f"'{prefix}-refuse'" not in words:  # The chart's policy spoke first, and warns about these.
        expected = [code for code in expected if code not in AROUND_THE_ACCOUNT]
    found = re.findall(r"\[(DJ\d+)\]", words or "")
    if found != expected or "variables." in (words or ""):
        return f"{name}: the server says {found or words}, the rules {expected}"
    if words is None and wiring(outcome.admitted[name]) != wiring(verdict.admitted):
        return f"{name}: the server makes {wiring(outcome.admitted[name])}, the rules {wiring(verdict.admitted)}"
    return ""
