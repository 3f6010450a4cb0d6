"""Autoscalers on EPC beside the pods that they scale: what keeps Kubernetes' own from doing anything, though it was applied.

Source: k8s.io/kubernetes `pkg/controller/podautoscaler/replica_calculator.go`, 1.36.3.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from donjon.admission.codes import IDLE_SCALING
from donjon.admission.intent import text
from donjon.admission.manifests.workloads import Thing
from donjon.admission.reasons import Reason
from donjon.findings import Finding
from donjon.formats.json import Json, JsonObject, at, objects
from donjon.kube.names import EPC, FOREIGN_EPC

AUTOSCALER = "HorizontalPodAutoscaler"
MAX_METRICS = 100  # of one autoscaler that are looked at

_FIELDS = ("resource", "containerResource")
_ELSE = "take type ContainerResource with the container that holds the enclave, or a target of type AverageValue"


@dataclass(frozen=True, slots=True)
class ScaleTarget:
    """What an autoscaler names as that which it scales."""

    kind: str
    namespace: str
    name: str


def is_autoscaler(thing: Thing) -> bool:
    """Whether it is Kubernetes' own autoscaler of pods."""
    return thing.kind == AUTOSCALER and thing.version.startswith("autoscaling/")


def idle_scaling(thing: Thing, namespace: str, pods: Mapping[ScaleTarget, Json]) -> Iterator[Reason]:
    """Each metric of an autoscaler that would not move it; `pods` are those of the manifests, as they would be admitted."""
    reference = at(thing.content, "spec", "scaleTargetRef")
    target = ScaleTarget(text(at(reference, "kind")), namespace, text(at(reference, "name")))
    for index, metric in enumerate(islice(objects(at(thing.content, "spec", "metrics")), MAX_METRICS)):
        for field in _FIELDS:
            source = metric.get(field)
            if isinstance(source, dict):
                place = f"{thing.path}/spec/metrics/{index}/{field}"
                finding = _misnamed(thing, source) or _without_request(thing, source, target, pods.get(target))
                if finding is not None:
                    yield Reason(finding=finding, place=f"{place}/name")


def _misnamed(thing: Thing, source: JsonObject) -> Finding | None:
    name = text(source.get("name"))
    if name not in FOREIGN_EPC:
        return None
    return Finding.warning(
        IDLE_SCALING,
        f"{thing.kind} {thing.name}",
        f"scales on {name}",
        "admission turns that into bytes in pods, and no metrics API answers for it",
        f"write {EPC}",
    )


def _without_request(thing: Thing, source: JsonObject, target: ScaleTarget, pod: Json) -> Finding | None:
    if source.get("name") != EPC or at(source, "target", "averageUtilization") is None or pod is None:
        return None
    container = text(source.get("container"))
    scaled = [each for each in _scaled(pod) if not container or text(each.get("name")) == container]
    lacking = next((each for each in scaled if at(each, "resources", "requests", EPC) is None), None)
    if scaled and lacking is None:
        return None
    if lacking is None:
        observation = f"scales on the EPC of container {container}, which {target.kind} {target.name} does not have"
    else:
        observation = f"scales on the EPC that is asked for, and container {text(lacking.get('name'))} asks for none"
    return Finding.warning(
        IDLE_SCALING,
        f"{thing.kind} {thing.name}",
        observation,
        f"it would find no request for {EPC}, say so in its conditions and leave {target.kind} {target.name} as it is",
        f"take a container that asks for {EPC}" if container else _ELSE,
    )


def _scaled(pod: Json) -> tuple[JsonObject, ...]:
    """The containers that an autoscaler adds up: sidecars too, of init containers no others."""
    sidecars = (each for each in objects(at(pod, "spec", "initContainers")) if each.get("restartPolicy") == "Always")
    return (*objects(at(pod, "spec", "containers")), *sidecars)
