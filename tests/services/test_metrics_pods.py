"""What the metrics server keeps of a pod."""

from donjon.formats.json import JsonObject
from donjon.kube.label_selectors import parse
from donjon.metricsapi.use import choose
from donjon.services.metrics.pods import _beyond, place


def asking(name: str, mebibytes: int, **more: str) -> JsonObject:
    return {"name": name, "resources": {"requests": {"sgx.intel.com/epc": f"{mebibytes}Mi"}}, **more}


def test_a_pod_asks_for_what_its_containers_have_that_stay() -> None:
    """With its init container's request a pod that is full would look half full, and nobody scaled it up."""
    spec: JsonObject = {
        "initContainers": [asking("seal", 64), asking("proxy", 4, restartPolicy="Always")],
        "containers": [asking("app", 60), {"name": "log"}],
    }
    assert place({"metadata": {"name": "p"}, "spec": spec}).requests == {"proxy": 4 << 20, "app": 60 << 20}


def test_a_pod_whose_labels_are_too_long_to_be_kept_is_meant_by_every_selector_and_unknown() -> None:
    """Left out, it would make the sum of its namespace too low, and autoscalers would take replicas away."""
    running: JsonObject = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    long: JsonObject = {"metadata": {"name": "long", "labels": {f"l{each}": "v" * 60 for each in range(80)}}, "status": running}
    other: JsonObject = {"metadata": {"name": "other", "labels": {"app": "b"}}, "status": running}
    sites = [place(long), _beyond({"metadata": {"name": "large"}}), place(other)]
    assert [each.name for each in choose(parse("app=a"), sites)] == ["long", "large"]
    assert [each.name for each in choose(parse("app=b"), sites)] == ["other", "long", "large"]
    assert [(each.runs, each.has_labels) for each in sites] == [(True, False), (True, False), (True, True)]
