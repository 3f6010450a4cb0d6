"""Which pools grow by how many nodes, so that pods that wait for EPC fit: most pods first, then least money or EPC left over."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from zlib import crc32

from donjon.fleet.scaling.templates import NodeTemplate
from donjon.fleet.scaling.world import ScalingWorld
from donjon.fleet.scheduling.outlook import TRIES, affordable, tries_of
from donjon.fleet.scheduling.schedule import Scheduler
from donjon.formats.json import JsonObject
from donjon.kube.objects import name_of, namespace_of

PodNames = frozenset[str]
FEW_TRIES = 4
"""Schedules that are tried while a number is searched; the one that is proposed is tried as often as all are."""
MORE = 2  # nodes beyond that number that may be added, where all tries together ask for them
MOST_AT_ONCE = 100  # nodes of one step
MOST_ZONES = 3  # in which new nodes are tried


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRoom:
    """A pool that may grow."""

    name: str
    template: NodeTemplate
    room: int
    cost: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolGrowth:
    """By how many nodes a pool is to grow, and for whom."""

    pool: PoolRoom
    count: int
    pods: tuple[str, ...]
    left: int  # bytes of EPC of these nodes that none of these pods asks for


def grow(world: ScalingWorld, pools: Sequence[PoolRoom], needs: dict[str, int]) -> tuple[PoolGrowth, ...]:
    """The steps; `needs` are the pods that have no room, with the EPC that each asks for."""
    growths: list[PoolGrowth] = []
    while needs:
        options = [each for pool in pools if (each := _option(world, pool, needs)) is not None]
        if not options:
            break
        best = _best(options)
        growths.append(best)
        world = world.with_nodes(best.pool.name, best.pool.template, best.count)
        needs = {name: epc for name, epc in needs.items() if name not in best.pods}
        pools = [each for each in pools if each.name != best.pool.name]
    return tuple(growths)


def _best(options: Sequence[PoolGrowth]) -> PoolGrowth:
    by_cost = all(each.pool.cost is not None for each in options)

    def rank(option: PoolGrowth) -> tuple[int, Decimal, int]:
        cost = option.pool.cost if by_cost and option.pool.cost is not None else Decimal(0)
        return -len(option.pods), cost * option.count, option.left

    return min(options, key=rank)


@dataclass(frozen=True, slots=True)
class _Goal:
    """What a growth is to reach: that the same pods fit, or, where there is no room for all of them, as many.

    Others may take what new nodes have, so it is these pods that must have room, and not some.
    """

    names: PodNames
    number: int

    def is_reached(self, fits: Sequence[PodNames]) -> bool:
        """Whether these schedules do."""
        if len(self.names) == self.number:
            return all(self.names <= each for each in fits)
        return min(map(len, fits)) >= self.number

    def pods(self, fits: Sequence[PodNames]) -> PodNames:
        """For whom it is."""
        return frozenset.intersection(*fits) if len(self.names) == self.number else min(fits, key=len)


def _option(world: ScalingWorld, pool: PoolRoom, needs: dict[str, int]) -> PoolGrowth | None:
    """The fewest nodes that do as much as all it may have would."""
    most = min(pool.room, len(world.queue), MOST_AT_ONCE)  # Others that wait take room there, too.
    if most < 1:
        return None
    fits = _fits(world, pool, most, needs, FEW_TRIES)
    goal = _Goal(frozenset.intersection(*fits), min(map(len, fits)))
    if not goal.number:
        return None
    count = _fewest(world, pool, most, needs, goal)
    for number in range(count, min(count + MORE, most) + 1):
        fits = _fits(world, pool, number, needs, TRIES)
        if goal.is_reached(fits):
            break
    names = goal.pods(fits)
    pods = tuple(name for name in needs if name in names)
    left = number * pool.template.epc - sum(needs[name] for name in pods)
    return PoolGrowth(pool=pool, count=number, pods=pods, left=max(left, 0)) if pods else None


def _fewest(world: ScalingWorld, pool: PoolRoom, most: int, needs: dict[str, int], goal: _Goal) -> int:
    least = 1
    while least < most:
        middle = (least + most) // 2
        if goal.is_reached(_fits(world, pool, middle, needs, FEW_TRIES)):
            most = middle
        else:
            least = middle + 1
    return least


def _fits(world: ScalingWorld, pool: PoolRoom, number: int, needs: dict[str, int], tries: int) -> list[PodNames]:
    """Who of them gets a node, in each of several schedules.

    In which order the scheduler tries them is its own, and in which zones new nodes come is their cloud's.
    """
    turns = (None, *range(len(pool.template.zones[:MOST_ZONES])))
    larger = [world.with_nodes(pool.name, pool.template, number, turn) for turn in turns]
    seeds = range(tries_of(len(world.pods), len(world.queue), tries))
    fits: list[PodNames] = []
    for seed in seeds:
        here = larger[seed % len(larger)]
        scheduler = Scheduler(here.nodes, here.pods, seed, here.shapes)
        nodes = scheduler.place(_order(world.queue, seed // len(larger)), wary=seed % 2 > 0 or len(seeds) == 1).nodes
        fits.append(frozenset(needs.keys() & nodes.keys()))
        if len(fits) >= affordable(scheduler.work):
            break
    return fits


def _order(queue: Sequence[JsonObject], seed: int) -> Sequence[JsonObject]:
    """As it stands first, then in an order that has nothing to do with it, the same for one seed."""
    return sorted(queue, key=lambda pod: crc32(f"{seed} {namespace_of(pod)}/{name_of(pod)}".encode())) if seed else queue
