"""Who gives way where a server has no more room: whoever has shown least, of the addresses that take most.

Anybody may connect, from as many addresses as they have. So room is counted by address, and no connection is ever worth more for
being old, for saying half of something, or for being one of many. Nothing here does anything: servers ask who has to go.
"""

import ipaddress
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from enum import IntEnum
from functools import lru_cache
from typing import Generic, Protocol, TypeVar

V6_PREFIX = 64  # bits; what one site is given at least (RFC 6177)
GREEDY = 2  # who takes more than this part of what the greediest takes may have to give way
UNPROVEN = 2  # up to this part of the room, those who have shown nothing are treated as everybody is


class Standing(IntEnum):
    """What a connection has shown."""

    NEW = 0  # nothing whole yet: it is silent, in its handshake, or in its first request
    IDLE = 1  # a request that was whole, and is answered
    BUSY = 2  # one that is whole, and is being answered


class Peer(Protocol):
    """One connection."""

    @property
    def site(self) -> str:
        """Under what its address is counted."""

    @property
    def standing(self) -> Standing:
        """What it has shown."""


P = TypeVar("P", bound=Peer)


@lru_cache(maxsize=4096)
def site(address: str) -> str:
    """Under what an address is counted: one of IPv4 itself, one of IPv6 by the 64 bits of its network."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, V6_PREFIX), strict=False))


class Crowd(Generic[P]):
    """The connections of one server, in the order in which they came."""

    def __init__(self, room: int, of_a_site: int) -> None:
        """Room for so many altogether, and for so many of one site."""
        self._room, self._of_a_site = room, of_a_site
        self._peers: dict[P, None] = {}
        self._sites: Counter[str] = Counter()
        self._closed = False

    def __len__(self) -> int:
        return len(self._peers)

    def __iter__(self) -> Iterator[P]:
        return iter(tuple(self._peers))

    def enter(self, peer: P) -> P | None:
        """One more; answers who has to go for it, who is not in the crowd any more."""
        if self._closed:
            return peer
        chosen = self._chosen(peer.site)
        if chosen is not None:
            self.leave(chosen)
        self._peers[peer] = None
        self._sites[peer.site] += 1
        return chosen

    def close(self) -> None:
        """From now on, whoever comes has to go."""
        self._closed = True

    def leave(self, peer: P) -> None:
        """One less; nothing, where it has left already."""
        if peer not in self._peers:
            return
        del self._peers[peer]
        self._sites[peer.site] -= 1
        if not self._sites[peer.site]:
            del self._sites[peer.site]

    def _chosen(self, newcomer: str) -> P | None:
        if self._sites[newcomer] >= self._of_a_site:
            return _least(each for each in self._peers if each.site == newcomer)
        if len(self._peers) < self._room:
            return None
        unproven = [each for each in self._peers if each.standing is Standing.NEW]
        return _first_to_go(unproven if len(unproven) * UNPROVEN > self._room else tuple(self._peers))


class Budget(Generic[P]):
    """The bytes that are kept for the connections of one server."""

    def __init__(self, room: int, of_a_site: int) -> None:
        """Room for so many altogether, and for so many of one site."""
        self._room, self._of_a_site = room, of_a_site
        self._held: dict[P, int] = {}
        self._sites: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """All that is kept."""
        return self._sites.total()

    def add(self, peer: P, count: int) -> P | None:
        """So many more for that one; answers who has to let go of all that is kept for it, which is not counted any more."""
        self._held[peer] = self._held.get(peer, 0) + count
        self._sites[peer.site] += count
        greediest = peer.site
        if self.total > self._room:
            greediest = max(self._sites, key=self._sites.__getitem__)
        elif self._sites[greediest] <= self._of_a_site:
            return None
        holders = (each for each in self._held if each.site == greediest)
        chosen = min(holders, key=lambda each: (each.standing, -self._held[each]))
        self.drop(chosen)
        return chosen

    def drop(self, peer: P) -> None:
        """Nothing is kept for it any more."""
        self._sites[peer.site] -= self._held.pop(peer, 0)
        if not self._sites[peer.site]:
            del self._sites[peer.site]


def _first_to_go(peers: Collection[P]) -> P:
    """Of the greedy, who has shown least; of equals one of the greediest site, and of those the oldest."""
    sites = Counter(each.site for each in peers)
    most = max(sites.values())
    greedy = (each for each in peers if sites[each.site] * GREEDY > most)
    return min(greedy, key=lambda each: (each.standing, -sites[each.site]))


def _least(peers: Iterable[P]) -> P:
    """Who has shown least; of equals the oldest."""
    return min(peers, key=lambda each: each.standing)
