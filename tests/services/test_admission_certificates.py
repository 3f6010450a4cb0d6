"""The webhook's certificate: shared by replicas through a Secret, told to the API server, renewed without a call that fails."""

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from tests.adapters.fakeapi import FakeApi, api_server, status
from tests.adapters.https import HOST, Client, trusting
from tests.admission.pods import FAQ, asking, pod
from tests.admission.test_review import question
from tests.ports import free_port

from donjon.adapters import clock
from donjon.adapters.http.public import GuardedServer
from donjon.adapters.keys import fresh
from donjon.adapters.kubeapi.client import KubeApi
from donjon.adapters.metrics.admission import AdmissionMetrics
from donjon.admission.settings import Settings
from donjon.errors import DonjonError
from donjon.formats.json import Json, JsonObject, at, objects
from donjon.pki.rotation import StoredCertificates
from donjon.pki.serving import issue
from donjon.runtime import certificates
from donjon.runtime.certificate_secret import as_secret_data
from donjon.runtime.certificate_settings import CertificateFolder, SharedCertificate
from donjon.runtime.certificates import FilesLoop, PresentedCertificate, SharedLoop
from donjon.services.admission import run
from donjon.services.admission.calls import LIMITS, WebhookCalls
from donjon.services.admission.registration import WebhookRegistration
from donjon.services.admission.settings import AdmissionSettings
from donjon.services.admission.webhook import Webhook

SECRET = "/api/v1/namespaces/donjon/secrets/donjon-webhook-tls"  # noqa: S105 - the path of a Secret.
CONFIGURATION = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/donjon"
DAY = timedelta(days=1)
SHARED = SharedCertificate(
    namespace="donjon",
    secret="donjon-webhook-tls",  # noqa: S106 - the name of a Secret.
    names=("donjon-webhook.donjon.svc", HOST),
    lifetime=90 * DAY,
)
ASKS = json.dumps(question(pod(asking({FAQ: 10})))).encode()


def configuration() -> JsonObject:
    service: JsonObject = {"name": "donjon-webhook", "namespace": "donjon", "path": "/mutate", "port": 443}
    hook: JsonObject = {"name": "pods.donjon.dev", "clientConfig": {"service": service}, "failurePolicy": "Ignore"}
    return {"metadata": {"name": "donjon", "labels": {"team": "x"}}, "webhooks": [hook]}


@dataclass
class Moment:
    """A clock that stands where the test puts it."""

    now: datetime = field(default_factory=clock.moment)

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Replica:
    """One replica: its loop, what it presents, and its server."""

    loop: SharedLoop
    presented: PresentedCertificate
    server: GuardedServer
    port: int = 0


@dataclass
class World:
    api: FakeApi
    moment: Moment
    replicas: list[Replica]

    @property
    def bundle(self) -> bytes:
        """Whom the API server trusts."""
        hooks = self.api.objects[CONFIGURATION]["webhooks"]
        assert isinstance(hooks, list)
        return base64.b64decode(str(at(hooks[0], "clientConfig", "caBundle") or ""))

    async def call(self, replica: Replica, bundle: bytes | None = None) -> None:
        """A call over a new connection, as the API server makes it with what it trusts; raises where it fails."""
        client = await Client.connected(replica.port, trusting(self.bundle if bundle is None else bundle))
        assert (await client.post(ASKS))[0] == 200
        client.close()

    async def look(self, *replicas: Replica) -> None:
        """One round of the replicas; who finds that another was first looks again."""
        for replica in replicas or self.replicas:
            try:
                await replica.loop.look()
            except DonjonError:
                await replica.loop.look()


