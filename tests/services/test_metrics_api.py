"""The metrics server over real TLS, between an API server, metrics-server and a meter that say what the test wants."""

import asyncio
import base64
import json
import ssl
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from grpclib.client import Channel
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from tests.adapters.fakeapi import FakeApi, Request, api_server, http
from tests.adapters.https import CONTEXT, HOST, Client
from tests.pki.clientcerts import ClientAuthority, Issued
from tests.ports import free_port

from donjon.adapters import clock
from donjon.adapters.http.limits import Limits
from donjon.adapters.http.public import GuardedServer, Message
from donjon.adapters.keda.wire import externalscaler_pb2 as keda
from donjon.adapters.keda.wire.externalscaler_grpc import ExternalScalerStub
from donjon.adapters.kubeapi.client import KubeApi
from donjon.errors import Unavailable
from donjon.formats.json import JsonObject, at
from donjon.kube.epc_report import ContainerEpc, EpcReport, PodContainer, encode
from donjon.metricsapi.discovery import Group
from donjon.metricsapi.registrations import ServicePort
from donjon.runtime import certificates
from donjon.runtime.certificate_settings import SharedCertificate
from donjon.services.metrics import apiservices, frontproxy, meters, upstream
from donjon.services.metrics.apiservices import release
from donjon.services.metrics.run import Replica
from donjon.services.metrics.settings import MetricsSettings
from donjon.sgx.epc import EpcSource, EpcUse

MIB = 1 << 20
APIS = "/apis/apiregistration.k8s.io/v1/apiservices"
REGISTRATION = f"{APIS}/v1beta1.metrics.k8s.io"
SECRET = "/api/v1/namespaces/donjon/secrets/donjon-metrics-tls"  # noqa: S105 - the path of a Secret.
CONFIGURATION = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
PODS = "/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods"
FRONT, OTHERS = ClientAuthority("front"), ClientAuthority("others")
PROXY = FRONT.issue(common=("front-proxy",))
OURS = ServicePort(namespace="donjon", name="donjon-metrics")
ANNA = {"X-Remote-User": "anna", "X-Remote-Group": "devs"}

Story = Callable[["World"], Awaitable[None]]


@dataclass
class Upstream:
    """metrics-server, or a meter: what it answers, and what it was asked."""

    status: int = 200
    body: bytes = b"{}"
    rest: float = 0.0
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        del receive
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.requests.append((scope["path"], scope["query_string"].decode(), headers))
        await asyncio.sleep(self.rest)
        head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(self.body))]
        await send({"type": "http.response.start", "status": self.status, "headers": head})
        await send({"type": "http.response.body", "body": self.body})


@dataclass
class World:
    """Everything around the one replica."""

    api: FakeApi
    kube: KubeApi
    server: Upstream
    meter: Upstream
    port: int
    probes: int
    scaler: int
    upstream: int
    rights: list[JsonObject] = field(default_factory=list)

    async def ask(
        self,
        path: str,
        headers: dict[str, str] | None = None,
        certificate: Issued | None = PROXY,
        method: str = "GET",
        body: str = "",
    ) -> tuple[int, JsonObject]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        client = await Client.connected(self.port, context if certificate is None else certificate.shown_by(context))
        lines = "".join(f"{name}: {value}\r\n" for name, value in (ANNA if headers is None else headers).items())
        lines += f"Content-Length: {len(body)}\r\n" if body else ""
        await client.say(f"{method} {path} HTTP/1.1\r\nHost: m\r\n{lines}\r\n{body}".encode())
        status, said, _ = await client.answer()
        client.close()
        answer: JsonObject = json.loads(said)
        return status, answer

    async def epc(self) -> list[str | None]:
        """What is said of each container's EPC."""
        status, answer = await self.ask(PODS)
        assert status == 200, answer
        items: Any = answer["items"]
        return [each["usage"].get("sgx.intel.com/epc") for item in items for each in item["containers"]]


