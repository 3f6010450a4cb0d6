"""Why a pool grows, shrinks, or stays as it is: a sentence each, which names pods and amounts."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from fractions import Fraction

from donjon.fleet.placement import amount_text, look_at
from donjon.fleet.scaling.growth import PoolGrowth
from donjon.fleet.scaling.record import ScalePool, ScalingStep, ScalingVerb, is_older
from donjon.fleet.scaling.world import ScalingWorld
from donjon.fleet.scheduling.outlook import Outlook, PodOutlook, Prospect
from donjon.fleet.scheduling.report import owner_of
from donjon.formats.json import JsonObject
from donjon.formats.words import recite
from donjon.kube.names import EPC
from donjon.kube.objects import name_of, namespace_of
from donjon.kube.reserved import pod_requests, requests_by_node

MOST_NAMES = 3
APART = "other pods, or the pod's own spreading, keep it from its new nodes"
NO_TEMPLATE = "it has no node, and the catalogue does not say what a new one would have"


def clock(moment: datetime) -> str:
    """A time of the day, in UTC."""
    return f"{moment:%H:%M:%S}Z"


def hold(pool: ScalePool | None, words: str, pods: tuple[str, ...] = ()) -> ScalingStep:
    """Nothing done to a pool, or to none."""
    name, there = (pool.name, pool.there) if pool is not None else ("", 0)
    return ScalingStep(verb=ScalingVerb.HOLD, pool=name, before=there, after=there, pods=pods, reason=words)


def of_growth(growth: PoolGrowth, needs: Mapping[str, int]) -> str:
    """For whom, how much they ask for, and what is left over."""
    number = len(growth.pods)
    epc = amount_text(EPC, Fraction(sum(needs[name] for name in growth.pods)))
    each = amount_text(EPC, Fraction(growth.pool.template.epc))
    left = f", {amount_text(EPC, Fraction(growth.left))} of it left over" if growth.left else ""
    many, nodes = number != 1, f"{growth.count} node{'s' * (growth.count != 1)}"
    return (
        f"{number} pod{'s' * many} ({_names(growth.pods)}) ask{'s' * (not many)} for {epc} of EPC and {'have' if many else 'has'}"
        f" no room; with {nodes} more, of {each} each, {'they fit' if many else 'it fits'}{left}"
    )


def of_shrinking(pool: ScalePool, since: datetime) -> str:
    """Since when, and what was not looked at."""
    return (
        f"since {clock(since)}, whichever of its {pool.there} nodes went, the pods on it had room elsewhere;"
        " disruption budgets are not looked at"
    )


def comers(world: ScalingWorld, now: Outlook, pools: Sequence[ScalePool], waits: Mapping[str, str]) -> Iterator[ScalingStep]:
    """Who waits for nodes that come."""
    asks = _askers(world)
    fit = [each for each in now.pods if each.prospect is Prospect.FITS and each.name in asks]
    for pool in pools:
        number = sum(name == pool.name for name in world.coming.values())
        names = tuple(each.name for each in fit if world.coming.get(each.node) == pool.name)
        if names:
            nodes = f"{number} node{'s' * (number != 1)} that come{'s' * (number == 1)}, waited for until {waits[pool.name]}"
            yield hold(pool, f"{_names(names)}: room on {nodes}", names)


def stayers(world: ScalingWorld, now: Outlook, before: datetime) -> Iterator[ScalingStep]:
    """Who has room on a node that is there, and waits since then or longer."""
    asks = _askers(world)
    for each in now.pods:
        is_here = each.prospect is Prospect.FITS and each.node not in world.coming
        if is_here and each.name in asks and is_older(asks[each.name], before):
            words = f"{each.name}: has room on {each.node}, as far as is looked at, and waits: kubectl describe pod says why"
            yield hold(None, words, (each.name,))


def losers(
    world: ScalingWorld, now: Outlook, pools: Sequence[tuple[ScalePool, str]], needs: Iterable[str]
) -> Iterator[ScalingStep]:
    """Who waits for a pool that may not grow now, for the reason beside it, whom no pool takes, and of whom nothing is known."""
    asks = _askers(world)
    for owner, names in _by_owner(needs, asks).items():
        yield from _unmet(asks[names[0]], _many(owner, names), tuple(names), pools)
    for each in unread(world, now):
        yield hold(None, f"{each.name}: nothing can be said: {each.unread} is not looked at", (each.name,))


def unread(world: ScalingWorld, now: Outlook) -> tuple[PodOutlook, ...]:
    """The pods with EPC of which nothing can be said."""
    asks = _askers(world)
    return tuple(each for each in now.pods if each.prospect is Prospect.UNKNOWN and each.name in asks)


def _askers(world: ScalingWorld) -> dict[str, JsonObject]:
    """The pods that wait and ask for EPC, by their names."""
    return {f"{namespace_of(each)}/{name_of(each)}": each for each in world.queue if EPC in pod_requests(each)}


def _unmet(pod: JsonObject, who: str, names: tuple[str, ...], pools: Sequence[tuple[ScalePool, str]]) -> Iterator[ScalingStep]:
    against = {pool.name: _against(pod, pool) for pool, _ in pools}
    takers = [(pool, block) for pool, block in pools if not against[pool.name]]
    for pool, block in takers:
        yield hold(pool, f"{who}: would fit on a new node, and {block or APART}", names)
    if not takers:
        words = "; ".join(f"{name}: {why}" for name, why in against.items()) or "there is none with EPC and bounds"
        yield hold(None, f"{who}: no pool would take it ({words})", names)


def _against(pod: JsonObject, pool: ScalePool) -> str:
    """What speaks against the pod on a new node that has nobody else; empty where nothing does."""
    if pool.template is None:
        return NO_TEMPLATE
    node = pool.template.as_node(f"{pool.name}+new")
    views = look_at(pod, (node,), requests_by_node(pool.template.pods_of((name_of(node),))))
    return next((each.words for view in views for each in view.against), "")


def _by_owner(names: Iterable[str], by_name: Mapping[str, JsonObject]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(owner_of(by_name[name]), []).append(name)
    return groups


def _many(owner: str, names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{recite(owner)}, {len(names)} pods"


def _names(names: Sequence[str]) -> str:
    rest = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"{', '.join(names[:MOST_NAMES])}{rest}"
