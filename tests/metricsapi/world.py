"""A pod and its node's report, to be varied."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from donjon.kube.epc_report import ContainerEpc, EpcReport, PodContainer
from donjon.metricsapi.use import NodeUse, PodSite, by_pod
from donjon.sgx.epc import EpcSource, EpcUse

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
MIB = 1 << 20
POD = PodSite(
    namespace="shop",
    name="web-1",
    uid="u1",
    node="n1",
    address="10.0.0.1",
    labels={"app": "web"},
    requests={"app": 8 * MIB},
    start=NOW - timedelta(minutes=5),
    runs=True,
)


def container(name: str = "app", resident: int = 4 * MIB, evicted: int | None = 2 * MIB, **more: Any) -> ContainerEpc:
    existing = None if evicted is None else resident + evicted
    use = EpcUse(resident=resident, existing=existing, evicted=evicted, enclaves=1)
    whose = PodContainer(namespace="shop", pod="web-1", pod_uid="u1", container=name)
    return replace(ContainerEpc(name=whose, request=8 * MIB, use=use), **more)


def node(*containers: ContainerEpc, age: float = 5, **more: Any) -> NodeUse:
    moment = NOW - timedelta(seconds=age)
    report = EpcReport(
        node="n1",
        moment=f"{moment:%FT%TZ}",
        source=EpcSource.BPF,
        total=64 * MIB,
        free=MIB,
        use=EpcUse(resident=9 * MIB, existing=12 * MIB, evicted=3 * MIB, enclaves=2),
        containers=containers,
    )
    return by_pod(replace(report, **more), moment)