def report(resident: int, node: str = "n1", **more: Any) -> bytes:
    name = PodContainer(namespace="shop", pod="web-1", pod_uid="u1", container="app")
    use = EpcUse(resident=resident, existing=resident, evicted=0, enclaves=1)
    whole = EpcReport(
        node=node,
        moment=clock.now(),
        source=EpcSource.BPF,
        total=None,
        free=None,
        use=use,
        containers=(ContainerEpc(name=name, request=8 * MIB, use=use),),
    )
    return encode(replace(whole, **more))


def pod(name: str, namespace: str, node: str, labels: dict[str, str], ip: str = HOST) -> JsonObject:
    long_ago = f"{clock.moment() - timedelta(hours=1):%FT%TZ}"
    container: JsonObject = {"name": "app", "resources": {"requests": {"sgx.intel.com/epc": "8Mi"}}}
    return {
        "metadata": {"name": name, "namespace": namespace, "uid": "u1", "labels": {**labels}},
        "spec": {"nodeName": node, "containers": [container]},
        "status": {
            "phase": "Running",
            "podIP": ip,
            "startTime": long_ago,
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": long_ago}],
        },
    }


def objects(api: FakeApi, port: int) -> None:
    data: JsonObject = {
        "requestheader-client-ca-file": FRONT.pem.decode(),
        "requestheader-allowed-names": '["front-proxy"]',
        "requestheader-username-headers": '["X-Remote-User"]',
        "requestheader-group-headers": '["X-Remote-Group"]',
        "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
    }
    api.put(CONFIGURATION, {"metadata": {"name": "extension-apiserver-authentication"}, "data": data})
    api.put(SECRET, {"metadata": {"name": "donjon-metrics-tls"}})
    there: JsonObject = {"namespace": "kube-system", "name": "metrics-server", "port": port}
    spec: JsonObject = {"service": there, "insecureSkipTLSVerify": True}
    api.put(REGISTRATION, {"metadata": {"name": "v1beta1.metrics.k8s.io"}, "spec": spec | {"groupPriorityMinimum": 100}})
    for name in ("v1beta2.custom.metrics.k8s.io", "v1beta1.external.metrics.k8s.io"):
        own: JsonObject = {"service": {"namespace": "donjon", "name": "donjon-metrics", "port": 443}}
        api.put(f"{APIS}/{name}", {"metadata": {"name": name}, "spec": own})
    service: JsonObject = {"spec": {"clusterIP": HOST, "ports": [{"port": port}]}}
    api.put("/api/v1/namespaces/kube-system/services/metrics-server", service)
    ready: JsonObject = {"items": [{"endpoints": [{"conditions": {"ready": True}}]}]}
    api.put("/apis/discovery.k8s.io/v1/namespaces/donjon/endpointslices", ready)
    api.put("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/donjon-metrics-registration", {})
    api.put("/api/v1/pods/web-1", pod("web-1", "shop", "n1", {"app": "web"}))
    agent = {"app.kubernetes.io/name": "donjon", "app.kubernetes.io/component": "node"}
    api.put("/api/v1/pods/donjon-node-1", pod("donjon-node-1", "donjon", "n1", agent))


def metrics_of(*names: str) -> bytes:
    items = [
        {
            "metadata": {"name": name, "namespace": "shop"},
            "timestamp": "t",
            "window": "10s",
            "containers": [{"name": "app", "usage": {"cpu": "1m", "memory": "1Mi"}}],
        }
        for name in names
    ]
    return json.dumps({"kind": "PodMetricsList", "apiVersion": Group.RESOURCE.value, "metadata": {}, "items": items}).encode()


@asynccontextmanager
async def served(application: Upstream, context: ssl.SSLContext | None) -> AsyncIterator[int]:
    server = GuardedServer(application, None if context is None else lambda: context, host=HOST, port=0, limits=Limits())
    try:
        yield await server.start()
    finally:
        await server.close(0.1)


def metrics_settings(port: int, upstream: int, scaler: int) -> MetricsSettings:
    return MetricsSettings(
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
        scaler=(HOST, scaler),
        every=0.1,
        drain=0,
    )


