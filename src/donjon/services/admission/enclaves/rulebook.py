"""The policies on enclaves as the cluster has them now, where each holds, and what is amiss with one: told in its status.

A policy that cannot be read is in nobody's favour: while it enforces, it refuses whatever it may have been meant for.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

from donjon.adapters.kubeapi.client import ApiRefusal, KubeApi, Listing, PatchType
from donjon.adapters.kubeapi.stream import LARGEST
from donjon.enclave.trust import EnclaveTrust, TrustMode
from donjon.enclave.trust_reading import read_policy
from donjon.enclave.trust_scope import EnclavePolicy, NamespaceSelector, trusts_in
from donjon.errors import DonjonError, Malformed
from donjon.formats.json import JsonObject, at
from donjon.kube.names import CLUSTER_ENCLAVE_POLICY, ENCLAVE_POLICY, POLICY_GROUP, POLICY_VERSION
from donjon.kube.objects import labels_of, name_of
from donjon.runtime.trouble import Trouble
from donjon.services.admission.enclaves.reporting import status_of

NAMESPACES = "/api/v1/namespaces"
PLURALS = {ENCLAVE_POLICY: "enclavepolicies", CLUSTER_ENCLAVE_POLICY: "clusterenclavepolicies"}
AGAIN = 5.0  # seconds until another try
HEARD_WITHIN = 1.0  # seconds in which a namespace is heard of
MAX_OF_NAMESPACE = 64  # policies; each is asked of every image, and who may write policies in a namespace slows no other
BEYOND = "beyond"  # marks what is too large to be read


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadablePolicy:
    """A policy that says something that nobody understands."""

    policy: EnclavePolicy  # what is certain of it: its name, its namespace, and whether it enforces
    error: Malformed


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceRules:
    """What holds in one namespace."""

    trusts: tuple[EnclaveTrust, ...]
    unreadable: tuple[tuple[EnclaveTrust, Malformed], ...] = ()

    @property
    def enforces(self) -> bool:
        """Whether any policy there refuses."""
        return any(each.enforces for each in (*self.trusts, *(trust for trust, _ in self.unreadable)))

    @property
    def says_nothing(self) -> bool:
        """Whether no policy holds there."""
        return not self.trusts and not self.unreadable


class Rulebook:
    """All policies, and the labels of all namespaces."""

    def __init__(self, api: KubeApi, moment: Callable[[], datetime]) -> None:
        self._api, self._moment = api, moment
        self._policies: dict[str, dict[str, dict[str, EnclavePolicy | UnreadablePolicy]]] = {kind: {} for kind in PLURALS}
        self._surplus: dict[str, dict[str, dict[str, UnreadablePolicy]]] = {kind: {} for kind in PLURALS}
        self._labels: dict[str, Mapping[str, str]] = {}
        self._is_listed = {kind: asyncio.Event() for kind in (*PLURALS, "Namespace")}
        self._troubles = {kind: Trouble(f"{kind} objects") for kind in self._is_listed}
        self._telling = Trouble("status of policies")

    @property
    def missing(self) -> tuple[str, ...]:
        """The kinds of objects that were not read yet; before that nobody can be judged."""
        return tuple(kind for kind, event in self._is_listed.items() if not event.is_set())

    def __len__(self) -> int:
        policies = sum(len(by_name) for places in self._policies.values() for by_name in places.values())
        return policies + sum(len(by_name) for places in self._surplus.values() for by_name in places.values())

    async def rules(self, namespace: str) -> NamespaceRules:
        """What holds in a namespace; of one whose labels are not known, nor heard of soon, whatever may hold."""
        with suppress(TimeoutError):
            async with asyncio.timeout(HEARD_WITHIN):
                while namespace not in self._labels:  # noqa: ASYNC110 - it was made a moment ago, and the news is on its way.
                    await asyncio.sleep(HEARD_WITHIN / 50)
        labels = self._labels.get(namespace)
        every = [
            each
            for kind in PLURALS
            for place in ("", namespace)
            for each in (
                *self._policies[kind].get(place, {}).values(),
                *islice(self._surplus[kind].get(place, {}).values(), 1),
            )
        ]
        readable = [_anywhere(each, labels) for each in every if isinstance(each, EnclavePolicy)]
        broken = [each for each in every if isinstance(each, UnreadablePolicy) and each.policy.holds_in(namespace, labels or {})]
        return NamespaceRules(
            trusts=trusts_in(readable, namespace, labels or {}),
            unreadable=tuple((each.policy.trust, each.error) for each in broken),
        )

    async def run(self) -> None:
        """Follow policies and namespaces, for as long as the program runs."""
        following = (self._again(kind, f"/apis/{POLICY_VERSION}/{plural}", self._take_policy) for kind, plural in PLURALS.items())
        await asyncio.gather(*following, self._again("Namespace", NAMESPACES, self._take_namespace))

    async def _again(self, kind: str, path: str, take: Callable[[str, JsonObject | None, bool], None]) -> None:
        while True:
            try:
                await self._follow(kind, path, take)
            except DonjonError as error:
                self._troubles[kind].report(error)
                await asyncio.sleep(AGAIN)

    async def _follow(self, kind: str, path: str, take: Callable[[str, JsonObject | None, bool], None]) -> None:
        async for change in self._api.follow(path, "", _trimmed, _beyond):
            items = change.items if isinstance(change, Listing) else (change.item,)
            if isinstance(change, Listing):
                take(kind, None, True)
            for item in items:
                take(kind, item, not isinstance(change, Listing) and change.is_deleted)
            self._is_listed[kind].set()
            self._troubles[kind].clear()
            if kind in PLURALS:
                for item in items:
                    await self._tell(kind, item)

    def _take_namespace(self, _: str, item: JsonObject | None, is_deleted: bool) -> None:  # noqa: FBT001 - a callback.
        if item is None:
            self._labels.clear()
        elif is_deleted or BEYOND in item:
            self._labels.pop(name_of(item), None)
        else:
            self._labels[name_of(item)] = {key: str(value) for key, value in labels_of(item).items()}

    def _take_policy(self, kind: str, item: JsonObject | None, is_deleted: bool) -> None:  # noqa: FBT001 - a callback.
        if item is None:
            self._policies[kind].clear()
            self._surplus[kind].clear()
            return
        place, name = _namespace(item), name_of(item)
        self._drop(kind, place, name)
        if is_deleted:
            return
        if len(self._policies[kind].get(place, {})) < MAX_OF_NAMESPACE:
            self._policies[kind].setdefault(place, {})[name] = _read(kind, item)
        else:
            self._surplus[kind].setdefault(place, {})[name] = _too_many(kind, item)

    def _drop(self, kind: str, place: str, name: str) -> None:
        self._policies[kind].get(place, {}).pop(name, None)
        self._surplus[kind].get(place, {}).pop(name, None)
        for places in (self._policies[kind], self._surplus[kind]):
            if place in places and not places[place]:
                places.pop(place)

    async def _tell(self, kind: str, item: JsonObject) -> None:
        """Write what we make of a policy into its status, unless it stands there."""
        place, name = _namespace(item), name_of(item)
        surplus = self._surplus[kind].get(place, {}).get(name)
        entry = self._policies[kind].get(place, {}).get(name) if surplus is None else surplus
        if entry is None:
            return
        trust = entry.policy.trust if isinstance(entry, UnreadablePolicy) else entry.trust
        status = status_of(item, trust, entry.error if isinstance(entry, UnreadablePolicy) else None, self._moment())
        if status is None:
            return
        namespace = at(item, "metadata", "namespace")
        place = f"namespaces/{namespace}/{PLURALS[kind]}" if namespace else PLURALS[kind]
        path = f"/apis/{POLICY_VERSION}/{place}/{name_of(item)}/status"
        try:
            await self._api.patch(path, {"status": status}, PatchType.MERGE)
            self._telling.clear()
        except ApiRefusal as refusal:
            if not refusal.missing:
                self._telling.report(refusal)
        except DonjonError as error:
            self._telling.report(error)


def _trimmed(item: JsonObject) -> JsonObject:
    """What we look at; of a namespace nothing but its labels."""
    metadata = {key: at(item, "metadata", key) for key in ("name", "namespace", "labels", "generation")}
    trimmed: JsonObject = {key: value for key, value in metadata.items() if value is not None}
    of_policy: JsonObject = {
        key: item[key] for key in ("spec", "status") if str(item.get("apiVersion", "")).startswith(POLICY_GROUP) and key in item
    }
    return {"metadata": trimmed, **of_policy}


def _beyond(item: JsonObject) -> JsonObject:
    """What is known of an object that is too large to be read."""
    return {"metadata": item.get("metadata"), BEYOND: True}


def _anywhere(policy: EnclavePolicy, labels: Mapping[str, str] | None) -> EnclavePolicy:
    """The policy; one of the cluster as if it held everywhere, where a namespace's labels are not known."""
    return replace(policy, selector=NamespaceSelector()) if labels is None else policy


