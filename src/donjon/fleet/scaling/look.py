"""One look at the cluster: the steps to take now, those that wait, and a reason for each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from donjon.fleet.scaling import reasons
from donjon.fleet.scaling.growth import PoolRoom, grow
from donjon.fleet.scaling.record import (
    PoolRecord,
    ScalePool,
    ScalingRules,
    ScalingStep,
    ScalingVerb,
    absent,
    barren,
    is_late,
    observe,
    unfinished,
)
from donjon.fleet.scaling.surplus import is_spare, stubborn
from donjon.fleet.scaling.world import ScalingScene, ScalingWorld, world_of
from donjon.fleet.scheduling.outlook import Outlook, Prospect
from donjon.fleet.scheduling.queue import waiting
from donjon.formats.json import JsonObject
from donjon.kube.names import EPC
from donjon.kube.objects import name_of, namespace_of
from donjon.kube.reserved import pod_requests

GROWS_FIRST = "it grows for others first"


@dataclass(slots=True)
class _ScalingLook:
    """What one look knows; records change as steps are decided."""

    pools: Sequence[ScalePool]
    records: dict[str, PoolRecord]
    world: ScalingWorld
    outlook: Outlook
    rules: ScalingRules
    moment: datetime
    steps: list[ScalingStep] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingDecision:
    """Steps, then holds; and what is to be remembered for the next look."""

    steps: tuple[ScalingStep, ...]
    records: Mapping[str, PoolRecord]


def decide(scene: ScalingScene, records: Mapping[str, PoolRecord], moment: datetime, rules: ScalingRules) -> ScalingDecision:
    """What to do at this moment; `records` are those of the look before, empty at the first."""
    memory = {each.name: observe(each, records.get(each.name), moment, rules) for each in scene.pools}
    memory = memory if _asks(scene.pods) else {name: _withdraw(each) for name, each in memory.items()}
    world = world_of(scene, memory, moment, rules)
    look = _ScalingLook(scene.pools, memory, world, world.outlook(), rules, moment)
    _grow(look, _needs(look))
    if not any(each.verb is ScalingVerb.GROW for each in look.steps) and not reasons.unread(world, look.outlook):
        _shrink(look, scene.pods)
    return ScalingDecision(steps=tuple(look.steps), records=look.records)


def _asks(pods: Sequence[JsonObject]) -> bool:
    return any(EPC in pod_requests(each) for each in waiting(pods))


def _withdraw(record: PoolRecord) -> PoolRecord:
    """Nobody waits any more for nodes that were proposed and not made."""
    return replace(record, size=record.there) if record.size > record.there else record


def _needs(look: _ScalingLook) -> dict[str, int]:
    """The pods that ask for EPC and have no room, with how much."""
    amounts = {f"{namespace_of(each)}/{name_of(each)}": int(pod_requests(each).get(EPC, 0)) for each in look.world.queue}
    lacking = (each for each in look.outlook.pods if each.prospect in {Prospect.PENDING, Prospect.MAY_FIT})
    return {each.name: amounts[each.name] for each in lacking if amounts[each.name]}


def _grow(look: _ScalingLook, needs: dict[str, int]) -> None:
    blocks = {each.name: _block(look, each) for each in look.pools}
    rooms = [_room(look, each) for each in look.pools if not blocks[each.name] and each.template is not None]
    for growth in grow(look.world, [each for each in rooms if each is not None], needs):
        pool = next(each for each in look.pools if each.name == growth.pool.name)
        _take(look, pool, _base(look, pool) + growth.count, growth.pods, reasons.of_growth(growth, needs))
        needs = {name: epc for name, epc in needs.items() if name not in growth.pods}
        blocks[pool.name] = GROWS_FIRST
    look.steps += reasons.comers(look.world, look.outlook, look.pools, _waits(look))
    look.steps += reasons.stayers(look.world, look.outlook, look.moment - look.rules.patience)
    look.steps += reasons.losers(look.world, look.outlook, [(each, blocks[each.name]) for each in look.pools], needs)


def _base(look: _ScalingLook, pool: ScalePool) -> int:
    return max(look.records[pool.name].size, pool.there)


def _room(look: _ScalingLook, pool: ScalePool) -> PoolRoom | None:
    if pool.template is None or not pool.template.epc:
        return None
    return PoolRoom(name=pool.name, template=pool.template, room=pool.scale.most - _base(look, pool), cost=pool.cost)


def _block(look: _ScalingLook, pool: ScalePool) -> str:
    """Why a pool may not grow now; empty where it may."""
    record, rules = look.records[pool.name], look.rules
    if pool.trouble:
        return pool.trouble
    if record.pause_until is not None and look.moment < record.pause_until:
        return f"its cloud refused the last step ({record.refusal}): not tried again until {reasons.clock(record.pause_until)}"
    if _base(look, pool) >= pool.scale.most:
        return f"it is at its max of {pool.scale.most}"
    if is_late(pool, record, look.moment, rules):
        return f"{absent(pool, record)} nodes that it was to have by {reasons.clock(record.since + rules.patience)} are not there"
    if name := barren(pool, look.moment, rules):
        return f"its newest node {name} offers no EPC, and another might not, either: donjon status says why"
    if record.growth is not None and look.moment < record.growth + rules.grow_pause:
        return f"it grew at {reasons.clock(record.growth)}, and rests until {reasons.clock(record.growth + rules.grow_pause)}"
    return ""


def _waits(look: _ScalingLook) -> dict[str, str]:
    """Until when nodes that come are waited for, by pool."""
    return {each.name: reasons.clock(look.records[each.name].since + look.rules.patience) for each in look.pools}


def _take(look: _ScalingLook, pool: ScalePool, size: int, pods: tuple[str, ...], reason: str) -> None:
    """A step; after it, every pool's time of having a node to spare begins anew."""
    record, verb = look.records[pool.name], ScalingVerb.GROW if size > pool.there else ScalingVerb.SHRINK
    step = ScalingStep(verb=verb, pool=pool.name, before=_base(look, pool), after=size, pods=pods, reason=reason)
    look.steps.append(step)
    growth = look.moment if verb is ScalingVerb.GROW else record.growth
    record = replace(record, size=size, since=look.moment, growth=growth, refusal="", pause_until=None)
    look.records = {name: replace(each, spare=None) for name, each in {**look.records, pool.name: record}.items()}


