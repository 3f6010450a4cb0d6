"""Reports of nodes for tests: what is not said is nothing, or unknown."""

from donjon.kube.epc_report import ContainerEpc, EpcReport, PodContainer
from donjon.sgx.epc import EpcSource, EpcUse

MIB = 1 << 20


def held(resident: int, evicted: int = 0, *, enclaves: int = 1, debug: int = 0) -> EpcUse:
    """What enclaves hold, in MiB."""
    return EpcUse(
        resident=resident * MIB, existing=(resident + evicted) * MIB, evicted=evicted * MIB, enclaves=enclaves, debug=debug
    )


def container(
    request: int, use: EpcUse, *, namespace: str = "shop", pod: str = "app-1", name: str = "app", guests: int = 0
) -> ContainerEpc:
    """A container that asked for so many MiB."""
    key = PodContainer(namespace=namespace, pod=pod, pod_uid=f"uid-{pod}", container=name)
    return ContainerEpc(
        name=key,
        request=request * MIB,
        use=use,
        guests=guests * MIB,
        peak=use.resident + guests * MIB,
        pod_peak=use.resident + guests * MIB,
        processes=1,
    )


def report(
    *containers: ContainerEpc,
    node: str = "sgx-1",
    source: EpcSource = EpcSource.BPF,
    evicted: int = 0,
    reclaimer: float | None = 0.0,
) -> EpcReport:
    """A node of 8 GiB with these containers."""
    return EpcReport(
        node=node,
        moment="2026-11-30T03:00:00Z",
        source=source,
        total=8 << 30,
        free=4 << 30,
        use=held(sum(each.use.resident for each in containers) // MIB, evicted, enclaves=len(containers)),
        reclaimer_seconds=reclaimer,
        containers=containers,
    )
