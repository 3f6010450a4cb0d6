"""What is remembered of a pool from one look to the next: the size it is to have, and since when."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from donjon.fleet.pools.plan import PoolScale
from donjon.fleet.scaling.templates import NodeTemplate, is_whole
from donjon.formats.json import JsonObject, at
from donjon.kube.objects import name_of
from donjon.kube.reserved import epc_offered


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingRules:
    """How patient to be."""

    patience: timedelta = timedelta(minutes=10)  # until nodes that were asked for are there, and whole
    grow_pause: timedelta = timedelta(minutes=1)  # between two growths of a pool
    shrink_after: timedelta = timedelta(minutes=10)  # that a node could have gone, and since any step
    shrinks: bool = True
    acts: bool = False  # steps are carried out at once, and not only said


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalePool:
    """A pool at one moment."""

    name: str
    scale: PoolScale
    nodes: Sequence[JsonObject]
    template: NodeTemplate | None  # what a new node would be like, where that is known
    cost: Decimal | None = None  # of one node
    size: int | None = None  # the number of nodes that its cloud says, where it was asked
    trouble: str = ""  # why its cloud takes no step for it now

    @property
    def there(self) -> int:
        """How many nodes it has, those that its cloud makes now included where it was asked."""
        return len(self.nodes) if self.size is None else self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRecord:
    """Of one pool."""

    size: int  # that it is to have, by the last step
    there: int  # that it had at the last look
    since: datetime  # when `size` was first so
    growth: datetime | None = None  # the last
    spare: datetime | None = None  # since when a node could go
    refusal: str = ""  # of the last step, by its cloud
    pause_until: datetime | None = None  # after a refusal


class ScalingVerb(StrEnum):
    """What to do with a pool."""

    GROW = "grow"
    SHRINK = "shrink"
    HOLD = "hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingStep:
    """One thing to do, or not to do yet, and why; a hold may be about pods that are no pool's."""

    verb: ScalingVerb
    pool: str
    before: int
    after: int
    pods: tuple[str, ...]  # by namespace/name
    reason: str


def observe(pool: ScalePool, record: PoolRecord | None, moment: datetime, rules: ScalingRules) -> PoolRecord:
    """What is remembered after one look more. A step stays open while the pool moves towards it, or does not move at all."""
    if record is None:
        return PoolRecord(size=pool.there, there=pool.there, since=moment)
    record = _before(record, moment, rules)
    if pool.there == record.there:
        is_stale = rules.acts and record.size != pool.there and moment - record.since > rules.patience
        return replace(record, size=pool.there, since=moment) if is_stale else record
    on_its_way = record.there < pool.there < record.size or record.size < pool.there < record.there
    size = record.size if on_its_way else pool.there
    return replace(record, size=size, there=pool.there, since=record.since if size == record.size else moment)


def _before(record: PoolRecord, moment: datetime, rules: ScalingRules) -> PoolRecord:
    """The same with no time after now: a clock that was set back is not waited for."""
    return replace(
        record,
        since=min(record.since, moment),
        growth=record.growth and min(record.growth, moment),
        spare=record.spare and min(record.spare, moment),
        pause_until=record.pause_until and min(record.pause_until, moment + rules.patience),
    )


def refuse(record: PoolRecord, step: ScalingStep, words: str, pause_until: datetime) -> PoolRecord:
    """The same, where the pool's cloud did not take the step."""
    return replace(record, size=step.before, growth=None, refusal=words, pause_until=pause_until)


def is_young(node: JsonObject, moment: datetime, rules: ScalingRules) -> bool:
    """Whether a node that is not whole may still become so."""
    birth = _birth(node)
    return birth is not None and moment - birth <= rules.patience


def is_older(thing: JsonObject, moment: datetime) -> bool:
    """Whether it was there before; a thing that does not say since when was not."""
    birth = _birth(thing)
    return birth is not None and birth < moment


def _birth(thing: JsonObject) -> datetime | None:
    try:
        birth = datetime.fromisoformat(str(at(thing, "metadata", "creationTimestamp")))
    except ValueError:
        return None
    return birth if birth.tzinfo is not None else None


def absent(pool: ScalePool, record: PoolRecord) -> int:
    """Nodes that it is to have and that are not there."""
    return max(record.size - len(pool.nodes), 0)


def is_late(pool: ScalePool, record: PoolRecord, moment: datetime, rules: ScalingRules) -> bool:
    """Whether nodes of it should be there by now."""
    return absent(pool, record) > 0 and moment - record.since > rules.patience


def unfinished(pool: ScalePool, moment: datetime, rules: ScalingRules) -> tuple[str, ...]:
    """The names of its nodes that are there, and still become what they are to be."""
    return tuple(name_of(each) for each in pool.nodes if not is_whole(each, pool.template) and is_young(each, moment, rules))


def barren(pool: ScalePool, moment: datetime, rules: ScalingRules) -> str:
    """The name of its newest node where that should offer EPC by now and offers none: another like it would not, either."""
    births = [(birth, each) for each in pool.nodes if (birth := _birth(each)) is not None]
    newest = max(births, key=lambda pair: pair[0], default=None)
    if newest is None or pool.template is None or not pool.template.epc:
        return ""
    return "" if epc_offered(newest[1]) or is_young(newest[1], moment, rules) else name_of(newest[1])
