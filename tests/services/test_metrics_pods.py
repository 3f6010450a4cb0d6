"""What the metrics server keeps of a pod."""

from donjon.formats.json import JsonObject
from donjon.services.metrics.pods import place


def asking(name: str, mebibytes: int, **more: str) -> JsonObject:
    return {"name": name, "resources": {"requests": {"sgx.intel.com/epc": f"{mebibytes}Mi"}}, **more}


def test_a_pod_asks_for_what_its_containers_have_that_stay() -> None:
    """With its init container's request a pod that is full would look half full, and nobody scaled it up."""
    spec: JsonObject = {
        "initContainers": [asking("seal", 64), asking("proxy", 4, restartPolicy="Always")],
        "containers": [asking("app", 60), {"name": "log"}],
    }
    assert place({"metadata": {"name": "p"}, "spec": spec}).requests == {"proxy": 4 << 20, "app": 60 << 20}