@asynccontextmanager
async def world(folder: Path, secret: JsonObject, shared: SharedCertificate) -> AsyncIterator[World]:
    async with api_server() as server:
        server.put(CONFIGURATION, configuration())
        server.put(SECRET, secret)
        api, moment = KubeApi(server.access(folder)), Moment()
        replicas = []
        for _ in range(2):
            metrics = AdmissionMetrics("test")
            presented = PresentedCertificate(metrics, moment)
            loop = SharedLoop(shared, presented, api, WebhookRegistration(api, "donjon"), metrics=metrics, clock=moment)
            application = Webhook(Settings(), metrics, clock.monotonic)
            calls = WebhookCalls(application)
            https = GuardedServer(calls, presented.context, host=HOST, port=0, limits=LIMITS)
            replicas.append(Replica(loop, presented, https))
            replicas[-1].port = await https.start()
        try:
            yield World(server, moment, replicas)
        finally:
            for replica in replicas:
                await replica.server.close(0)
            await api.close()
            await asyncio.sleep(0.01)


def told(story: Callable[[World], Awaitable[None]], folder: Path, data: Json = None, lifetime: timedelta = 90 * DAY) -> None:
    async def tell() -> None:
        secret = EMPTY if data is None else EMPTY | {"data": data}
        async with world(folder, secret, replace(SHARED, lifetime=lifetime)) as here:
            async with asyncio.timeout(300):  # A machine may be slow; what hangs ends.
                await story(here)

    asyncio.run(tell())


EMPTY: JsonObject = {"metadata": {"name": "donjon-webhook-tls", "namespace": "donjon"}, "type": "Opaque"}


@pytest.mark.parametrize("data", [None, {}], ids=["without data", "empty data"])
def test_the_first_replica_makes_a_certificate_that_all_serve_and_the_api_server_trusts(tmp_path: Path, data: Json) -> None:
    async def story(here: World) -> None:
        await here.look()
        for replica in here.replicas:
            assert replica.presented.trusted
            await here.call(replica)
        left = configuration()
        assert at(here.api.objects[CONFIGURATION], "metadata", "labels") == at(left, "metadata", "labels")
        hooks = here.api.objects[CONFIGURATION]["webhooks"]
        assert isinstance(hooks, list)
        assert at(hooks[0], "clientConfig", "service", "path") == "/mutate"

    told(story, tmp_path, data)


def test_replicas_that_start_at_once_agree(tmp_path: Path) -> None:
    async def story(here: World) -> None:
        await asyncio.gather(*(replica.loop.look() for replica in here.replicas), return_exceptions=True)
        await here.look()
        for replica in here.replicas:
            await here.call(replica)
        assert len({replica.presented._certificate for replica in here.replicas}) == 1

    told(story, tmp_path)


def test_over_two_renewals_no_call_fails_whoever_is_late(tmp_path: Path) -> None:
    """At each moment when something happens, every replica is called with what the API server trusts then.

    The story is of minutes and not of months, since the calling side knows no clock but the machine's.
    """

    async def story(here: World) -> None:
        start, served = here.moment.now, set()
        await here.look()
        for number, seconds in enumerate(range(0, 35 * 60, 7)):
            here.moment.now = start + timedelta(seconds=seconds)
            for replica in here.replicas if number % 2 else here.replicas[::-1]:
                before = here.bundle, replica.presented._certificate
                await here.look(replica)
                served.add(replica.presented._certificate)
                if number % 6 == 0 or (here.bundle, replica.presented._certificate) != before:
                    for each in here.replicas:
                        await here.call(each)
                        await here.call(each, before[0] or None)
        assert len(served) == 3

    told(story, tmp_path, lifetime=timedelta(minutes=20))


def test_a_bundle_that_someone_changes_is_put_right(tmp_path: Path) -> None:
    async def story(here: World) -> None:
        await here.look()
        right = here.bundle
        for wrong in (None, "", "bm9uc2Vuc2U=", "no base64!", 7):
            changed = configuration()
            (hook,) = objects(changed["webhooks"])
            changed["webhooks"] = [hook | {"clientConfig": {"caBundle": wrong}}]
            here.api.put(CONFIGURATION, changed)
            await here.look(here.replicas[1])
            assert here.bundle == right

    told(story, tmp_path)


