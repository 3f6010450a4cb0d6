"""A make-believe cluster for tests of scaling: pools whose cloud makes nodes slowly, and a scheduler that binds pods."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.fleet.scheduling import EPC, node

from donjon.fleet.pools.plan import PoolScale
from donjon.fleet.scaling.look import ScalingDecision, decide
from donjon.fleet.scaling.record import PoolRecord, ScalePool, ScalingRules, ScalingStep, ScalingVerb
from donjon.fleet.scaling.templates import NodeTemplate, after_node
from donjon.fleet.scaling.world import ScalingScene
from donjon.fleet.scheduling.queue import waiting
from donjon.fleet.scheduling.report import live
from donjon.fleet.scheduling.schedule import Scheduler
from donjon.formats.json import JsonObject
from donjon.kube.objects import labels_of, name_of, namespace_of

START = datetime(2026, 11, 30, 10, 0, tzinfo=UTC)
LABEL = "agentpool"


@dataclass(slots=True)
class Machine:
    """A node on its way: first its cloud alone knows it, then the cluster, then it is ready, then its EPC is offered."""

    node: Any
    made: datetime


@dataclass(slots=True)
class Cloud:
    """A cluster, of which only the clock's steps change anything."""

    pools: dict[str, tuple[int, int, int]]  # least, most, MiB of EPC of a node
    cpu: str = "4"
    stages: tuple[int, int, int] = (0, 0, 0)  # seconds until a node registers, is ready, offers EPC
    tells_size: bool = True
    rules: ScalingRules = field(default_factory=lambda: ScalingRules(acts=True))
    moment: datetime = START
    machines: list[Machine] = field(default_factory=list)
    pods: list[JsonObject] = field(default_factory=list)
    records: dict[str, PoolRecord] = field(default_factory=dict)
    steps: list[tuple[datetime, ScalingStep]] = field(default_factory=list)
    holds: list[str] = field(default_factory=list)
    costs: dict[str, Decimal] = field(default_factory=dict)
    made: int = 0

    def add(self, pool: str, number: int = 1, moment: datetime | None = None) -> None:
        """Machines of a pool."""
        for _ in range(number):
            self.made += 1
            epc = self.pools[pool][2]
            thing: Any = node(f"{pool}-{self.made}", epc, cpu=self.cpu, **{LABEL: pool})
            thing["metadata"]["creationTimestamp"] = (moment or START).isoformat()
            self.machines.append(Machine(thing, moment or START - timedelta(days=1)))

    def nodes(self, pool: str = "") -> list[JsonObject]:
        """As the API server has them now."""
        seen = [(self._seen(each), each.node["metadata"]["labels"][LABEL]) for each in self.machines]
        return [thing for thing, own in seen if thing is not None and pool in {"", own}]

    def _seen(self, machine: Machine) -> JsonObject | None:
        age = (self.moment - machine.made).total_seconds()
        registers, ready, offers = self.stages
        if age < registers:
            return None
        thing: dict[str, Any] = {**machine.node, "status": {**machine.node["status"]}}
        if age < ready:
            thing["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
            thing["spec"] = {"taints": [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]}
        if age < offers:
            thing["status"]["allocatable"] = {
                key: value for key, value in thing["status"]["allocatable"].items() if not key.startswith("sgx.")
            }
        return thing

    def size(self, pool: str) -> int:
        """How many machines its cloud has for it."""
        return sum(each.node["metadata"]["labels"][LABEL] == pool for each in self.machines)

    def scene(self) -> ScalingScene:
        """What a look sees."""
        nodes = self.nodes()
        pools = tuple(
            ScalePool(
                name=name,
                scale=PoolScale(least=least, most=most),
                nodes=self.nodes(name),
                template=after_node(self.nodes(name), self.pods) or self._model(name, epc),
                cost=self.costs.get(name),
                size=self.size(name) if self.tells_size else None,
            )
            for name, (least, most, epc) in self.pools.items()
        )
        return ScalingScene(pools=pools, nodes=tuple(nodes), pods=tuple(self.pods))

    def _model(self, name: str, epc: int) -> NodeTemplate:
        return NodeTemplate(node=node("", epc, cpu=self.cpu, **{LABEL: name}))

    def bind(self) -> None:
        """The scheduler's round."""
        nodes = Scheduler(self.nodes(), live(self.pods)).place(waiting(self.pods)).nodes
        names = [(each, nodes.get(f"{namespace_of(each)}/{name_of(each)}")) for each in self.pods]
        self.pods = [_at(each, name) if name else each for each, name in names]

    def look(self) -> ScalingDecision:
        """One look, whose steps are remembered."""
        decision = decide(self.scene(), self.records, self.moment, self.rules)
        self.records = dict(decision.records)
        self.steps += [(self.moment, each) for each in decision.steps if each.verb is not ScalingVerb.HOLD]
        self.holds = [f"{each.pool}: {each.reason}" for each in decision.steps if each.verb is ScalingVerb.HOLD]
        return decision

    def act(self, steps: Iterable[ScalingStep]) -> None:
        """What the cloud does about them; of a pool that shrinks, it takes the fullest node."""
        for step in steps:
            if step.verb is ScalingVerb.GROW:
                self.add(step.pool, step.after - self.size(step.pool), self.moment)
            elif step.verb is ScalingVerb.SHRINK:
                self._remove(step.pool)

    def _remove(self, pool: str) -> None:
        own = [each for each in self.machines if labels_of(each.node)[LABEL] == pool]
        worst = max(own, key=lambda each: sum(_node(pod) == name_of(each.node) for pod in self.pods))
        self.machines.remove(worst)
        self.pods = [_at(each, "") if _node(each) == name_of(worst.node) else each for each in self.pods]

    def go_on(self, seconds: int, every: int = 30, *, acts: bool = True) -> None:
        """So long, with a look after each round of the scheduler."""
        for _ in range(seconds // every):
            self.bind()
            decision = self.look()
            if acts:
                self.act(decision.steps)
            self.moment += timedelta(seconds=every)

    def pending(self) -> list[str]:
        """Who waits."""
        return [name_of(each) for each in waiting(self.pods)]


def _at(pod: Any, name: str) -> JsonObject:
    if name == _node(pod):
        return pod  # type: ignore[no-any-return] # It is one.
    spec = {key: value for key, value in pod["spec"].items() if key != "nodeName"}
    return {**pod, "spec": {**spec, **({"nodeName": name} if name else {})}}


def _node(pod: Any) -> str:
    return str(pod["spec"].get("nodeName", ""))


def made(pod: JsonObject, owner: str = "web") -> JsonObject:
    """The pod, belonging to a ReplicaSet that would make it anew."""
    metadata: Any = pod["metadata"]
    return {**pod, "metadata": {**metadata, "ownerReferences": [{"kind": "ReplicaSet", "name": owner}]}}


__all__ = ["EPC", "START", "Cloud", "made"]