def _shrink(look: _ScalingLook, pods: Sequence[JsonObject]) -> None:
    """At most one node of one pool, once it could have gone for long enough."""
    if not look.rules.shrinks:
        return
    busy = {each.pool for each in look.steps}  # Somebody waits for these, who would have the node that goes made again.
    for pool in look.pools:
        _withdraw_shrinking(look, pool)
        record = look.records[pool.name]
        spare = pool.name not in busy and _is_settled(look, pool) and is_spare(look.world, pool, look.outlook, 1)
        since = (record.spare or look.moment) if spare else None
        look.records[pool.name] = replace(record, spare=since)
    for pool in look.pools:
        if _try_to_shrink(look, pool, pods):
            return


def _withdraw_shrinking(look: _ScalingLook, pool: ScalePool) -> None:
    """A node less was proposed, nobody did it, and it would not do any more."""
    record = look.records[pool.name]
    if record.size < pool.there and not look.rules.acts and not is_spare(look.world, pool, look.outlook, 1):
        look.records[pool.name] = replace(record, size=pool.there, since=look.moment)
        look.steps.append(reasons.hold(pool, f"the size of {record.size} that was proposed would not do any more"))


def _is_settled(look: _ScalingLook, pool: ScalePool) -> bool:
    """Whether it has all its nodes and no more, and more of them than it must; and no pool waits for nodes."""
    record = look.records[pool.name]
    still = record.size == pool.there == len(pool.nodes) and not unfinished(pool, look.moment, look.rules)
    return still and pool.there > pool.scale.least and not pool.trouble and not look.world.coming


def _try_to_shrink(look: _ScalingLook, pool: ScalePool, pods: Sequence[JsonObject]) -> bool:
    record = look.records[pool.name]
    if record.spare is None:
        return False
    due = record.spare + look.rules.shrink_after
    if keeper := stubborn(pods, pool.nodes):
        look.steps.append(
            reasons.hold(pool, f"a node could go, and its cloud might take one with a pod that is to stay: {keeper}")
        )
        return False
    if look.moment < due:
        words = f"a node could go since {reasons.clock(record.spare)}; if it still can, it is to go at {reasons.clock(due)}"
        look.steps.append(reasons.hold(pool, words))
        return False
    if not is_spare(look.world, pool, look.outlook):
        look.records[pool.name] = replace(record, spare=None)
        return False
    _take(look, pool, pool.there - 1, (), reasons.of_shrinking(pool, record.spare))
    return True