def damaged(data: JsonObject) -> list[Json]:
    garbage = base64.b64encode(b"garbage").decode()
    return [
        None,
        {},
        {"tls.crt": garbage},
        data | {"tls.key": garbage},
        data | {"tls.crt": "no base64!"},
        data | {"ca.crt": 7},
        data | {"old-ca.crt": base64.b64encode(b"x-----END CERTIFICATE-----").decode()},
        "text",
    ]


def test_a_secret_that_is_emptied_or_damaged_gets_its_certificate_back_and_no_call_fails(tmp_path: Path) -> None:
    async def story(here: World) -> None:
        await here.look()
        before = here.api.objects[SECRET]
        data = before["data"]
        assert isinstance(data, dict)
        for wrong in damaged(data):
            here.api.put(SECRET, before | {"data": wrong})
            await here.look()
            assert here.api.objects[SECRET]["data"] == data
            for replica in here.replicas:
                await here.call(replica)

    told(story, tmp_path)


def test_a_secret_that_is_deleted_is_asked_for_and_filled_again_when_somebody_makes_it(tmp_path: Path) -> None:
    async def story(here: World) -> None:
        await here.look()
        data = here.api.objects[SECRET]["data"]
        here.api.delete(SECRET)
        here.api.put(CONFIGURATION, configuration())
        for replica in here.replicas:
            with pytest.raises(DonjonError, match="it was deleted; `helm upgrade` puts it back"):
                await replica.loop.look()
            await here.call(replica)
        assert SECRET not in here.api.objects
        here.api.put(SECRET, EMPTY)
        await here.look()
        assert here.api.objects[SECRET]["data"] == data

    told(story, tmp_path)


def gone(here: World, replica: int) -> None:
    """A replica is replaced by one that knows nothing yet."""
    old = here.replicas[replica]
    presented = PresentedCertificate(AdmissionMetrics("test"), here.moment)
    api = old.loop._api
    metrics = AdmissionMetrics("test")
    loop = SharedLoop(SHARED, presented, api, WebhookRegistration(api, "donjon"), metrics=metrics, clock=here.moment)
    here.replicas[replica] = replace(old, loop=loop, presented=presented)


def test_without_the_secret_a_new_replica_takes_nothing_from_the_old_one_and_is_not_ready(tmp_path: Path) -> None:
    async def story(here: World) -> None:
        await here.look()
        right, old = here.bundle, here.replicas[1]
        here.api.delete(SECRET)
        gone(here, 0)
        here.api.requests.clear()
        for replica in here.replicas * 3:
            with pytest.raises(DonjonError, match="it was deleted"):
                await replica.loop.look()
            assert here.bundle == right
        assert {each.method for each in here.api.requests} == {"GET"}, "nobody writes, so nobody writes back"
        assert not here.replicas[0].presented.trusted
        assert not here.replicas[0].presented.there.is_set()
        await here.call(old)

    told(story, tmp_path)


def test_without_the_secret_nobody_empties_what_replicas_that_are_gone_had_told(tmp_path: Path) -> None:
    async def story(here: World) -> None:
        await here.look()
        right = here.bundle
        here.api.delete(SECRET)
        for number in (0, 1):
            gone(here, number)
        for replica in here.replicas * 2:
            with pytest.raises(DonjonError, match="it was deleted"):
                await replica.loop.look()
        assert here.bundle == right
        assert not any(each.presented.trusted for each in here.replicas)
        here.api.put(SECRET, EMPTY)
        await here.look()
        assert all(each.presented.trusted for each in here.replicas)

    told(story, tmp_path)


