"""Whether the pods around let a pod go to a node."""

from dataclasses import dataclass

from donjon.fleet.scheduling.constraints import PodKind, SpreadConstraint
from donjon.fleet.scheduling.neighbours import DomainCount, Labels
from donjon.kube.selection import UNKNOWN_VALUE


@dataclass(frozen=True, slots=True)
class Bar:
    """No more pods than so many may be in the domain already."""

    count: DomainCount
    most: int
    is_label_needed: bool = False  # a node without it is closed, else open

    @property
    def is_closed_somewhere(self) -> bool:
        """Whether there are too many in some domain: a node of which nobody knows its own may be in that one."""
        return any(number > self.most for number in self.count.domains.values())


@dataclass(frozen=True, slots=True)
class Openness:
    """All that must hold of a node."""

    bars: tuple[Bar, ...]
    friends: tuple[DomainCount, ...]  # of each of these one at least is to be there
    is_first: bool  # of pods that want each other: it goes anywhere

    def is_open(self, labels: Labels) -> bool:
        """Whether a node with these labels is open."""
        for bar in self.bars:
            domain = labels.get(bar.count.key)
            if domain is None or domain == UNKNOWN_VALUE:
                if bar.is_label_needed or (domain and bar.is_closed_somewhere):
                    return False
            elif bar.count.domains.get(str(domain), 0) > bar.most:
                return False
        for friend in self.friends:
            domain = labels.get(friend.key)
            if domain is None or domain == UNKNOWN_VALUE or not (self.is_first or friend.domains.get(str(domain), 0)):
                return False
        return True


@dataclass(frozen=True, slots=True)
class OwnConstraints:
    """What a pod itself says of those around it, with what is counted for each."""

    apart: tuple[DomainCount, ...]
    spread: tuple[tuple[SpreadConstraint, DomainCount], ...]
    friends: tuple[DomainCount, ...]
    is_own_friend: bool  # it is one of those that it wants beside it


def most(constraint: SpreadConstraint, count: DomainCount, kind: PodKind) -> int:
    """How many pods a domain may have for one more of that kind to go there."""
    filled = len(count.domains) == count.total and count.total >= constraint.min_domains
    least = min(count.domains.values(), default=0) if filled else 0
    return least + constraint.max_skew - (1 if constraint.selector.holds(kind) else 0)
