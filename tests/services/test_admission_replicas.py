"""Two replicas on one registration, and a Secret that somebody deletes, makes again, damages or replaces, in any order.

Whoever serves is trusted by the API server all the while, nobody empties what is told, and when nothing happens any more, nobody
writes any more.
"""

import asyncio
import base64
import itertools
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from hypothesis import given, settings
from hypothesis import strategies as some
from tests.services.test_admission_certificates import (
    CONFIGURATION,
    DAY,
    EMPTY,
    SECRET,
    SHARED,
    Moment,
    configuration,
    foreign,
)

from donjon.adapters.kubeapi.client import ApiRefusal
from donjon.adapters.metrics.admission import AdmissionMetrics
from donjon.errors import DonjonError
from donjon.formats.json import JsonObject, at, objects
from donjon.runtime.certificates import PresentedCertificate, SharedLoop
from donjon.services.admission.registration import WebhookRegistration

ROUND = timedelta(seconds=5)


class Objects:
    """The two objects, without a network: who writes over what another wrote is refused."""

    def __init__(self) -> None:
        self.objects: dict[str, JsonObject] = {}
        self.writes = 0
        self._version = 0

    def put(self, path: str, item: JsonObject) -> JsonObject:
        self._version += 1
        metadata = item["metadata"]
        assert isinstance(metadata, dict)
        self.objects[path] = item | {"metadata": metadata | {"resourceVersion": str(self._version)}}
        return self.objects[path]

    async def get(self, path: str) -> JsonObject:
        if path not in self.objects:
            raise ApiRefusal(f"get {path}: 404", 404)
        return self.objects[path]

    async def replace(self, path: str, body: JsonObject) -> JsonObject:
        if at(await self.get(path), "metadata", "resourceVersion") != at(body, "metadata", "resourceVersion"):
            raise ApiRefusal(f"put {path}: 409", 409)
        self.writes += 1
        return self.put(path, body)


class Pair:
    """Two replicas, and what the API server trusts."""

    def __init__(self) -> None:
        self.server, self.moment = Objects(), Moment()
        self.server.put(CONFIGURATION, configuration())
        self.server.put(SECRET, EMPTY)
        self.replicas = [self.replica(), self.replica()]
        self.told = False

    def replica(self) -> tuple[SharedLoop, PresentedCertificate]:
        metrics = AdmissionMetrics("test")
        presented = PresentedCertificate(metrics, self.moment)
        registration = WebhookRegistration(self.server, "donjon")
        loop = SharedLoop(SHARED, presented, self.server, registration, metrics=metrics, clock=self.moment)
        return loop, presented

    def bundle(self) -> list[x509.Certificate]:
        """Whom the API server trusts."""
        (hook,) = objects(self.server.objects[CONFIGURATION]["webhooks"])
        text = base64.b64decode(str(at(hook, "clientConfig", "caBundle") or ""))
        return x509.load_pem_x509_certificates(text) if text else []

    async def look(self, number: int) -> None:
        """One look; whoever was trusted by what was in force before is trusted by what is in force now, too."""
        before, others = self.bundle(), [presented for _, presented in self.replicas if presented.trusted]
        with suppress(DonjonError):
            await self.replicas[number][0].look()
        now = self.bundle()
        for presented in others:
            assert trusted(presented, before), "who heard of a change a moment late still reaches everybody"
            assert trusted(presented, now)
        self.told = self.told or bool(now)
        assert bool(now) == self.told, "nobody empties it"
        assert all(trusted(presented, now) for _, presented in self.replicas if presented.trusted)

    async def rounds(self, count: int, order: tuple[int, ...] = (0, 1)) -> None:
        for _ in range(count):
            for number in order:
                await self.look(number)
            self.moment.now += ROUND

    def happen(self, event: str) -> None:
        """What somebody does."""
        garbage = base64.b64encode(b"garbage").decode()
        data: dict[str, Callable[[], JsonObject]] = {
            "emptied": dict,
            "damaged": lambda: {"tls.crt": garbage},
            "key of another": lambda: foreign(self.moment.now) | {"tls.key": foreign(self.moment.now)["tls.key"]},
            "another": lambda: foreign(self.moment.now),
            "one that has ended": lambda: foreign(self.moment.now - 2 * DAY, DAY),
        }
        match event:
            case "deleted":
                self.server.objects.pop(SECRET, None)
            case "first replaced" | "second replaced":
                self.replicas[event.startswith("second")] = self.replica()
            case "long ago":
                self.moment.now += timedelta(minutes=6)
            case _:
                self.server.put(SECRET, EMPTY | {"data": data[event]()})


EVENTS = (
    *("deleted", "first replaced", "second replaced", "emptied", "damaged"),
    *("key of another", "another", "one that has ended", "long ago"),
)


def trusted(presented: PresentedCertificate, bundle: list[x509.Certificate]) -> bool:
    """Whether a call reaches what serves there."""
    leaf = x509.load_pem_x509_certificate(presented._certificate)
    for authority in bundle:
        with suppress(InvalidSignature, ValueError, TypeError):
            leaf.verify_directly_issued_by(authority)
            return True
    return False


Story = list[tuple[str, list[int]]]


def told(story: Story) -> None:
    """Both begin; then each event, and the looks before the next one."""

    async def tell() -> None:
        here = Pair()
        await here.rounds(2)
        for event, looks in story:
            if event == "long ago":
                await here.rounds(2)  # Time does not pass without looks.
            here.happen(event)
            for number in looks:
                await here.look(number)
        await here.rounds(3)
        writes = here.server.writes
        await here.rounds(2, (1, 0))
        assert here.server.writes == writes, "they have come to rest"
        if SECRET in here.server.objects:
            assert all(presented.trusted for _, presented in here.replicas)
            assert len({presented._certificate for _, presented in here.replicas}) == 1

    asyncio.run(tell())


@settings(max_examples=30, deadline=None)
@given(some.lists(some.tuples(some.sampled_from(EVENTS), some.lists(some.integers(0, 1), max_size=4)), max_size=6))
def test_whatever_becomes_of_the_secret_whoever_serves_is_trusted_and_all_come_to_rest(story: Story) -> None:
    told(story)


def test_an_authority_that_has_ended_is_told_by_nobody() -> None:
    told([("one that has ended", [0]), ("deleted", [])])


def test_a_secret_that_is_deleted_and_one_or_both_replaced_in_any_order_and_made_again() -> None:
    for events in itertools.permutations(("deleted", "first replaced", "emptied")):
        for looks in ([], [0, 1], [1, 0, 1]):
            told([(event, looks) for event in events])