def test_replicas_change_over_to_another_authority_without_a_call_that_fails_and_forget_the_old_one(tmp_path: Path) -> None:
    """The Secret comes back with a certificate that none of them made; one is late."""

    async def story(here: World) -> None:
        await here.look()
        old = here.bundle
        here.api.put(SECRET, EMPTY | {"data": foreign(here.moment.now)})
        for number in (0, 0, 0, 1, 1, 1):
            before = here.bundle
            await here.look(here.replicas[number])
            for each in here.replicas:
                await here.call(each)
                await here.call(each, before)
        assert len({each.presented._certificate for each in here.replicas}) == 1
        assert old in here.bundle
        here.moment.now += timedelta(minutes=6)
        await here.look()
        assert here.bundle.count(b"BEGIN") == 1
        assert old not in here.bundle
        for each in here.replicas:
            await here.call(each)

    told(story, tmp_path)


def foreign(moment: datetime, lifetime: timedelta = 90 * DAY) -> JsonObject:
    """The data of a whole Secret with a certificate that no replica knows."""
    made = issue(SHARED.names, fresh(), moment, lifetime)
    return as_secret_data(StoredCertificates(present=made))


def test_somebody_else_who_empties_the_bundle_again_and_again_costs_a_line_a_minute(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(here: World) -> None:
        caplog.set_level("INFO", "donjon")
        await here.look()
        await here.look()
        right = here.bundle
        caplog.clear()
        for _ in range(20):
            here.api.put(CONFIGURATION, configuration())
            await here.look(here.replicas[0])
            assert here.bundle == right
        assert [at(record.__dict__, "fields", "code") for record in caplog.records] == ["DJ175"]

    told(story, tmp_path)


def test_a_damaged_secret_found_at_start_is_replaced(tmp_path: Path) -> None:
    async def story(here: World) -> None:
        await here.look()
        for replica in here.replicas:
            await here.call(replica)

    told(story, tmp_path, {"tls.crt": "Z2FyYmFnZQ=="})


def test_while_the_api_server_is_away_the_webhook_serves_what_it_has(tmp_path: Path) -> None:
    async def story(here: World) -> None:
        await here.look()
        here.api.answer = lambda _: status(503, "away")
        with pytest.raises(DonjonError):
            await here.replicas[0].loop.look()
        await here.call(here.replicas[0])

    told(story, tmp_path)


async def answered(port: int, path: str = "/readyz") -> bytes:
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: w\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer


async def probed(port: int) -> int:
    return int((await answered(port)).split(b" ")[1])


async def ready(port: int) -> bool:
    try:
        return await probed(port) == 200
    except OSError:
        return False


async def until(asked: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not await asked():  # noqa: ASYNC110 - another process would have no event to wait for either.
            await asyncio.sleep(0.05)


def test_the_service_rotates_under_load_and_stops_without_a_call_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Certificates of 30 seconds, two replicas, calls over old and new connections all the while, then a stop under calls."""
    quick = replace(SHARED, lifetime=timedelta(seconds=30))
    monkeypatch.setattr(run, "LAST_ANSWERS", 2.0)

    async def story(here: World) -> None:
        stops = [asyncio.Event(), asyncio.Event()]
        ports = [(free_port(), free_port()), (free_port(), free_port())]
        api = KubeApi(here.api.access(tmp_path))
        running = []
        for (listen, probes), stop in zip(ports, stops, strict=True):
            settings = AdmissionSettings(listen=(HOST, listen), probes=(HOST, probes), certificate=quick, drain=0.5)
            running.append(asyncio.create_task(run.serve(settings, api, stop)))
        for _, probe in ports:
            await until(partial(ready, probe))
        bundles: set[bytes] = set()
        going = True
        calls = 0

        async def load(port: int, *, kept: bool) -> None:
            nonlocal calls
            client: Client | None = None
            while going:
                bundles.add(here.bundle)
                client = client or await Client.connected(port, trusting(here.bundle))
                said, _, stays = await client.post(ASKS)
                assert said == 200
                calls += 1
                if not (stays and kept):
                    client.close()
                    client = None
                await asyncio.sleep(0.1)
            if client is not None:
                client.close()

        loads = [asyncio.create_task(load(listen, kept=kept)) for listen, _ in ports for kept in (True, False)]

        async def enough() -> bool:
            return calls > 300 and len(bundles) >= 3  # Before, of two authorities, and after.

        await until(enough, 120)
        going = False
        await asyncio.gather(*loads)
        going = True
        last = asyncio.create_task(load(ports[0][0], kept=True))
        await asyncio.sleep(0.2)
        stops[0].set()
        await asyncio.sleep(0.2)
        assert await probed(ports[0][1]) == 503, "first of all, not ready"
        going = False
        await last
        stops[1].set()
        await asyncio.wait_for(asyncio.gather(*running), 5)
        await api.close()

    told(story, tmp_path)


TROUBLE = b'donjon_admission_certificate_trouble{code="DJ147"} 1.0'


def test_without_the_secret_readiness_and_metrics_of_old_and_new_replicas_tell_it(tmp_path: Path) -> None:
    async def story(here: World) -> None:
        api, stop, ports = KubeApi(here.api.access(tmp_path)), asyncio.Event(), [free_port() for _ in range(4)]

        def start(which: int) -> asyncio.Task[None]:
            listen, probes = (HOST, ports[which]), (HOST, ports[which + 1])
            settings = AdmissionSettings(listen=listen, probes=probes, certificate=SHARED, drain=0)
            return asyncio.create_task(run.serve(settings, api, stop))

        async def tells(port: int, path: str, words: bytes) -> bool:
            try:
                return words in await answered(port, path)
            except OSError:
                return False

        running = [start(0)]
        await until(partial(tells, ports[1], "/readyz", b"\r\n\r\nok\n"))
        data = here.api.objects[SECRET]["data"]
        here.api.delete(SECRET)
        await until(partial(tells, ports[1], "/readyz", b"ok: its certificate cannot be looked after [DJ147]"))
        running.append(start(2))
        await until(partial(tells, ports[3], "/readyz", b"no certificate yet that the API server trusts [DJ147]"))
        assert await probed(ports[3]) == 503
        for port in (ports[1], ports[3]):
            assert TROUBLE in await answered(port, "/metrics")
        here.api.put(SECRET, EMPTY | {"data": data})
        for port in (ports[1], ports[3]):
            await until(partial(tells, port, "/readyz", b"\r\n\r\nok\n"), 30)
            assert TROUBLE not in await answered(port, "/metrics")
        stop.set()
        await asyncio.wait_for(asyncio.gather(*running), 10)
        await api.close()

    told(story, tmp_path)


def test_a_certificate_in_files_is_taken_up_when_it_changes(tmp_path: Path) -> None:
    async def story(here: World) -> None:
        del here
        presented = PresentedCertificate(AdmissionMetrics("test"), clock.moment)
        loop = FilesLoop(CertificateFolder(folder=tmp_path), presented)
        with pytest.raises(DonjonError, match="No such file"):
            loop.look()
        contexts: list[ssl.SSLContext] = []
        for serial in (1, 2):
            made = certificate_of(serial)
            (tmp_path / "tls.crt").write_bytes(made[0])
            (tmp_path / "tls.key").write_bytes(made[1])
            loop.look()
            loop.look()
            contexts.append(presented.context())
        assert contexts[0] is not contexts[1]
        (tmp_path / "tls.crt").write_bytes(b"garbage")
        with pytest.raises(DonjonError, match="expected one in PEM"):
            loop.look()
        assert presented.context() is contexts[1]

    told(story, tmp_path)


def certificate_of(serial: int) -> tuple[bytes, bytes]:
    from tests.adapters.https import certificate  # noqa: PLC0415 - used here alone.

    made = certificate(serial)
    return made.certificate, made.key


def test_the_pace_that_is_promised() -> None:
    assert certificates.LOOK_EVERY == 5.0
    assert timedelta(days=90) == SHARED.lifetime
