"""Knows the pods that run, by a watch: where each is, its labels and what EPC it asks for, and nothing else of it."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from donjon.adapters.kubeapi.client import KubeApi, Listing
from donjon.adapters.metrics.metricsapi import MetricsApiMetrics
from donjon.errors import DonjonError
from donjon.formats.json import Json, JsonObject, at
from donjon.kube.objects import condition_of, labels_of, name_of, node_name_of, phase_of
from donjon.kube.reserved import epc_requests
from donjon.metricsapi.use import EARLY, PodSite
from donjon.runtime.trouble import Trouble

AGAIN = 5.0  # seconds until another try
MAX_PODS = 50_000  # that are known; more are unknown
MAX_LABELS = 4096  # characters of a pod's labels; one with more is unknown, since a selector could not tell
PATH = "/api/v1/pods"
RUNNING = "status.phase=Running"


class Pods:
    """The pods that run, by namespace and name."""

    def __init__(self, api: KubeApi, metrics: MetricsApiMetrics) -> None:
        self._api, self._metrics = api, metrics
        self._pods: dict[str, dict[str, PodSite]] = {}
        self._count = self._beyond = 0
        self._trouble = Trouble("pods")
        self.there = asyncio.Event()

    async def run(self) -> None:
        """Follow the pods again and again; while they cannot be followed, what was known of them stands."""
        while True:
            try:
                await self._follow()
            except DonjonError as error:
                self._trouble.report(error)
                await asyncio.sleep(AGAIN)

    def get(self, namespace: str, name: str) -> PodSite | None:
        """One pod; `None` where it is unknown."""
        return self._pods.get(namespace, {}).get(name)

    def of(self, namespace: str) -> Mapping[str, PodSite]:
        """The pods of a namespace by name."""
        return self._pods.get(namespace, {})

    async def _follow(self) -> None:
        async for change in self._api.follow(PATH, RUNNING, place, _beyond):
            if isinstance(change, Listing):
                self._pods, self._count, self._beyond = {}, 0, 0
                for each in change.items:
                    self._put(each)
            elif change.is_deleted:
                self._drop(change.item)
            else:
                self._put(change.item)
            self._metrics.tells_pods(self._count, self._beyond)
            self._trouble.clear()
            self.there.set()

    def _put(self, pod: PodSite) -> None:
        pods = self._pods.setdefault(pod.namespace, {})
        if pod.name not in pods:
            if self._count >= MAX_PODS:
                self._beyond += 1
                return
            self._count += 1
        pods[pod.name] = pod

    def _drop(self, pod: PodSite) -> None:
        pods = self._pods.get(pod.namespace, {})
        if pods.pop(pod.name, None) is not None:
            self._count -= 1
        if not pods:
            self._pods.pop(pod.namespace, None)


def place(pod: JsonObject) -> PodSite:
    """What is kept of a pod."""
    labels = {key: str(value) for key, value in labels_of(pod).items()}
    fits = sum(len(key) + len(value) for key, value in labels.items()) <= MAX_LABELS
    return PodSite(
        namespace=str(at(pod, "metadata", "namespace") or ""),
        name=name_of(pod),
        uid=str(at(pod, "metadata", "uid") or ""),
        node=node_name_of(pod),
        address=str(at(pod, "status", "podIP") or ""),
        labels=labels if fits else {},
        requests=dict(_requests(pod)),
        start=_moment(at(pod, "status", "startTime")),
        runs=phase_of(pod) == "Running" and at(pod, "metadata", "deletionTimestamp") is None and _was_ready(pod),
        has_labels=fits,
    )


def _beyond(pod: JsonObject) -> PodSite:
    """A pod that is too large to be read is unknown, but for that it runs: no other is followed."""
    metadata = at(pod, "metadata")
    names: JsonObject = metadata if isinstance(metadata, dict) else {}
    site = place({"metadata": {key: names.get(key) for key in ("name", "namespace", "uid")}})
    return replace(site, runs=True, has_labels=False)


def _requests(pod: JsonObject) -> Iterator[tuple[str, int]]:
    """Of those that stay: an init container asks for what the containers after it have, and not for more."""
    for request in epc_requests(pod):
        if request.epc and not request.init:
            yield request.container, request.epc


def _was_ready(pod: JsonObject) -> bool:
    """Whether it is ready, or was once: as the autoscaler tells for CPU (k8s.io/kubernetes, `replica_calculator.go`)."""
    condition = condition_of(pod, "Ready")
    if condition.get("status") == "True":
        return True
    start, since = _moment(at(pod, "status", "startTime")), _moment(condition.get("lastTransitionTime"))
    return start is not None and since is not None and since - start > EARLY


def _moment(text: Json) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
