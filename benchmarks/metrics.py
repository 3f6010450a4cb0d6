"""P9: what the metrics APIs cost at 1,000 pods: beside an empty handler of the same server, and beside metrics-server.

Without a cluster, two processes: one serves (the replica as it runs in a pod, and beside it, on the same loop and with the same
TLS, a handler that answers two bytes), the other asks, over one connection, one question after the other, the two in turn. API
server, metrics-server and meter are the tests' fakes and answer from memory, in the process that asks: what metrics-server itself
takes is not in these figures. `--testbed` measures that: the same question to the API server before and after the take-over, with
the real metrics-server of a testbed that is up, and the pods that run there.
"""

import argparse
import asyncio
import json
import multiprocessing
import ssl
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.client import HTTPSConnection
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from testbed import demo
from testbed.layout import HOST_ADDRESS, here
from tests.adapters.fakeapi import FakeApi, Request, http
from tests.adapters.https import CONTEXT, HOST, Client
from tests.cluster import metrics_server
from tests.cluster.conftest import Cluster, Testbed
from tests.cluster.release import Release
from tests.ports import free_port
from tests.services.test_metrics_api import PROXY, Upstream, metrics_of, objects, pod, report, served

from benchmarks.processes import pause, processor_time
from donjon.adapters.http.public import GuardedServer
from donjon.adapters.kubeapi.client import KubeApi, ServerAccess
from donjon.adapters.logs import log_to_stderr
from donjon.kube.epc_report import ContainerEpc, PodContainer
from donjon.metricsapi.discovery import Group
from donjon.metricsapi.registrations import ServicePort
from donjon.runtime.certificate_settings import SharedCertificate
from donjon.services.metrics import meters
from donjon.services.metrics.application import LIMITS
from donjon.services.metrics.run import Replica
from donjon.services.metrics.settings import MetricsSettings
from donjon.sgx.epc import EpcUse

PODS, OF_AN_APPLICATION = 1000, 10
QUESTIONS, WARM = 1000, 100
GOAL_EMPTY, GOAL_THEIRS = 3.0, 1.5
NAMESPACED = "/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods"
CUSTOM = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop/pods/%2A/sgx_epc_utilization?labelSelector=app%3Da7"
EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/sgx_epc_resident_bytes?labelSelector=app%3Da7"
ASKED = {
    "custom metric, 10 pods of 1,000": CUSTOM,
    "external metric, 10 pods of 1,000": EXTERNAL,
    "Resource metric, 10 pods of 1,000": f"{NAMESPACED}?labelSelector=app%3Da7",
    "Resource metric, all 1,000 pods": NAMESPACED,
}
IN_THE_TESTBED = ("/apis/metrics.k8s.io/v1beta1/pods", "/apis/metrics.k8s.io/v1beta1/nodes")


def main() -> None:
    """Both, or what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--testbed", action="store_true")
    if parser.parse_args().testbed:
        _beside_theirs()
    else:
        asyncio.run(_beside_nothing())


async def _beside_nothing() -> None:
    with tempfile.TemporaryDirectory() as folder:
        api, server, meter = FakeApi(), _MetricsServer(), Upstream(body=_report())
        await api.start()
        async with served(server, CONTEXT) as upstream, served(meter, None) as meter_port:
            objects(api, upstream)
            _put_pods(api)
            api.answer = _say
            ports = free_port(), free_port()
            arguments = (api.access(Path(folder)), upstream, meter_port, *ports)
            process = multiprocessing.get_context("spawn").Process(target=_serve, args=arguments, daemon=True)
            process.start()
            try:
                await _until_there(ports[0])
                figures = await _measure(*ports)
                _print(figures, await _labour(process.pid or 0, *ports))
            finally:
                process.terminate()
                process.join()
        await api.stop()


class _MetricsServer(Upstream):
    """Answers about all pods, or about those of one application."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.body = _ALL if not scope["query_string"] else _SOME
        await super().__call__(scope, receive, send)


