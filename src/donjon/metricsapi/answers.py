"""The lists that are answered: metrics-server's with EPC beside CPU and memory, and those of custom and external metrics."""

from collections.abc import Callable, Iterable
from fractions import Fraction

from donjon.formats.json import Json, JsonObject, at, objects
from donjon.kube.names import ANNOTATION_EPC_SOURCE, EPC
from donjon.kube.objects import name_of, namespace_of
from donjon.metricsapi.discovery import Group
from donjon.metricsapi.series import Series, quantity, value
from donjon.metricsapi.use import PodSite, PodUse

Lookup = Callable[[str, str], PodUse | None]
"""What the pod of that namespace and name holds; `None` where it is unknown."""


JSON = "application/json"
_FORM = "as="  # Kubernetes API Concepts, "Alternate representations of resources"


def as_json(accept: str) -> str:
    """The forms that are asked for, in their order, as JSON: in another one nothing could be added.

    Every client of these APIs reads JSON, whatever it would have liked better; who asks for a table alone has its table.
    """
    forms = [part.strip() for part in accept.split(",")]
    ours = (form if _FORM in form else JSON for form in forms if _FORM not in form or form.startswith(f"{JSON};"))
    return ",".join(dict.fromkeys(ours)) or JSON


def add_epc(answer: JsonObject, lookup: Lookup) -> JsonObject:
    """PodMetrics, or a list of them, of metrics-server, with the EPC of each container of which it is known.

    Nothing else changes. No pod is added, nor a container: one without CPU and memory would stop who scales on these. What has no
    containers is another form of it, a table or names alone.
    """
    for each in objects(answer.get("items")) or (answer,):
        use = None if each.get("containers") is None else lookup(namespace_of(each), name_of(each))
        if use is not None:
            _add(each, use)
    return answer


def _add(metrics: JsonObject, use: PodUse) -> None:
    """Where a container that holds EPC is not in the list yet, a sum over those that are would be too low: nothing is added."""
    containers = {str(each.get("name")): each for each in objects(metrics.get("containers"))}
    if use.containers.keys() - containers.keys():
        return
    for name, container in containers.items():
        usage = container.get("usage")
        if isinstance(usage, dict) and (use.whole or name in use.containers):
            usage[EPC] = str(use.containers.get(name, 0))
    metadata = metrics.get("metadata")
    if isinstance(metadata, dict):
        annotations = metadata.get("annotations")
        metadata["annotations"] = {
            **(annotations if isinstance(annotations, dict) else {}),
            ANNOTATION_EPC_SOURCE: use.source.value,
        }


def own_schemas(answer: JsonObject) -> JsonObject:
    """metrics-server's list of OpenAPI documents without those of paths that every API server has.

    The aggregator (k8s.io/kube-aggregator `openapiv3`) takes all that a server lists for that server's, `version` and `apis` too.
    """
    paths = answer.get("paths")
    ours = (f"apis/{Group.RESOURCE.domain}", f"apis/{Group.RESOURCE.value}")
    return {"paths": {key: paths[key] for key in ours if key in paths} if isinstance(paths, dict) else {}}


def custom(series: Series, pods: Iterable[tuple[PodSite, PodUse | None]]) -> JsonObject:
    """The MetricValueList of these pods; whose figure is unknown is not in it."""
    items: list[Json] = []
    for pod, use in pods:
        if use is not None and (number := value(series, use)) is not None:
            items.append(_custom_value(series, pod, use.moment, number))
    return {"kind": "MetricValueList", "apiVersion": Group.CUSTOM.value, "metadata": {}, "items": items}


def external(series: Series, number: Fraction | None, moment: str) -> JsonObject:
    """The ExternalMetricValueList of one figure; an empty one where it is unknown, which an autoscaler takes for an error."""
    items: list[Json] = []
    if number is not None:
        items.append({"metricName": series.value, "metricLabels": {}, "timestamp": moment, "value": quantity(number)})
    return {"kind": "ExternalMetricValueList", "apiVersion": Group.EXTERNAL.value, "metadata": {}, "items": items}


def status(code: int, reason: str, message: str) -> JsonObject:
    """A failure as the API server says one (`metav1.Status`)."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }


def is_status(answer: Json) -> bool:
    """Whether an answer is a failure in the API server's form."""
    return at(answer, "kind") == "Status"


def _custom_value(series: Series, pod: PodSite, moment: str, number: Fraction) -> JsonObject:
    described: JsonObject = {"kind": "Pod", "namespace": pod.namespace, "name": pod.name, "apiVersion": "/v1"}
    metric: JsonObject = {"name": series.value, "selector": None}
    return {
        "describedObject": described,
        "metric": metric,
        "timestamp": moment,
        "windowSeconds": 0,
        "value": quantity(number),
    }
