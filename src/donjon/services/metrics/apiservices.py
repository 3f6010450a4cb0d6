"""The APIServices that lead to us: whom the API server trusts there, and metrics-server's own, taken over and given back."""

import asyncio
import logging
from typing import Protocol

from donjon.adapters.kubeapi.client import ApiRefusal
from donjon.adapters.logs import say
from donjon.adapters.metrics.metricsapi import MetricsApiMetrics
from donjon.errors import Unavailable
from donjon.formats.json import JsonObject, at, objects
from donjon.metricsapi.discovery import Group
from donjon.metricsapi.registrations import ServicePort, before_of, bundle_of, give_back, lead, leads_to, service_of, take_over
from donjon.runtime.trouble import Trouble

LOG = logging.getLogger(__name__)

SETTLE = 1.0  # seconds, in which the API server hears of it
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
PATH = "/apis/apiregistration.k8s.io/v1/apiservices"
_METRICS_SERVER = f"{PATH}/{Group.RESOURCE.registration}"


class ApiServices(Protocol):
    """The API server, as far as it is needed here."""

    async def get(self, path: str) -> JsonObject:
        """One object, or a list; raises `ApiRefusal`."""

    async def replace(self, path: str, body: JsonObject) -> JsonObject:
        """Write it, unless it was changed since it was read; raises `ApiRefusal`."""


class MetricsRegistration:
    """The APIServices of the groups that we serve."""

    def __init__(
        self, api: ApiServices, ours: ServicePort, theirs: ServicePort, groups: tuple[Group, ...], metrics: MetricsApiMetrics
    ) -> None:
        """`theirs` is the Service that is asked behind us: no API is taken over that leads to another."""
        self._api, self._ours, self._theirs, self._groups, self._metrics = api, ours, theirs, groups, metrics
        self._registrations: dict[Group, JsonObject] = {}
        self._trouble = Trouble("metrics-server's API")
        self.absence: Unavailable | None = None
        """Why metrics-server's API does not lead here, though it is to: there is none."""

    async def read(self) -> bytes:
        """The bundle that the API server has now for all of them; none where they differ in it, or one leads elsewhere."""
        there = {group: await self._get(group) for group in self._groups}
        self._registrations = {group: registration for group, registration in there.items() if registration is not None}
        for group in self._groups:
            self._metrics.tells_registration(group.registration, ours=self._is_ours(group))
        bundles = {bundle_of(each) for each in self._registrations.values()}
        return bundles.pop() if len(bundles) == 1 and all(map(self._is_ours, self._registrations)) else b""

    async def tell(self, bundle: bytes) -> None:
        """Have all of them lead here, with that bundle; metrics-server's own last, and only once somebody here answers."""
        for group in sorted(self._registrations, key=lambda each: each is Group.RESOURCE):
            registration = self._registrations[group]
            if self._is_ours(group):
                next_one = lead(registration, self._ours, bundle)
            elif group is Group.RESOURCE:
                self._check_is_theirs(registration)
                await self._check_answers()
                next_one = take_over(registration, self._ours, bundle)
                before = at(registration, "spec", "service")
                say(LOG, "metrics-server's API is taken over", level=logging.WARNING, before=before)
            else:
                raise Unavailable("DJ726", f"APIService {group.registration}: it is another server's")
            if next_one != registration:
                await self._api.replace(f"{PATH}/{group.registration}", next_one)

    def trust_before(self) -> JsonObject:
        """What metrics-server's own registration says, or said, of whom to trust: `caBundle`, `insecureSkipTLSVerify`."""
        registration = self._registrations.get(Group.RESOURCE, {})
        if self._is_ours(Group.RESOURCE):
            return before_of(registration)
        spec = registration.get("spec")
        return spec if isinstance(spec, dict) else {}

    def _is_ours(self, group: Group) -> bool:
        return leads_to(self._registrations.get(group, {}), self._ours)

    async def _get(self, group: Group) -> JsonObject | None:
        """The APIService; `None` for metrics-server's where it has none, which keeps the other APIs from nothing."""
        try:
            registration = await self._api.get(f"{PATH}/{group.registration}")
        except ApiRefusal as error:
            if not error.missing:
                raise
            hint = "is metrics-server installed?" if group is Group.RESOURCE else "the chart makes it"
            absence = Unavailable("DJ726", f"APIService {group.registration}: there is none; {hint}")
            if group is not Group.RESOURCE or len(self._groups) == 1:
                raise absence from error
            self.absence = absence
            self._trouble.report(absence)
            return None
        if group is Group.RESOURCE:
            self.absence = None
            self._trouble.clear()
        return registration

    def _check_is_theirs(self, registration: JsonObject) -> None:
        """Raises `Unavailable` DJ726 where nobody would answer behind us who did before."""
        there = service_of(registration)
        if there != self._theirs:
            what = f"it leads to {_name(there)}, expected metrics-server's Service, {_name(self._theirs)}"
            hint = "say which one it is (metricsApi.metricsServer)"
            raise Unavailable("DJ726", f"APIService {Group.RESOURCE.registration}: {what}; {hint}")

    async def _check_answers(self) -> None:
        """Raises `Unavailable` DJ726 while no replica of ours is ready to answer."""
        selector = f"kubernetes.io%2Fservice-name%3D{self._ours.name}"
        path = f"/apis/discovery.k8s.io/v1/namespaces/{self._ours.namespace}/endpointslices?labelSelector={selector}"
        parts = objects((await self._api.get(path)).get("items"))
        ends = [each for part in parts for each in objects(part.get("endpoints"))]
        if not any(at(each, "conditions", "ready") is True for each in ends):
            raise Unavailable("DJ726", f"Service {self._ours.name}: no replica is ready, so nothing is taken over yet")


def _name(service: ServicePort) -> str:
    return f"{service.namespace}/{service.name}:{service.port}"


class Release(ApiServices, Protocol):
    """The API server, as far as it is needed to give back."""

    async def delete(self, path: str) -> None:
        """Take an object away; raises `ApiRefusal`."""


async def release(api: Release, ours: ServicePort) -> str:
    """Have metrics-server's API lead to it again, as it did before it was taken over; says what was done.

    The right to take it over goes first: replicas that still run would use it at their next look.
    """
    try:
        await api.delete(f"{BINDINGS}/{ours.name}-registration")
        await asyncio.sleep(SETTLE)
    except ApiRefusal as error:
        if not error.missing:
            raise
    try:
        registration = await api.get(_METRICS_SERVER)
    except ApiRefusal as error:
        if error.missing:
            return "there is no such API: nothing to give back"
        raise
    if not leads_to(registration, ours):
        return "it does not lead to us: nothing to give back"
    before = await api.replace(_METRICS_SERVER, give_back(registration))
    return f"it leads to {at(before, 'spec', 'service', 'namespace')}/{at(before, 'spec', 'service', 'name')} again"