_ALL = metrics_of(*(f"web-{number}" for number in range(PODS)))
_SOME = metrics_of(*(f"web-{number}" for number in range(7, PODS, PODS // OF_AN_APPLICATION)))


def _report() -> bytes:
    use = EpcUse(resident=1 << 22, existing=1 << 22, evicted=0, enclaves=1)
    names = (PodContainer(namespace="shop", pod=f"web-{each}", pod_uid=f"u{each}", container="app") for each in range(PODS))
    return report(0, containers=tuple(ContainerEpc(name=name, request=1 << 23, use=use) for name in names))


def _put_pods(api: FakeApi) -> None:
    for number in range(PODS):
        one = pod(f"web-{number}", "shop", "n1", {"app": f"a{number % (PODS // OF_AN_APPLICATION)}"})
        metadata = one["metadata"]
        assert isinstance(metadata, dict)
        metadata["uid"] = f"u{number}"
        api.put(f"/api/v1/pods/web-{number}", one)


def _say(request: Request) -> bytes | None:
    if request.path.endswith("/subjectaccessreviews"):
        return http(201, b'{"status": {"allowed": true}}')
    if request.path.endswith("/token"):
        return http(201, b'{"status": {"token": "t"}}')
    return None


def _serve(access: ServerAccess, upstream: int, meter: int, port: int, empty: int) -> None:
    meters.METER_PORT = meter  # type: ignore[attr-defined] # Where that module has it from another.
    log_to_stderr("warning")
    settings = MetricsSettings(
        listen=(HOST, port),
        probes=(HOST, port + 1),
        certificate=SharedCertificate(
            namespace="donjon",
            secret="donjon-metrics-tls",  # noqa: S106 - the name of a Secret.
            names=("donjon-metrics.donjon.svc",),
            lifetime=timedelta(days=90),
        ),
        service="donjon-metrics",
        groups=tuple(Group),
        metrics_server=ServicePort(namespace="kube-system", name="metrics-server", port=upstream),
        reader="donjon-metrics-reader",
        scaler=None,
        every=10,
        drain=0,
    )
    asyncio.run(_serve_both(settings, access, empty))


async def _serve_both(settings: MetricsSettings, access: ServerAccess, empty: int) -> None:
    server = GuardedServer(Upstream(), lambda: CONTEXT, host=HOST, port=empty, limits=LIMITS)
    await server.start()
    await Replica(settings, KubeApi(access)).serve(asyncio.Event())


async def _until_there(port: int) -> None:
    for _ in range(300):
        try:
            client = await _connected(port)
            status, body, _ = await _ask(client, f"{NAMESPACED}?labelSelector=app%3Da7")
            client.close()
            if status == 200 and b"sgx.intel.com/epc" in body:
                return
        except (OSError, asyncio.IncompleteReadError):
            pass
        await asyncio.sleep(0.1)
    sys.exit("the replica does not answer with EPC")


async def _connected(port: int) -> Client:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return await Client.connected(port, PROXY.shown_by(context))


async def _ask(client: Client, path: str) -> tuple[int, bytes, bool]:
    await client.say(f"GET {path} HTTP/1.1\r\nHost: m\r\nX-Remote-User: hpa\r\n\r\n".encode())
    return await client.answer()


async def _measure(port: int, empty: int) -> dict[str, tuple[list[float], list[float]]]:
    ours, nothing = await _connected(port), await _connected(empty)
    figures: dict[str, tuple[list[float], list[float]]] = {}
    for what, path in ASKED.items():
        pair: tuple[list[float], list[float]] = ([], [])
        for number in range(WARM + QUESTIONS):
            for client, into in zip((ours, nothing), pair, strict=True):
                began = time.perf_counter()  # noqa: TID251 - this is what is measured.
                status, _, _ = await _ask(client, path)
                took = time.perf_counter() - began  # noqa: TID251 - this is what is measured.
                if status != 200:
                    sys.exit(f"{path}: {status}")
                if number >= WARM:
                    into.append(took * 1000)
        figures[what] = pair
    return figures


async def _labour(process: int, port: int, empty: int) -> dict[str, tuple[float, float]]:
    """Milliseconds of processor time that the server takes for one question: ours, and the empty handler's."""
    figures = {}
    for what, path in ASKED.items():
        each = []
        for where in (port, empty):
            client = await _connected(where)
            before = processor_time(process)
            for _ in range(QUESTIONS):
                await _ask(client, path)
            each.append((processor_time(process) - before) / QUESTIONS * 1000)
            client.close()
        figures[what] = (each[0], each[1])
    return figures


def _print(figures: dict[str, tuple[list[float], list[float]]], labour: dict[str, tuple[float, float]]) -> None:
    print(f"{'a question, ms':40}{'p50':>8}{'p99':>8}{'empty p50':>11}{'p99':>8}{'ratio of p99':>14}")
    for what, (ours, nothing) in figures.items():
        ratio = _p99(ours) / _p99(nothing)
        print(f"{what:40}{median(ours):8.2f}{_p99(ours):8.2f}{median(nothing):11.2f}{_p99(nothing):8.2f}{ratio:14.2f}")
    for what, (our_labour, its_labour) in labour.items():
        print(f"{what}: processor time, ms: {our_labour:.2f}, empty {its_labour:.2f}, ratio {our_labour / its_labour:.1f}")
    for what, (ours, nothing) in figures.items():
        ratio = _p99(ours) / _p99(nothing)
        print(f"goal: {what}, p99 of an empty handler's: at most {GOAL_EMPTY}: {ratio:.2f}: {_verdict(ratio, GOAL_EMPTY)}")


def _p99(times: list[float]) -> float:
    return quantiles(times, n=100)[98]


def _verdict(value: float, most: float) -> str:
    return "met" if value <= most else "MISSED"


def _beside_theirs() -> None:
    layout = here()
    own = Cluster(
        kubeconfig=layout.kubeconfig, program=str(layout.program("kubectl")), testbed=Testbed(layout=layout, found=None)
    )
    demo.install(layout)
    release = Release(cluster=own)
    own.apply(*metrics_server.objects(layout))
    own.kubectl("rollout", "status", "-n", "kube-system", "deployment/metrics-server", "--timeout=90s")
    try:
        with _proxy(own) as ask:
            theirs = {path: _times(ask, path) for path in IN_THE_TESTBED}
            release.upgrade("metricsApi.enabled=true", "metricsApi.resource=true", 'admission.mode="policies"')
            pause(10)  # until it is taken over
            ours = {path: _times(ask, path) for path in IN_THE_TESTBED}
            pods = len(json.loads(own.kubectl("get", "--raw", IN_THE_TESTBED[0]))["items"])
    finally:
        release.upgrade('admission.mode="policies"')
        metrics_server.remove(own)
    print(f"{pods} pods; ms at a client of the API server")
    for path in IN_THE_TESTBED:
        for name, statistic in (("p50", median), ("p99", _p99)):
            ratio = statistic(ours[path]) / statistic(theirs[path])
            print(f"{path} {name}: theirs {statistic(theirs[path]):.2f}, ours {statistic(ours[path]):.2f}, ratio {ratio:.2f}")
        ratio = median(ours[path]) / median(theirs[path])
        print(f"goal: {path}, of metrics-server's: at most {GOAL_THEIRS}: {ratio:.2f}: {_verdict(ratio, GOAL_THEIRS)}")


def _times(ask: Callable[[str], bytes], path: str) -> list[float]:
    times = []
    for number in range(WARM + QUESTIONS // 2):
        began = time.perf_counter()  # noqa: TID251 - this is what is measured.
        ask(path)
        if number >= WARM:
            times.append((time.perf_counter() - began) * 1000)  # noqa: TID251 - this is what is measured.
    return times


@contextmanager
def _proxy(own: Cluster) -> Iterator[Callable[[str], bytes]]:
    assert own.testbed is not None
    folder = own.testbed.layout.certificates
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    context.load_cert_chain(folder / "admin.crt", folder / "admin.key")
    connection = HTTPSConnection(HOST_ADDRESS, 6443, context=context)

    def ask(path: str) -> bytes:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            sys.exit(f"{path}: {answer.status} {body[:300]!r}")
        return body

    yield ask
    connection.close()


if __name__ == "__main__":
    main()
