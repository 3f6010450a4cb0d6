"""A round of the metrics server over the meters: those that answer are not kept waiting by those that do not."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from tests.kube.epc import report

from donjon.adapters.metrics.metricsapi import MetricsApiMetrics
from donjon.errors import Unavailable
from donjon.kube.epc_report import EpcReport
from donjon.metricsapi.use import PodSite
from donjon.services.metrics import meters as module
from donjon.services.metrics.meters import Meters

AGENT = {"app.kubernetes.io/name": "donjon", "app.kubernetes.io/component": "node"}


class Nodes:
    """So many nodes with an agent each; `silent` ones do not answer."""

    def __init__(self, count: int, silent: int) -> None:
        self.names = [f"n{number:04}" for number in range(count)]
        self.silent = set(self.names[:silent])
        self.asked: list[str] = []
        self.words = "no whole answer within 2 s"

    def of(self, namespace: str) -> Mapping[str, PodSite]:
        start = datetime(2026, 11, 30, tzinfo=UTC)
        return {
            name: PodSite(
                namespace=namespace,
                name=name,
                uid=name,
                node=name,
                address="10.0.0.1",
                labels=AGENT,
                requests={},
                start=start,
                runs=True,
            )
            for name in self.names
        }

    async def read(self, node: str, _: str) -> EpcReport:
        self.asked.append(node)
        await asyncio.sleep(0)
        if node in self.silent:
            raise Unavailable("DJ786", f"meter of {node}: {self.words}")
        return report(node=node)

    async def close(self) -> None:
        pass


def rounds(nodes: Nodes, count: int) -> tuple[Meters, list[list[str]], MetricsApiMetrics]:
    """Who was asked in each of so many rounds."""
    metrics = MetricsApiMetrics("test")
    meters = Meters(nodes, "donjon", 10.0, metrics)  # type: ignore[arg-type] # As far as it is asked.
    meters._client = nodes  # type: ignore[assignment] # 〃
    asked = []

    async def run() -> None:
        for _ in range(count):
            nodes.asked = []
            await meters.round()
            asked.append(sorted(nodes.asked))

    asyncio.run(run())
    return meters, asked, metrics


def counts(metrics: MetricsApiMetrics) -> list[float | None]:
    answers = ("yes", "no", "idle")
    return [metrics.registry.get_sample_value("donjon_metrics_meters", {"answer": word}) for word in answers]


def test_who_does_not_answer_costs_a_round_little_and_is_asked_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SILENT", 3)
    nodes = Nodes(10, silent=7)
    meters, asked, metrics = rounds(nodes, 4)
    answering = nodes.names[7:]
    assert asked[0] == nodes.names
    assert [len(each) for each in asked[1:]] == [6, 6, 6]
    assert all(set(answering) <= set(each) for each in asked)
    assert {node for each in asked[1:] for node in each} == set(nodes.names), "each of the others has its turn"
    assert meters.get(nodes.names[9]) is not None
    assert meters.get(nodes.names[0]) is None
    assert counts(metrics) == [3, 7, 0]


def test_a_node_without_sgx_is_no_trouble_and_is_asked_less_often(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "MAX_SILENT", 1)
    nodes = Nodes(4, silent=3)
    nodes.words = "503 meter: no pass within the last 60 s [DJ708]: meter: neither sgx_enclave nor sgx_vepc [DJ700]"
    meters, asked, metrics = rounds(nodes, 2)
    assert counts(metrics) == [1, 0, 3]
    assert len(asked[1]) == 2
    assert not caplog.records
    nodes.words = f"{nodes.words}; and by areas: the process lacks CAP_SYS_PTRACE [DJ709]"
    asyncio.run(meters.round())
    assert counts(metrics) == [1, 1, 2]
    assert [each.levelname for each in caplog.records] == ["WARNING"]


def test_who_answers_again_is_asked_in_every_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SILENT", 1)
    nodes = Nodes(3, silent=2)
    meters, _, metrics = rounds(nodes, 1)
    nodes.silent.clear()

    async def run() -> None:
        for _ in range(3):
            nodes.asked = []
            await meters.round()

    asyncio.run(run())
    assert sorted(nodes.asked) == nodes.names
    assert metrics.registry.get_sample_value("donjon_metrics_meters", {"answer": "no"}) == 0


def test_a_node_that_is_gone_is_forgotten() -> None:
    nodes = Nodes(3, silent=1)
    meters, _, metrics = rounds(nodes, 1)
    nodes.names = nodes.names[2:]
    asyncio.run(meters.round())
    assert meters.get("n0001") is None
    assert metrics.registry.get_sample_value("donjon_metrics_meters", {"answer": "no"}) == 0