@asynccontextmanager
async def world(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    server, meter = Upstream(body=metrics_of("web-1")), Upstream(body=report(4 * MIB))
    monkeypatch.setattr(certificates, "LOOK_EVERY", 0.1)
    monkeypatch.setattr(frontproxy, "LOOK_EVERY", 0.1)
    monkeypatch.setattr(apiservices, "SETTLE", 0.01)
    async with api_server() as api, served(server, CONTEXT) as upstream, served(meter, None) as meter_port:
        monkeypatch.setattr(meters, "METER_PORT", meter_port)
        objects(api, upstream)
        port, scaler = free_port(), free_port()
        settings = metrics_settings(port, upstream, scaler)
        kube = KubeApi(api.access(folder))
        here = World(api=api, kube=kube, server=server, meter=meter, port=port, probes=port + 1, scaler=scaler, upstream=upstream)
        api.answer = lambda request: answer(here, request)
        stopped = asyncio.Event()
        serving = asyncio.create_task(Replica(settings, kube).serve(stopped))
        try:
            await until(lambda: at(api.objects[REGISTRATION], "spec", "service", "name") == "donjon-metrics")
            await until_async(lambda: reachable(here))
            yield here
        finally:
            stopped.set()
            await asyncio.wait_for(serving, 10)
            await kube.close()


def answer(here: World, request: Request) -> bytes | None:
    """What a fake of objects does not say by itself."""
    if request.path.endswith("/subjectaccessreviews"):
        spec: JsonObject = json.loads(request.body)["spec"]
        here.rights.append(spec)
        return http(201, json.dumps({"status": {"allowed": spec["user"] != "eve"}}).encode())
    if request.path.endswith("/donjon-metrics-reader/token"):
        return http(201, b'{"status": {"token": "a-reader"}}')
    if request.method == "DELETE" and request.path in here.api.objects:
        del here.api.objects[request.path]
        return http(200, b"{}")
    return None


async def until(asked: Callable[[], object]) -> None:
    """Wait until it is so, some seconds at most."""

    async def answer() -> object:
        return asked()

    await until_async(answer)


async def until_async(asked: Callable[[], Awaitable[object]]) -> None:
    for _ in range(200):
        if await asked():
            return
        await asyncio.sleep(0.05)
    pytest.fail("not within ten seconds", pytrace=False)


async def reachable(here: World) -> bool:
    with suppress(OSError):
        return (await here.ask(PODS))[0] == 200
    return False


def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, story: Story) -> None:
    async def run() -> None:
        async with world(tmp_path, monkeypatch) as here:
            await story(here)

    asyncio.run(run())


def test_metrics_servers_answer_gets_the_epc_of_each_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(here: World) -> None:
        assert await here.epc() == [str(4 * MIB)]
        path, query, headers = here.server.requests[-1]
        assert (path, query, headers["authorization"]) == (PODS, "", "Bearer a-reader")
        await here.ask(f"{PODS}?labelSelector=app%3Dweb&fieldSelector=a%3Db&watch=false")
        assert here.server.requests[-1][1] == "labelSelector=app%3Dweb&fieldSelector=a%3Db"

    told(tmp_path, monkeypatch, story)


