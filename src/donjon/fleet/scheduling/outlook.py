"""What becomes of pods that have no node: where the scheduler has a choice it is tried several times, and all must agree.

A pod *fits* where it got a node in every schedule that was tried; in some of them alone, it may fit. One that got none stays
Pending. Of one by whom something decides that is not looked at, nothing is said.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from donjon.fleet.scheduling.neighbours import MAX_WORK
from donjon.fleet.scheduling.schedule import Scheduler, Scheduling
from donjon.fleet.scheduling.shapes import ShapeTable
from donjon.formats.json import JsonObject
from donjon.kube.reserved import Amounts

TRIES = 16
PLACEMENTS = 100_000
"""Of all tries together, about: in a cluster with very many pods there are fewer of them."""
STAY = 10
"""So many pods that stay where they are cost what one does that is placed."""


class Prospect(StrEnum):
    """What is to be expected of a pod."""

    FITS = "fits"
    MAY_FIT = "may fit"
    PENDING = "pending"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class PodOutlook:
    """One pod, by namespace/name."""

    name: str
    prospect: Prospect
    node: str  # of the first schedule in which it got one; empty where it got none
    fits: int  # schedules in which it got one
    unread: str  # what decides and is not looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """All pods without a node, and in how many schedules that was tried."""

    pods: tuple[PodOutlook, ...]
    tries: int
    first: Scheduling
    before: Mapping[str, Amounts]  # what pods hold on each node
    after: Mapping[str, Amounts]  # the same, once the first schedule is carried out


def outlook(
    nodes: Sequence[JsonObject],
    pods: Sequence[JsonObject],
    queue: Sequence[JsonObject],
    *,
    most_tries: int = TRIES,
    shapes: ShapeTable | None = None,
    rivals: bool = False,
) -> Outlook:
    """What becomes of the queue; `pods` are those that have a node.

    In every second schedule pods keep away from those that may want it. With `rivals`, pods of which nothing can be said take
    room there, too.
    """
    tries, shapes = tries_of(len(pods), len(queue), most_tries), shapes or ShapeTable()
    scheduler = Scheduler(nodes, pods, shapes=shapes)
    before, first = scheduler.holding, scheduler.place(queue, wary=tries == 1, rivals=rivals and tries == 1)
    seeds = range(1, min(tries, affordable(scheduler.work)))
    schedules = [first]
    for seed in seeds:
        doubtful = seed % 2 > 0
        schedules.append(Scheduler(nodes, pods, seed, shapes).place(queue, wary=doubtful, rivals=rivals and doubtful))
    names = (*first.nodes, *first.pending, *first.unread)
    outlooks = tuple(_pod(name, schedules, first.unread) for name in names)
    return Outlook(pods=outlooks, tries=len(schedules), first=first, before=before, after=scheduler.holding)


def tries_of(pods: int, queue: int, most: int) -> int:
    """How many schedules so many pods with a node and without are worth."""
    return max(1, min(most, PLACEMENTS // max(queue + pods // STAY, 1)))


def affordable(work: int) -> int:
    """How many schedules are tried where one takes so much work, one of them a wary one: pods may say very much of each other."""
    return max(2, MAX_WORK // max(work, 1))


def _pod(name: str, schedules: Iterable[Scheduling], unread: Mapping[str, str]) -> PodOutlook:
    nodes = [schedule.nodes.get(name, "") for schedule in schedules]
    fits = sum(map(bool, nodes))
    prospect = Prospect.FITS if fits == len(nodes) else Prospect.MAY_FIT if fits else Prospect.PENDING
    return PodOutlook(
        name=name,
        prospect=Prospect.UNKNOWN if name in unread else prospect,
        node=next(filter(None, nodes), ""),
        fits=fits,
        unread=unread.get(name, ""),
    )
