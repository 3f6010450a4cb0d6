"""The policies on enclaves as the cluster has them now, where each holds, and what is amiss with one: told in its status.

A policy that cannot be read is in nobody's favour: while it enforces, it refuses whatever it may have been meant for.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from donjon.adapters.kubeapi.client import ApiRefusal, KubeApi, Listing, PatchType
from donjon.enclave.trust import EnclaveTrust, TrustMode
from donjon.enclave.trust_reading import read_policy
from donjon.enclave.trust_scope import EnclavePolicy, trusts_in
from donjon.errors import DonjonError, Malformed
from donjon.formats.json import Json, JsonObject, at, objects
from donjon.kube.names import CLUSTER_ENCLAVE_POLICY, ENCLAVE_POLICY, POLICY_GROUP, POLICY_VERSION
from donjon.kube.objects import condition_of, labels_of, name_of
from donjon.runtime.trouble import Trouble

NAMESPACES = "/api/v1/namespaces"
PLURALS = {ENCLAVE_POLICY: "enclavepolicies", CLUSTER_ENCLAVE_POLICY: "clusterenclavepolicies"}
READY = "Ready"
AGAIN = 5.0  # seconds until another try
MAX_MESSAGE = 2048  # characters of a status


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
        self._policies: dict[str, dict[str, EnclavePolicy | UnreadablePolicy]] = {kind: {} for kind in PLURALS}
        self._labels: dict[str, Mapping[str, str]] = {}
        self._is_listed = {kind: asyncio.Event() for kind in (*PLURALS, "Namespace")}
        self._troubles = {kind: Trouble(f"{kind} objects") for kind in self._is_listed}
        self._telling = Trouble("status of policies")

    @property
    def missing(self) -> tuple[str, ...]:
        """The kinds of objects that were not read yet; before that nobody can be judged."""
        return tuple(kind for kind, event in self._is_listed.items() if not event.is_set())

    def __len__(self) -> int:
        return sum(map(len, self._policies.values()))

    def rules(self, namespace: str) -> NamespaceRules:
        """What holds in a namespace."""
        labels = self._labels.get(namespace, {})
        every = [each for by_name in self._policies.values() for each in by_name.values()]
        readable = [each for each in every if isinstance(each, EnclavePolicy)]
        broken = [each for each in every if isinstance(each, UnreadablePolicy) and each.policy.holds_in(namespace, labels)]
        return NamespaceRules(
            trusts=trusts_in(readable, namespace, labels),
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
        async for change in self._api.follow(path, "", _trimmed):
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

    def _take_namespace(self, _: str, item: JsonObject | None, is_deleted: bool) -> None:  # noqa: FBT001
        if item is None:
            self._labels.clear()
        elif is_deleted:
            self._labels.pop(name_of(item), None)
        else:
            self._labels[name_of(item)] = {key: str(value) for key, value in labels_of(item).items()}

    def _take_policy(self, kind: str, item: JsonObject | None, is_deleted: bool) -> None:  # noqa: FBT001
        if item is None:
            self._policies[kind].clear()
        elif is_deleted:
            self._policies[kind].pop(_key(item), None)
        else:
            self._policies[kind][_key(item)] = _read(kind, item)

    async def _tell(self, kind: str, item: JsonObject) -> None:
        """Write what we make of a policy into its status, unless it stands there."""
        entry = self._policies[kind].get(_key(item))
        if entry is None:
            return
        status = _status(entry, item, self._moment())
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


def _key(item: JsonObject) -> str:
    return f"{at(item, 'metadata', 'namespace') or ''}/{name_of(item)}"


def _read(kind: str, item: JsonObject) -> EnclavePolicy | UnreadablePolicy:
    try:
        return read_policy({**item, "apiVersion": POLICY_VERSION, "kind": kind})
    except Malformed as error:
        mode = TrustMode.ENFORCE if at(item, "spec", "mode") == TrustMode.ENFORCE else TrustMode.WARN
        trust = EnclaveTrust(name=f"{kind} {_key(item).lstrip('/')}", mode=mode)
        namespace = str(at(item, "metadata", "namespace") or "")
        return UnreadablePolicy(policy=EnclavePolicy(name=name_of(item), namespace=namespace, trust=trust), error=error)


def _status(entry: EnclavePolicy | UnreadablePolicy, item: JsonObject, moment: datetime) -> JsonObject | None:
    """The status that the policy should have; `None` where it has it."""
    broken = isinstance(entry, UnreadablePolicy)
    generation = at(item, "metadata", "generation")
    word = "False" if broken else "True"
    reason = "Unreadable" if broken else "InForce"
    message = str(entry.error)[:MAX_MESSAGE] if isinstance(entry, UnreadablePolicy) else _in_force(entry)
    before = condition_of(item, READY)
    words: JsonObject = {"type": READY, "status": word, "reason": reason, "message": message}
    if {key: before.get(key) for key in words} == words and at(item, "status", "observedGeneration") == generation:
        return None
    since: Json = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    if before.get("status") == word and before.get("lastTransitionTime"):
        since = before["lastTransitionTime"]
    others: list[Json] = [each for each in objects(at(item, "status", "conditions")) if each.get("type") != READY]
    ready: JsonObject = {**words, "observedGeneration": generation, "lastTransitionTime": since}
    trust = None if isinstance(entry, UnreadablePolicy) else entry.trust
    numbers: JsonObject = {} if trust is None else {"signers": len(trust.signers), "measurements": len(trust.measurements)}
    return {"observedGeneration": generation, "conditions": [*others, ready], **numbers}


def _in_force(policy: EnclavePolicy) -> str:
    return "pods that it does not admit are refused" if policy.trust.enforces else "pods that it does not admit are warned about"