@pytest.mark.parametrize("method", ["DELETE", "POST", "PUT", "PATCH", "OPTIONS"])
def test_who_means_to_change_something_or_to_watch_hears_405(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    async def story(here: World) -> None:
        body = '{"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"Background"}'
        for answer in (await here.ask(PODS, method=method, body=body), await here.ask(f"{PODS}?watch=true")):
            assert (answer[0], answer[1]["reason"]) == (405, "MethodNotAllowed")
            assert "[DJ724]" in str(answer[1]["message"])
        assert (await here.ask(PODS, body=body))[0] == 200  # Some clients send one with everything.

    told(tmp_path, monkeypatch, story)


def test_what_stands_in_a_body_that_nobody_reads_is_no_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The API server sends the requests of all users over one connection, and says in headers of ours who asks."""

    async def story(here: World) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        client = await Client.connected(here.port, PROXY.shown_by(context))
        body = f"GET {PODS} HTTP/1.1\r\nHost: m\r\nX-Remote-User: admin\r\nX-Remote-Group: system:masters\r\n\r\n"
        for length, framed in (
            (f"Content-Length: {len(body)}", body),
            ("Transfer-Encoding: chunked", f"{len(body):x}\r\n{body}\r\n0\r\n\r\n"),
        ):
            await client.say(f"DELETE {PODS} HTTP/1.1\r\nHost: m\r\nX-Remote-User: anna\r\n{length}\r\n\r\n{framed}".encode())
            await client.say(f"GET {PODS} HTTP/1.1\r\nHost: m\r\nX-Remote-User: eve\r\n\r\n".encode())
            assert [(await client.answer())[0], (await client.answer())[0]] == [405, 403]
        client.close()

    told(tmp_path, monkeypatch, story)


def test_epc_is_in_the_list_that_metrics_server_has_in_place_of_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(here: World) -> None:
        table = "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io"
        status, answer = await here.ask(PODS, ANNA | {"Accept": f"{table},application/vnd.kubernetes.protobuf"})
        assert (status, here.server.requests[-1][2]["accept"]) == (200, "application/json")
        assert str(4 * MIB) in json.dumps(answer)

    told(tmp_path, monkeypatch, story)


def test_the_schema_is_metrics_servers_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(here: World) -> None:
        here.server.body = b'{"swagger":"2.0"}'
        kind = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
        aggregator = {"X-Remote-User": "system:aggregator", "X-Remote-Group": "system:masters", "Accept": kind}
        assert await here.ask("/openapi/v2", aggregator) == (200, {"swagger": "2.0"})
        assert (here.server.requests[-1][0], here.server.requests[-1][2]["accept"]) == ("/openapi/v2", kind)
        assert (await here.ask("/openapi/v2", {"X-Remote-User": "eve"}))[0] == 403
        listed = {f"apis/metrics.k8s.io{end}": {"serverRelativeURL": f"/openapi/v3/x{end}"} for end in ("", "/v1beta1")}
        here.server.body = json.dumps({"paths": listed | {"version": {}, "apis": {}, "apis/apps/v1": {}}}).encode()
        assert await here.ask("/openapi/v3", aggregator) == (200, {"paths": listed})
        here.server.body = b"[]"
        assert (await here.ask("/openapi/v3", aggregator))[0] == 503

    told(tmp_path, monkeypatch, story)


Refusal = tuple[Issued | None, dict[str, str], int, str]


@pytest.mark.parametrize(
    "refusal",
    [
        (None, ANNA, 401, "DJ721"),
        (FRONT.issue(common=("kubelet",)), ANNA, 401, "DJ721"),
        (PROXY, {}, 401, "DJ721"),
        (PROXY, {"X-Remote-User": "eve"}, 403, "DJ722"),
    ],
    ids=["no certificate", "a certificate of another name", "no user", "a user without the right"],
)
@pytest.mark.parametrize("path", [PODS, "/apis/custom.metrics.k8s.io/v1beta2", "/apis/metrics.k8s.io/v1beta1"])
def test_who_may_not_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: Refusal, path: str) -> None:
    async def story(here: World) -> None:
        certificate, headers, status, code = refusal
        before = len(here.server.requests)
        said, body = await here.ask(path, headers, certificate)
        assert (said, body["kind"], body["code"]) == (status, "Status", status)
        assert f"[{code}]" in str(body["message"])
        assert len(here.server.requests) == before

    told(tmp_path, monkeypatch, story)


def test_a_user_of_many_groups_is_answered_as_metrics_server_answers_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory may put a person into hundreds, and the API server names each in a header of its own."""
    groups = "\r\n".join(f"X-Remote-Group: {number:036}" for number in range(300))

    async def story(here: World) -> None:
        status, _ = await here.ask(PODS, {"X-Remote-User": f"anna\r\n{groups}"})
        assert status == 200
        assert 301 in {len(each["groups"]) for each in here.rights if isinstance(each["groups"], list)}

    told(tmp_path, monkeypatch, story)


def test_a_certificate_of_another_authority_ends_in_the_handshake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(here: World) -> None:
        with pytest.raises((OSError, asyncio.IncompleteReadError)):
            await here.ask(PODS, certificate=OTHERS.issue(common=("front-proxy",)))

    told(tmp_path, monkeypatch, story)


def test_when_the_api_server_has_another_authority_the_old_one_counts_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(here: World) -> None:
        configuration = here.api.objects[CONFIGURATION]
        data = {**configuration["data"], "requestheader-client-ca-file": OTHERS.pem.decode()}  # type: ignore[dict-item] # An object.
        here.api.put(CONFIGURATION, {**configuration, "data": data})
        new = OTHERS.issue(common=("front-proxy",))

        async def taken() -> bool:
            with suppress(OSError, asyncio.IncompleteReadError):
                return (await here.ask(PODS, certificate=new))[0] == 200
            return False

        await until_async(taken)
        with pytest.raises((OSError, asyncio.IncompleteReadError)):
            await here.ask(PODS)

    told(tmp_path, monkeypatch, story)


def test_a_right_is_asked_once_in_ten_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(here: World) -> None:
        here.rights.clear()
        bob = {"X-Remote-User": "bob"}
        for _ in range(3):
            assert (await here.ask(PODS, bob))[0] == 200
        (spec,) = here.rights
        assert spec["user"] == "bob"
        assert at(spec, "resourceAttributes", "namespace") == "shop"
        here.rights.clear()
        assert (await here.ask(PODS, {"X-Remote-User": "agg", "X-Remote-Group": "system:masters"}))[0] == 200
        assert here.rights == []

    told(tmp_path, monkeypatch, story)


@pytest.mark.parametrize(
    ("status", "body"),
    [(503, b'{"kind":"Status","message":"no metrics known","code":503}'), (404, b'{"kind":"Status","code":404}')],
)
def test_metrics_servers_error_is_handed_on_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, body: bytes
) -> None:
    async def story(here: World) -> None:
        here.server.status, here.server.body = status, body
        assert await here.ask(PODS) == (status, json.loads(body))

    told(tmp_path, monkeypatch, story)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"[" * 100_000,
        b"\xff",
        b'{"items":[[]' + b",[]" * 1_500_000 + b"]}",
        '{"items":[{"name":"\u0122"}]}'.encode("utf-16-le"),  # Of which every second byte is none of the text's.
    ],
)
def test_an_answer_of_metrics_server_that_is_none_is_an_error_and_no_zero(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    async def story(here: World) -> None:
        here.server.body = body
        status, said = await here.ask(PODS)
        assert status == 503
        assert "[DJ720]" in str(said["message"])

    told(tmp_path, monkeypatch, story)


def test_that_metrics_server_does_not_answer_is_logged_and_told_by_a_replica_that_is_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(upstream, "PATIENCE", 0.2)

    def ready(here: World) -> bytes:
        with urllib.request.urlopen(f"http://{HOST}:{here.probes}/readyz", timeout=5) as answer:
            text: bytes = answer.read()
        return text

    async def story(here: World) -> None:
        assert await asyncio.to_thread(ready, here) == b"ok\n"
        here.server.rest = 0.5
        for path in (PODS, PODS.replace("shop", "bank")):
            assert (await here.ask(path))[0] == 503
        words = b"ok: metrics-server gave no answer when it was last asked [DJ720]; the log says why\n"
        assert await asyncio.to_thread(ready, here) == words
        here.server.rest = 0
        assert (await here.ask(PODS))[0] == 200
        assert await asyncio.to_thread(ready, here) == b"ok\n"

    told(tmp_path, monkeypatch, story)
    lines = [each.getMessage() for each in caplog.records if each.getMessage().startswith("metrics-server: ")]
    assert lines == ["metrics-server: trying again", "metrics-server: works again"]


@pytest.mark.parametrize(
    ("more", "epc"),
    [
        (b"", 4 * MIB),
        (b"{}", 4 * MIB),
        (b"x" * (5 << 20), 4 * MIB),
        ({"node": "n2"}, 4 * MIB),
        ({"moment": "2020-01-01T00:00:00Z"}, None),
        ({"left_out": 1}, MIB),
        ({"left_out": 1, "containers": ()}, None),
    ],
    ids=["nothing", "no report", "five MiB", "another node's", "an old one", "others left out", "this one left out"],
)
def test_a_meter_that_lies_is_believed_in_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: bytes | dict[str, Any], epc: int | None
) -> None:
    """What it said before stands for a minute."""

    async def story(here: World) -> None:
        here.meter.body = more if isinstance(more, bytes) else report(MIB, **more)
        before = len(here.meter.requests)
        await until(lambda: len(here.meter.requests) >= before + 3)
        assert await here.epc() == [None if epc is None else str(epc)]

    told(tmp_path, monkeypatch, story)


