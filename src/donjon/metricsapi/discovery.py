"""What these APIs say of themselves: their groups, versions and resources.

Source: k8s.io/metrics (`pkg/apis/metrics/v1beta1`, `custom_metrics/v1beta2`, `external_metrics/v1beta1`), Kubernetes API
Concepts, "API discovery".
"""

from enum import StrEnum

from donjon.formats.json import Json, JsonObject
from donjon.metricsapi.series import EXTERNAL, Series


class Group(StrEnum):
    """A group of the API with its one version that is served here."""

    RESOURCE = "metrics.k8s.io/v1beta1"
    CUSTOM = "custom.metrics.k8s.io/v1beta2"
    EXTERNAL = "external.metrics.k8s.io/v1beta1"

    @property
    def domain(self) -> str:
        """The group without its version."""
        return self.value.partition("/")[0]

    @property
    def version(self) -> str:
        """The version without its group."""
        return self.value.partition("/")[2]

    @property
    def registration(self) -> str:
        """The name of the APIService that says who serves it."""
        return f"{self.version}.{self.domain}"


def resources(group: Group) -> JsonObject:
    """The APIResourceList of a group."""
    match group:
        case Group.RESOURCE:
            entries = [_resource("nodes", "NodeMetrics", "get", "list"), _resource("pods", "PodMetrics", "get", "list")]
            entries[0]["namespaced"] = False
        case Group.CUSTOM:
            entries = [_resource(f"pods/{each}", "MetricValueList", "get") for each in Series]
        case Group.EXTERNAL:
            entries = [_resource(each, "ExternalMetricValueList", "get") for each in EXTERNAL]
    whole: list[Json] = [*entries]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group.value, "resources": whole}


def _resource(name: str, kind: str, *verbs: str) -> JsonObject:
    return {"name": name, "singularName": "", "namespaced": True, "kind": kind, "verbs": [*verbs]}
