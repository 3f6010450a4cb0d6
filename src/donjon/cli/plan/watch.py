"""`donjon plan --watch`: look again and again, say each step with its reason, and take it where that was asked for."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from donjon.cli.plan.sources import MAX_PODS, ClusterPicture
from donjon.cli.terminal import say, say_json_line
from donjon.errors import DonjonError, Malformed
from donjon.fleet.machines.catalogue import Sku
from donjon.fleet.pools.plan import Pool, Scaler
from donjon.fleet.scaling.look import decide
from donjon.fleet.scaling.membership import CloudPool, scale_pool
from donjon.fleet.scaling.record import PoolRecord, ScalingRules, ScalingStep, ScalingVerb, refuse
from donjon.fleet.scaling.world import ScalingScene
from donjon.fleet.scheduling.queue import waiting
from donjon.formats.json import JsonObject
from donjon.formats.words import recite

CONFLICT = "DJ844"
"""Somebody else is at it: that is over sooner than other refusals."""


class PoolSizes(Protocol):
    """The pools of one cluster at its cloud."""

    def look(self, pool: str) -> CloudPool:
        """What the cloud says of it; raises `Unavailable`."""

    def resize(self, pool: str, before: int, after: int) -> None:
        """Ask for another number of nodes, where it still is what was seen; raises `Unavailable`."""


@dataclass(slots=True)
class PoolWatch:
    """Looks at a cluster, and remembers what it said."""

    pools: tuple[Pool, ...]
    skus: Mapping[str, Sku]
    region: str
    picture: Callable[[], ClusterPicture]
    cloud: PoolSizes | None
    rules: ScalingRules
    as_json: bool
    records: Mapping[str, PoolRecord] = field(default_factory=dict)
    holds: frozenset[str] = frozenset()
    trouble: DonjonError | None = None  # why the last look was none

    def look(self, moment: datetime) -> tuple[ScalingStep, ...]:
        """One look; what cannot be read is said once, and nothing is proposed."""
        try:
            scene = self._scene()
        except DonjonError as error:  # Of any kind: a proxy's page in place of an answer, a login program that fails for a while.
            self._say_trouble(error, moment)
            return ()
        if self.trouble is not None:
            self.trouble = None
            self._say_words("reached again", moment)
        decision = decide(scene, self.records, moment, self.rules)
        self.records = decision.records
        self._say(decision.steps, moment)
        self._act(decision.steps, moment)
        return decision.steps

    def _scene(self) -> ScalingScene:
        picture = self.picture()
        if (number := len(waiting(picture.pods))) > MAX_PODS:
            raise Malformed("DJ931", f"{number} pods would have to be placed, and {MAX_PODS} are at a time")
        pools = tuple(
            scale_pool(
                each,
                self.skus.get(each.size),
                picture.nodes,
                picture.pods,
                cloud=self._size(each),
                region=self.region,
            )
            for each in self.pools
        )
        return ScalingScene(pools=pools, nodes=picture.nodes, pods=picture.pods)

    def _size(self, pool: Pool) -> CloudPool | None:
        if self.cloud is None:
            return None
        size = self.cloud.look(pool.name)
        if self.rules.acts and pool.scale is not None and pool.scale.by is not Scaler.DONJON:
            return CloudPool(size=size.size, trouble="the plan does not say scale: {by: donjon} of it")
        return size

    def _act(self, steps: tuple[ScalingStep, ...], moment: datetime) -> None:
        """Have the cloud take the steps; one that it refuses is remembered as refused."""
        if self.cloud is None or not self.rules.acts:
            return
        for step in steps:
            if step.verb is ScalingVerb.HOLD:
                continue
            try:
                self.cloud.resize(step.pool, step.before, step.after)
                self._say_words(f"{step.pool}: {step.after} nodes asked for", moment)
            except DonjonError as error:
                pause = self.rules.grow_pause if error.code == CONFLICT else self.rules.patience
                record = refuse(self.records[step.pool], step, recite(error.message), moment + pause)
                self.records = {**self.records, step.pool: record}
                self._say_words(f"{step.pool}: not done: {error}", moment)

    def _say(self, steps: tuple[ScalingStep, ...], moment: datetime) -> None:
        """Steps as they come; holds when they are new."""
        holds = frozenset(f"{each.pool}: {each.reason}" for each in steps if each.verb is ScalingVerb.HOLD)
        for each in steps:
            if each.verb is not ScalingVerb.HOLD or f"{each.pool}: {each.reason}" not in self.holds:
                self._say_step(each, moment)
        self.holds = holds

    def _say_step(self, step: ScalingStep, moment: datetime) -> None:
        if self.as_json:
            say_json_line(_document(step, moment))
        else:
            change = "" if step.verb is ScalingVerb.HOLD else f" {step.before} → {step.after}"
            where = f" {step.pool}" if step.pool else ""
            say(f"{moment:%Y-%m-%dT%H:%M:%SZ} {step.verb}{where}{change}: {step.reason}")

    def _say_trouble(self, error: DonjonError, moment: datetime) -> None:
        if str(error) != str(self.trouble):
            self._say_words(f"not looked: {error}", moment)
        self.trouble = error

    def _say_words(self, words: str, moment: datetime) -> None:
        if self.as_json:
            say_json_line({"time": f"{moment:%Y-%m-%dT%H:%M:%SZ}", "step": "note", "reason": words})
        else:
            say(f"{moment:%Y-%m-%dT%H:%M:%SZ} {words}")


def _document(step: ScalingStep, moment: datetime) -> JsonObject:
    return {
        "time": f"{moment:%Y-%m-%dT%H:%M:%SZ}",
        "step": str(step.verb),
        "pool": step.pool or None,
        "before": step.before,
        "after": step.after,
        "pods": [*step.pods],
        "reason": step.reason,
    }


def watch(here: PoolWatch, moment: Callable[[], datetime], pause: Callable[[float], None], every: float) -> None:
    """Look until somebody ends it."""
    with suppress(KeyboardInterrupt):
        while True:
            here.look(moment())
            pause(every)
