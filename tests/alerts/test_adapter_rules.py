"""prometheus-adapter's rules as it asks them of Prometheus, tried by promtool: what each pod is said to hold."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from testbed import packages
from testbed.trouble import Lacking, Trouble
from tests import pages
from tests.alerts.worlds import World, series

RULES = Path(__file__).parents[2] / "deploy" / "chart" / "files" / "prometheus-adapter.yaml"
PROMTOOL = packages.PROMETHEUS["prometheus"]
MATCHERS = 'namespace="vaults",pod=~"a|b|c|d|e"'
MIB = 1 << 20
KINDS = ("request", "resident", "existing", "evicted")


def holds(pod: str, node: str, amounts: tuple[int | None, ...], container: str = "app", instance: str = "") -> World:
    """A container as a meter says it: request, resident, existing and evicted, in MiB; `None` is what it does not say."""
    labels = {"namespace": "vaults", "pod": pod, "container": container, "node": node, "instance": instance or node}
    return {
        series(f"donjon_meter_container_{kind}_bytes", **labels): f"{amount * MIB}x9"
        for kind, amount in zip(KINDS, amounts, strict=True)
        if amount is not None
    }


def node_evicted(node: str, amount: int) -> World:
    return {series("donjon_meter_epc_evicted_bytes", node=node, instance=node): f"{amount * MIB}x9"}


PODS: dict[str, str] = {
    **holds("a", "one", (10, 9, 12, 3)),  # more than it asked for, a part of it evicted
    **holds("b", "two", (10, 2, 2, 0)),
    **holds("b", "two", (10, 2, 2, 0), instance="its next meter"),  # scraped twice while meters change over
    **holds("b", "two", (0, 1, 1, 0), container="sidecar"),  # holds what it never asked for
    **holds("c", "two", (0, 4, 4, 0)),  # asked for none at all
    **holds("d", "three", (8, 6, None, None)),  # by maps: nothing is known of evictions
    **{name.replace("vaults", "others"): value for name, value in holds("e", "one", (10, 9, 12, 3)).items()},
    **node_evicted("one", 16),
    **node_evicted("two", 0),
}
SAID: dict[str, dict[str, float]] = {
    "sgx_epc_resident_bytes": {"a": 9 * MIB, "b": 3 * MIB, "c": 4 * MIB, "d": 6 * MIB},
    "sgx_epc_evicted_bytes": {"a": 3 * MIB, "b": 0, "c": 0},
    "sgx_epc_utilization": {"a": 1.2, "b": 0.3},
    "sgx_epc_node_evicted_bytes": {"a": 16 * MIB, "b": 0, "c": 0},
}


def rules() -> dict[str, Any]:
    return {each["name"]["as"]: each for each in YAML(typ="safe").load(RULES)["rules"]["custom"]}


def query(rule: dict[str, Any]) -> str:
    """What the adapter asks for these pods, filled in as it fills its template."""
    filled = {"<<.GroupBy>>": "pod", "<<.LabelMatchers>>": MATCHERS, "<<.Series>>": rule["seriesQuery"].partition("{")[0]}
    text: str = rule["metricsQuery"]
    for place, word in filled.items():
        text = text.replace(place, word)
    return text


def test_every_rule_has_its_own_name_and_is_tried_here() -> None:
    listed = YAML(typ="safe").load(RULES)["rules"]["custom"]
    assert [each["name"]["as"] for each in listed] == list(SAID)


@pytest.mark.parametrize("name", SAID)
def test_each_pod_is_said_to_hold_what_it_holds(name: str, tmp_path: Path) -> None:
    check(tmp_path, PODS, query(rules()[name]), {series("", pod=pod): value for pod, value in SAID[name].items()})


def test_the_pages_query_for_keda_is_the_sum_over_the_pods_and_nothing_while_none_is_scraped(tmp_path: Path) -> None:
    text = next(each for each in pages.examples("autoscaling.md", "yaml") if "type: prometheus" in each)
    (trigger,) = YAML(typ="safe").load(text)["triggers"]
    assert trigger["metadata"]["ignoreNullValues"] == "false"
    two = {
        **holds("vault-1", "one", (10, 9, 12, 3)),
        **holds("vault-2", "two", (10, 2, 2, 0)),
        **holds("a", "one", (10, 9, 12, 3)),
    }
    check(tmp_path, two, trigger["metadata"]["query"], {"{}": 14 * MIB})
    check(tmp_path, node_evicted("one", 0), trigger["metadata"]["query"], {})


def check(folder: Path, world: World, expression: str, samples: Mapping[str, float]) -> None:
    """What Prometheus answers in that world, in promtool's words."""
    try:
        packages.install(packages.PROMETHEUS)
    except (Lacking, Trouble) as error:
        pytest.skip(f"needs promtool: {error}")
    expected = [{"labels": labels, "value": value} for labels, value in samples.items()]
    tried = {"expr": expression, "eval_time": "10m", "exp_samples": expected}
    listed = [{"series": each, "values": values} for each, values in world.items()]
    file = folder / "tests.yaml"
    file.write_text(json.dumps({"tests": [{"interval": "2m", "input_series": listed, "promql_expr_test": [tried]}]}))
    done = subprocess.run([PROMTOOL, "test", "rules", file], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