def test_a_pod_that_is_made_anew_has_no_epc_of_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(here: World) -> None:
        new = pod("web-1", "shop", "n2", {"app": "web"})
        here.api.put("/api/v1/pods/web-1", new)
        await until_async(lambda: no_epc(here))

    told(tmp_path, monkeypatch, story)


async def no_epc(here: World) -> bool:
    return await here.epc() == [None]


def test_custom_and_external_metrics_tell_of_pods_by_their_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(here: World) -> None:
        custom = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop/pods/%2A/sgx_epc_utilization"
        external = "/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/sgx_epc_resident_bytes"
        for path, value in ((custom, "500m"), (external, str(4 * MIB))):
            for selector, values in (("", [value]), ("?labelSelector=app%3Dweb", [value]), ("?labelSelector=app%3Dx", [])):
                status, answer = await here.ask(path + selector)
                items: Any = answer["items"]
                assert (status, [each["value"] for each in items]) == (200, values)
            status, answer = await here.ask(f"{path}?labelSelector=%28")
            assert (status, "[DJ729]" in str(answer["message"])) == (400, True)
        assert (await here.ask(custom.replace("%2A", "web-1")))[0] == 200
        assert (await here.ask(custom.replace("%2A", "web-2")))[0] == 404
        assert (await here.ask("/apis"))[0] == 404
        assert (await here.ask(external, method="DELETE"))[0] == 405

    told(tmp_path, monkeypatch, story)


