"""What the commands of pages select by: labels that the chart's own objects bear, and reasons that the agents' Events have.

A command that selects by something else ends well and finds nothing, ever.
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from ruamel.yaml import YAML
from tests.deploy.conftest import CHART, PROJECT, Helm
from tests.deploy.test_chart import ATTESTATION, ENCLAVE_ADMISSION, EVERYTHING_ON, METRICS_API, WEBHOOK

from donjon.admission.policies.guard import AGENT
from donjon.diagnosis.workload import FAILED_CREATE
from donjon.kube.names import EVENT_COMPONENT, EVENT_REASONS, LABEL_CAPABLE, LABEL_PROVISION, PROVISION_ALLOWED

PAGES = sorted(
    (
        *PROJECT.glob("*.md"),
        *(PROJECT / "docs").rglob("*.md"),
        *(PROJECT / "src" / "donjon" / "findings" / "pages").iterdir(),
        CHART / "templates" / "NOTES.txt",
    )
)
OF_NODES_AND_NAMESPACES = {("nodes", LABEL_CAPABLE, "true"), ("namespaces", LABEL_PROVISION, PROVISION_ALLOWED)}
FIELDS = {
    "reason": {*EVENT_REASONS, FAILED_CREATE},
    "reportingComponent": {EVENT_COMPONENT},
    "spec.serviceAccountName": {AGENT},
    "spec.nodeName": {"NODE"},
    "type": {"Warning"},
    "involvedObject.kind": {"Node"},
}
"""Fields by which the API server selects, with the values of ours or Kubernetes'."""
KINDS = {"daemonset": "daemonsets", "namespace": "namespaces", "node": "nodes", "pod": "pods", "pvc": "persistentvolumeclaims"}

_COMMAND = re.compile(r"kubectl(?P<words>(?:(?! kubectl )[^|`$()])*? (?:-l|--field-selector)[ =][^\s|`)]+)")
_VERB = re.compile(r" ?(?P<verb>get|delete|describe|wait|logs)(?: (?:--for=\S+ )*(?P<kinds>[a-z][a-z,]*))?")
_SELECTORS = re.compile(r" -l[ =](?P<labels>[^\s|`)]+)|--field-selector[ =](?P<fields>[^\s|`)]+)")


def selections() -> Iterator[tuple[str, str, str, str]]:
    """Every page, kind of object, and label or field with what it is to be."""
    for page in PAGES:
        for command in _COMMAND.finditer(" ".join(page.read_text(encoding="utf-8").split())):
            verb = _VERB.search(command["words"])
            assert verb is not None, command[0]
            kinds = "pods" if verb["verb"] == "logs" else verb["kinds"]
            for selector in _SELECTORS.finditer(command["words"]):
                for kind in kinds.split(","):
                    yield page.name, KINDS.get(kind, kind), selector["labels"] or "", selector["fields"] or ""


@pytest.fixture(scope="module")
def labels(helm: Helm) -> dict[str, list[dict[str, str]]]:
    """By kind, the labels of each of the chart's objects, and of the pods that they make."""
    found: dict[str, list[dict[str, str]]] = {}
    for each in helm.template(*EVERYTHING_ON, ENCLAVE_ADMISSION, WEBHOOK, ATTESTATION % "", *METRICS_API):
        found.setdefault(f"{each['kind'].lower()}s", []).append(each["metadata"].get("labels", {}))
        template: dict[str, Any] = (each.get("spec") or {}).get("template") or {}
        found.setdefault("pods", []).append(template.get("metadata", {}).get("labels", {}))
    return found


def example_labels() -> dict[str, str]:
    """Of the pods that the FAQ's Job makes, as the pages have it applied."""
    (job,) = YAML(typ="safe").load_all((PROJECT / "testbed" / "examples" / "sgx-test.yaml").read_text(encoding="utf-8"))
    labels: dict[str, str] = job["spec"]["template"]["metadata"]["labels"]
    return labels


def test_every_label_that_a_page_selects_by_is_on_something_of_the_chart(labels: dict[str, list[dict[str, str]]]) -> None:
    tried = 0
    labels["pods"].append(example_labels())
    for page, kind, selector, _ in selections():
        pairs = dict(each.split("=") for each in selector.split(",") if each)
        if pairs and not {(kind, *each) for each in pairs.items()} <= OF_NODES_AND_NAMESPACES:
            assert any(pairs.items() <= each.items() for each in labels.get(kind, ())), (page, kind, selector)
            tried += 1
    assert tried > 30


def test_every_field_that_a_page_selects_by_has_a_value_that_somebody_writes() -> None:
    pairs = [(page, *fields.split("=")) for page, _, _, fields in selections() if fields]
    assert len(pairs) > 10
    assert [each for each in pairs if each[2] not in FIELDS[each[1]]] == []
