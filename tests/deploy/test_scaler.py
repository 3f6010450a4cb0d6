"""KEDA's scaler as the chart renders it: who may reach it, and that it brings no right that it does not need."""

import pytest
from tests.deploy.conftest import Helm, named

ALONE = ("metricsApi.enabled=true", "metricsApi.keda.enabled=true")


def test_the_scaler_alone_serves_no_api_and_may_touch_none(helm: Helm) -> None:
    objects = helm.template(*ALONE)
    (container,) = named(objects, "Deployment", "donjon-metrics")["spec"]["template"]["spec"]["containers"]
    assert "--scaler-listen=0.0.0.0:9812" in container["args"]
    assert [each for each in container["args"] if each.startswith("--api")] == ["--api="]
    assert not [each for each in objects if each["kind"] == "APIService"]
    rules = [rule for each in objects if each["kind"] == "ClusterRole" for rule in each.get("rules") or ()]
    assert not [rule for rule in rules if "apiservices" in rule.get("resources", ())]
    ports = named(objects, "Service", "donjon-metrics")["spec"]["ports"]
    assert {each["name"]: each["port"] for each in ports}["scaler"] == 9812


def test_another_servers_version_of_custom_metrics_stays_the_one_that_autoscalers_ask(helm: Helm) -> None:
    objects = helm.template(*ALONE, "metricsApi.custom=true", "metricsApi.external=true")
    apis = [each["spec"] for each in objects if each["kind"] == "APIService"]
    assert {each["group"] for each in apis} == {"custom.metrics.k8s.io", "external.metrics.k8s.io"}
    assert {each["versionPriority"] for each in apis} == {1}


def test_a_rule_for_apiservices_always_names_them(helm: Helm) -> None:
    objects = helm.template(*ALONE, "metricsApi.custom=true")
    rules = [rule for each in objects if each["kind"] == "ClusterRole" for rule in each.get("rules") or ()]
    named_ones = [rule["resourceNames"] for rule in rules if "apiservices" in rule.get("resources", ())]
    assert named_ones
    assert all(named_ones)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ((), [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "keda"}}}]),
        (('metricsApi.keda.from=[{"podSelector": {}}]',), [{"podSelector": {}}]),
    ],
)
def test_nobody_but_keda_may_reach_it(helm: Helm, settings: tuple[str, ...], expected: object) -> None:
    policy = named(helm.template(*ALONE, *settings), "NetworkPolicy", "donjon-metrics")
    (rule,) = (each for each in policy["spec"]["ingress"] if each["ports"] == [{"port": "scaler"}])
    assert rule["from"] == expected


def test_without_it_nothing_of_it_is_there(helm: Helm) -> None:
    assert "9812" not in str(helm.template("metricsApi.enabled=true", "metricsApi.custom=true"))