def test_metrics_servers_api_is_taken_over_and_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(here: World) -> None:
        spec = here.api.objects[REGISTRATION]["spec"]
        assert at(spec, "insecureSkipTLSVerify") is None
        assert b"BEGIN CERTIFICATE" in base64.b64decode(str(at(spec, "caBundle")))
        assert await release(here.kube, OURS) == "it leads to kube-system/metrics-server again"
        assert here.api.asked("DELETE", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/donjon-metrics-registration")
        back = here.api.objects[REGISTRATION]
        assert at(back, "spec") == {
            "service": {"namespace": "kube-system", "name": "metrics-server", "port": here.upstream},
            "insecureSkipTLSVerify": True,
            "groupPriorityMinimum": 100,
        }
        assert at(back, "metadata", "annotations") == {}

    told(tmp_path, monkeypatch, story)


@pytest.mark.parametrize(
    "service",
    [
        {"namespace": "kube-system", "name": "rke2-metrics-server", "port": 443},
        {"namespace": "monitoring", "name": "metrics-server"},
        {"namespace": "kube-system", "name": "metrics-server", "port": 4443},
        None,
    ],
)
def test_an_api_whose_server_would_not_be_asked_behind_us_is_not_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, service: JsonObject | None
) -> None:
    """CPU and memory would be lost to everybody: kubectl top, and the autoscalers there are."""

    async def story() -> None:
        async with api_server() as api:
            objects(api, 443)
            api.put(REGISTRATION, {"metadata": {"name": "v1beta1.metrics.k8s.io"}, "spec": {"service": service}})
            kube, settings = KubeApi(api.access(tmp_path)), metrics_settings(free_port(), 443, free_port())
            stopped = asyncio.Event()
            serving = asyncio.create_task(Replica(settings, kube).serve(stopped))
            expected = "expected metrics-server's Service, kube-system/metrics-server:443"
            await until(lambda: any(expected in str(vars(record)) for record in caplog.records))
            stopped.set()
            await asyncio.wait_for(serving, 10)
            await kube.close()
            assert at(api.objects[REGISTRATION], "spec", "service") == service
            assert not api.asked("PUT", REGISTRATION)
            assert at(api.objects[f"{APIS}/v1beta2.custom.metrics.k8s.io"], "spec", "caBundle")

    monkeypatch.setattr(certificates, "LOOK_EVERY", 0.1)
    caplog.set_level("INFO")
    asyncio.run(story())


