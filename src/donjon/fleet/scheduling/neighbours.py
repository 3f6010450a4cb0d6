"""Which pods run beside which, by domain of a label: what constraints of pods about one another are held against.

Each selector is held against each kind of pods once, in the namespaces that it is about: what the pods of one namespace say of
each other costs the others nothing.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from donjon.fleet.scheduling.constraints import AffinityTerm, PodKind, PodSelector
from donjon.fleet.scheduling.shapes import PodShape
from donjon.formats.json import Json
from donjon.kube.selection import UNKNOWN_VALUE

MAX_WORK = 8_000_000  # words of selectors held against kinds: some seconds
ANYWHERE = ""
"""In place of a namespace: a selector that is about all."""

Labels = Mapping[str, Json]


@dataclass(slots=True, eq=False)
class DomainCount:
    """How many pods are in each domain of a label; domains with none are left out."""

    key: str
    among: frozenset[str] | None  # the nodes whose pods count; `None` for all
    total: int = 0  # domains that these nodes have
    domains: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, labels: Labels, number: int) -> None:
        """Count pods on the node of that name."""
        domain = labels.get(self.key)
        if isinstance(domain, str) and (self.among is None or name in self.among):
            self.domains[domain] = self.domains.get(domain, 0) + number


@dataclass(slots=True)
class Relations:
    """What concerns the pods of one kind."""

    matches: list[DomainCount] = field(default_factory=list)  # in which they are counted
    closers: list[DomainCount] = field(default_factory=list)  # pods that want none of them beside them
    drawers: list[tuple[DomainCount, int]] = field(default_factory=list)  # pods that like them beside them, or not, and how much
    doubts: list[DomainCount] = field(default_factory=list)  # pods that may want none of them beside them


@dataclass(frozen=True, slots=True)
class _Follower:
    """One count, and which kinds of pods it concerns."""

    selector: PodSelector
    count: DomainCount
    weight: int | None = None  # of a wish; 0 where it must not be; `None` where they are counted themselves

    def join(self, relations: Relations) -> None:
        if self.weight is None:
            relations.matches.append(self.count)
        elif self.selector.is_unsure:
            relations.doubts += () if self.weight else (self.count,)
        elif self.weight:
            relations.drawers.append((self.count, self.weight))
        else:
            relations.closers.append(self.count)


class Neighbours:
    """All pods that have a node."""

    def __init__(self, nodes: Mapping[str, Labels]) -> None:
        """`nodes`: their labels, by name."""
        self._nodes = nodes
        self._places: defaultdict[str, dict[PodKind, Counter[str]]] = defaultdict(dict)  # kinds by namespace, each by node
        self._relations: dict[PodKind, Relations] = {}
        self._followers: defaultdict[str, list[_Follower]] = defaultdict(list)  # by namespace
        self._totals: dict[tuple[str, frozenset[str] | None], int] = {}
        self._matches: dict[tuple[PodSelector, str, frozenset[str] | None], DomainCount] = {}
        self._terms: dict[tuple[AffinityTerm, int], DomainCount] = {}
        self._own: dict[PodShape, tuple[DomainCount, ...]] = {}
        self._work = 0

    @property
    def work(self) -> int:
        """How much there was to look at."""
        return self._work

    @property
    def is_overrun(self) -> bool:
        """Whether there are more constraints among pods than can be looked at; what is counted then is not all."""
        return self._work > MAX_WORK

    def put(self, shape: PodShape, node: str) -> None:
        """Have a pod on a node."""
        labels, relations = self._nodes[node], self.relations(shape.kind)
        self._places[shape.kind.namespace][shape.kind][node] += 1
        for count in relations.matches:
            count.add(node, labels, 1)
        for count in self._terms_of(shape):
            count.add(node, labels, 1)

    def relations(self, kind: PodKind) -> Relations:
        """What concerns a kind of pods."""
        if kind not in self._relations:
            self._places[kind.namespace][kind] = Counter()
            relations = self._relations[kind] = Relations()
            for place in (kind.namespace, ANYWHERE):
                for follower in self._followers[place]:
                    if self._holds(follower.selector, kind):
                        follower.join(relations)
        return self._relations[kind]

    def count(self, selector: PodSelector, key: str, among: frozenset[str] | None = None) -> DomainCount:
        """How many pods a selector chooses in each domain of a label, on these nodes or on all."""
        name = (selector, key, among)
        if name not in self._matches:
            count = self._matches[name] = DomainCount(key, among, total=self._total(key, among))
            for kind in self._follow(_Follower(selector, count)):
                for node, number in self._places[kind.namespace][kind].items():
                    count.add(node, self._nodes[node], number)
        return self._matches[name]

    def _total(self, key: str, among: frozenset[str] | None) -> int:
        """The domains that these nodes have, counted once for all selectors."""
        if (key, among) not in self._totals:
            labels = self._nodes.values() if among is None else (self._nodes[each] for each in among)
            self._totals[key, among] = len({each.get(key) for each in labels if key in each} - {UNKNOWN_VALUE})
        return self._totals[key, among]

    def _terms_of(self, shape: PodShape) -> tuple[DomainCount, ...]:
        if shape not in self._own:
            self._own[shape] = tuple(self._term(term, weight) for term, weight in _terms(shape))
        return self._own[shape]

    def _term(self, term: AffinityTerm, weight: int) -> DomainCount:
        if (term, weight) not in self._terms:
            count = self._terms[term, weight] = DomainCount(term.key, None)
            for _ in self._follow(_Follower(term.selector, count, weight)):
                pass
        return self._terms[term, weight]

    def _follow(self, follower: _Follower) -> Iterator[PodKind]:
        """The kinds that it concerns now; later ones come to it by themselves."""
        selector = follower.selector
        for place in [ANYWHERE] if selector.every_namespace else selector.namespaces:
            self._followers[place].append(follower)
        for kind in self._kinds(selector):
            if self._holds(selector, kind):
                follower.join(self._relations[kind])
                yield kind

    def _kinds(self, selector: PodSelector) -> Iterable[PodKind]:
        places = list(self._places) if selector.every_namespace else selector.namespaces & self._places.keys()
        return [kind for place in places for kind in self._places[place]]

    def _holds(self, selector: PodSelector, kind: PodKind) -> bool:
        self._work += 1 + selector.words + len(kind.labels) // 8
        return not self.is_overrun and selector.holds(kind)


def _terms(shape: PodShape) -> Iterator[tuple[AffinityTerm, int]]:
    """What a pod that is there says of others, with its weight; 0 where it must not be."""
    yield from ((term, 0) for term in shape.anti_affinity)
    yield from ((term, 1) for term in shape.affinity)
    yield from ((term, weight) for term, weight in shape.preferences if weight)