def _namespace(item: JsonObject) -> str:
    return str(at(item, "metadata", "namespace") or "")


def _read(kind: str, item: JsonObject) -> EnclavePolicy | UnreadablePolicy:
    try:
        return _policy(kind, item)
    except Malformed as error:
        warns = BEYOND not in item and at(item, "spec", "mode") != TrustMode.ENFORCE
        return _refusal(kind, item, error, TrustMode.WARN if warns else TrustMode.ENFORCE)


def _too_many(kind: str, item: JsonObject) -> UnreadablePolicy:
    where = f"namespace {_namespace(item)}" if _namespace(item) else "the cluster"
    words = f"{where} has more than {MAX_OF_NAMESPACE}, which are not read; delete some, then make this one again"
    error = Malformed("DJ365", f"{kind} {name_of(item)}: {words}")
    return _refusal(kind, item, error, TrustMode.ENFORCE)  # Whatever its mode: what another one of them says is not known.


def _refusal(kind: str, item: JsonObject, error: Malformed, mode: TrustMode) -> UnreadablePolicy:
    name = f"{_namespace(item)}/{name_of(item)}".lstrip("/")
    trust = EnclaveTrust(name=f"{kind} {name}", mode=mode)
    return UnreadablePolicy(policy=EnclavePolicy(name=name_of(item), namespace=_namespace(item), trust=trust), error=error)


def _policy(kind: str, item: JsonObject) -> EnclavePolicy:
    if BEYOND in item:
        raise Malformed("DJ365", f"{kind} {name_of(item)}: larger than {LARGEST >> 10} KiB with its annotations, and not read")
    return read_policy({**item, "apiVersion": POLICY_VERSION, "kind": kind})