def test_the_other_apis_are_served_where_metrics_server_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And its own is taken over as soon as it is."""

    async def story() -> None:
        async with api_server() as api:
            objects(api, 443)
            theirs = api.objects.pop(REGISTRATION)
            kube, settings = KubeApi(api.access(tmp_path)), metrics_settings(free_port(), 443, free_port())
            stopped, replica = asyncio.Event(), Replica(settings, kube)
            serving = asyncio.create_task(replica.serve(stopped))
            await until(lambda: replica._presented.trusted)
            assert at(api.objects[f"{APIS}/v1beta2.custom.metrics.k8s.io"], "spec", "caBundle")
            assert "is metrics-server installed? [DJ726]" in replica._caveat()
            assert "there is none" in str([vars(each) for each in caplog.records])
            api.put(REGISTRATION, theirs)
            await until(lambda: bool(at(api.objects[REGISTRATION], "spec", "caBundle")))
            assert "DJ726" not in replica._caveat()
            stopped.set()
            await asyncio.wait_for(serving, 10)
            await kube.close()

    monkeypatch.setattr(certificates, "LOOK_EVERY", 0.1)
    caplog.set_level("INFO")
    asyncio.run(story())


async def by_keda(here: World, metric: str = "sgx_epc_resident_bytes", selector: str = "app=web") -> float:
    """What KEDA is told that the pods of the namespace hold."""
    says = {"metric": metric, "target": "1Mi", "selector": selector, "scalerAddress": "donjon-metrics.donjon:9812"}
    reference = keda.ScaledObjectRef(name="web", namespace="shop", scalerMetadata=says)
    async with Channel(HOST, here.scaler) as channel:
        question = keda.GetMetricsRequest(scaledObjectRef=reference, metricName=metric)
        (value,) = (await ExternalScalerStub(channel).GetMetrics(question)).metricValues
        return float(value.metricValueFloat)


def test_keda_is_told_what_the_meters_say_and_nothing_when_they_say_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(here: World) -> None:
        assert await by_keda(here) == 4 * MIB
        assert await by_keda(here, "sgx_epc_utilization") == 0.5
        here.meter.body = report(6 * MIB)

        async def grown() -> bool:
            return await by_keda(here) == 6 * MIB

        await until_async(grown)
        here.meter.body = report(6 * MIB, moment=f"{clock.moment() - timedelta(minutes=5):%FT%TZ}")

        async def silent() -> bool:
            try:
                await by_keda(here)
            except GRPCError as error:
                return error.status is Status.UNAVAILABLE
            return False

        await until_async(silent)
        with pytest.raises(GRPCError, match=r"is not known of web-1.*DJ762"):
            await by_keda(here)
        with pytest.raises(GRPCError, match=r"no pod runs.*DJ762"):
            await by_keda(here, selector="app=none")
        with pytest.raises(GRPCError, match="DJ761"):
            await by_keda(here, metric="cpu")

    told(tmp_path, monkeypatch, story)


def test_a_replica_that_waits_for_an_api_names_the_code_of_why(tmp_path: Path) -> None:
    async def story() -> bytes:
        kube = KubeApi(FakeApi().access(tmp_path))
        replica = Replica(metrics_settings(1, 2, 3), kube)
        replica._presented.report(Unavailable("DJ726", "APIService v1beta1.metrics.k8s.io: there is none"))
        answer = replica._probes(asyncio.Event())["/readyz"]()
        await kube.close()
        return answer.body

    assert asyncio.run(story()) == b"not known yet: pods, meters, certificate [DJ726], front proxy; the log says why\n"
