"""Who gives way where a server has no more room: whoever has shown least, of the addresses that take most.

Anybody may connect, from as many addresses as they have. So room is counted by address, and no connection is ever worth more for
being old, for saying half of something, or for being one of many. Nothing here does anything: servers ask who has to go.
"""

import ipaddress
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from functools import lru_cache
from itertools import count
from operator import itemgetter
from typing import Generic, Protocol, TypeVar

V6_PREFIX = 64  # bits; what one site is given at least (RFC 6177)
GREEDY = 2  # who takes more than this part of what the greediest takes may have to give way
UNPROVEN = 2  # up to this part of the room, those who have shown nothing are treated as everybody is


class ConnectionWorth(IntEnum):
    """What a connection is worth, by what it has shown: who is worth least gives way first."""

    NEW = 0  # nothing whole yet: it is silent, in its handshake, or in its first request
    IDLE = 1  # a request that was whole, and is answered
    BUSY = 2  # one that is whole, and is being answered


class Peer(Protocol):
    """A connection, as far as it is judged who gives way."""

    @property
    def site(self) -> str:
        """What its address is counted under: `site` of it."""

    @property
    def worth(self) -> ConnectionWorth:
        """By what it has shown so far."""


P = TypeVar("P", bound=Peer)


@lru_cache(maxsize=4096)
def site(address: str) -> str:
    """Under what an address is counted: one of IPv4 itself, one of IPv6 by the 64 bits of its network."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.ip_network((ip, V6_PREFIX), strict=False))


class _Site(Generic[P]):
    """The connections of one site by what they have shown, each with its place in line: since when it has shown that."""

    def __init__(self) -> None:
        self.by: tuple[dict[P, int], ...] = tuple({} for _ in ConnectionWorth)

    def __len__(self) -> int:
        return sum(map(len, self.by))

    def unproven(self) -> int:
        """How many have shown nothing."""
        return len(self.by[ConnectionWorth.NEW])

    def least(self) -> ConnectionWorth:
        """The least that any of them has shown; there are some."""
        return next(each for each in ConnectionWorth if self.by[each])


class Crowd(Generic[P]):
    """The connections of one server, in the order in which they came."""

    def __init__(self, room: int, of_a_site: int) -> None:
        """Room for so many altogether, and for so many of one site."""
        self._room, self._of_a_site = room, of_a_site
        self._peers: dict[P, ConnectionWorth] = {}
        self._sites: dict[str, _Site[P]] = {}
        self._unproven = 0
        self._line = count()
        self._closed = False

    def __len__(self) -> int:
        return len(self._peers)

    def __iter__(self) -> Iterator[P]:
        return iter(tuple(self._peers))

    def enter(self, peer: P) -> P | None:
        """One more; answers who has to go for it, who is not in the crowd any more."""
        if self._closed:
            return peer
        victim = self._pick_victim(peer.site)
        if victim is not None:
            self.leave(victim)
        self._put(peer)
        return victim

    def close(self) -> None:
        """From now on, whoever comes has to go."""
        self._closed = True

    def note(self, peer: P) -> None:
        """It has shown something else than before; nothing, where it has left already."""
        if self._peers.get(peer, peer.worth) is not peer.worth:
            self._take(peer, self._peers[peer])
            self._put(peer)

    def leave(self, peer: P) -> None:
        """One less; nothing, where it has left already."""
        if (worth := self._peers.pop(peer, None)) is not None:
            self._take(peer, worth)

    def _put(self, peer: P) -> None:
        self._peers[peer] = peer.worth
        self._sites.setdefault(peer.site, _Site()).by[peer.worth][peer] = next(self._line)
        self._unproven += peer.worth is ConnectionWorth.NEW

    def _take(self, peer: P, worth: ConnectionWorth) -> None:
        site = self._sites[peer.site]
        del site.by[worth][peer]
        if not len(site):
            del self._sites[peer.site]
        self._unproven -= worth is ConnectionWorth.NEW

    def _pick_victim(self, newcomer: str) -> P | None:
        site = self._sites.get(newcomer)
        if site is not None and len(site) >= self._of_a_site:
            return next(iter(site.by[site.least()]))
        if len(self._peers) < self._room:
            return None
        if self._unproven * UNPROVEN > self._room:
            return _first_to_go(self._sites.values(), _Site.unproven)
        return _first_to_go(self._sites.values(), len)


class ByteBudget(Generic[P]):
    """The bytes that are kept for the connections of one server."""

    def __init__(self, room: int, of_a_site: int) -> None:
        """Room for so many altogether, and for so many of one site."""
        self._room, self._of_a_site = room, of_a_site
        self._bytes: dict[P, int] = {}
        self._sites: Counter[str] = Counter()
        self.total = 0  # all that is kept

    def add(self, peer: P, size: int) -> P | None:
        """So many more for that one; answers who has to let go of all that is kept for it, which is not counted any more."""
        self._bytes[peer] = self._bytes.get(peer, 0) + size
        self._sites[peer.site] += size
        self.total += size
        greediest = peer.site
        if self.total > self._room:
            greediest = max(self._sites, key=self._sites.__getitem__)
        elif self._sites[greediest] <= self._of_a_site:
            return None
        holders = (each for each in self._bytes if each.site == greediest)
        victim = min(holders, key=lambda each: (each.worth, -self._bytes[each]))
        self.drop(victim)
        return victim

    def drop(self, peer: P) -> None:
        """Nothing is kept for it any more."""
        size = self._bytes.pop(peer, 0)
        self.total -= size
        self._sites[peer.site] -= size
        if not self._sites[peer.site]:
            del self._sites[peer.site]


def _first_to_go(sites: Iterable[_Site[P]], size: Callable[[_Site[P]], int]) -> P:
    """Of the greedy, who has shown least; of equals one of the greediest site, and of those the first in line.

    The cost goes with the sites, not with the connections: whoever connects again and again makes others wait for it.
    """
    sizes = [(size(each), each) for each in sites]
    most = max(amount for amount, _ in sizes)
    greedy = [(amount, each) for amount, each in sizes if amount * GREEDY > most]
    least = min(each.least() for _, each in greedy)
    among = [(amount, each.by[least]) for amount, each in greedy if each.by[least]]
    most = max(amount for amount, _ in among)
    firsts = (next(iter(peers.items())) for amount, peers in among if amount == most)
    return min(firsts, key=itemgetter(1))[0]
