"""Who gives way: whoever has shown least, of the addresses that take most."""

import random
from collections import Counter
from dataclasses import dataclass

import pytest

from donjon.adapters.http.crowd import ByteBudget, ConnectionWorth, Crowd, site


@dataclass(eq=False)
class Peer:
    site: str
    worth: ConnectionWorth = ConnectionWorth.NEW


def crowd(room: int, of_a_site: int, *peers: Peer) -> Crowd[Peer]:
    made: Crowd[Peer] = Crowd(room, of_a_site)
    for each in peers:
        assert made.enter(each) is None
    return made


def some(count: int, site: str, standing: ConnectionWorth = ConnectionWorth.NEW) -> list[Peer]:
    return [Peer(site, standing) for _ in range(count)]


def test_where_there_is_room_nobody_goes() -> None:
    assert len(crowd(8, 4, *some(4, "a"), *some(3, "b"))) == 7


def test_a_site_that_has_its_share_makes_room_by_its_own() -> None:
    """By the oldest of those that have shown least, though others have shown less."""
    known, silent, silent_too = Peer("a", ConnectionWorth.IDLE), Peer("a"), Peer("a")
    here = crowd(8, 3, known, Peer("b"), silent, silent_too)
    assert here.enter(Peer("a")) is silent
    assert here.enter(Peer("a")) is silent_too
    assert known in tuple(here)


@pytest.mark.parametrize("standing", ConnectionWorth)
def test_whoever_comes_from_many_connections_gives_way_to_one_that_has_shown_nothing(standing: ConnectionWorth) -> None:
    honest = Peer("honest")
    here = crowd(12, 6, honest, *some(5, "a", standing), *some(6, "b", standing))
    for number in range(20):
        gone = here.enter(Peer(f"c{number % 3}"))
        assert gone is not None
        assert gone is not honest


def test_half_requests_of_many_addresses_go_before_an_address_with_as_many_that_have_asked() -> None:
    asked = some(5, "proxy", ConnectionWorth.IDLE)
    here = crowd(16, 6, *asked, *some(4, "a"), *some(4, "b"), *some(3, "c"))
    for number in range(40):
        here.enter(Peer("abc"[number % 3]))
    assert not set(asked) - set(here)


def test_of_the_greedy_who_is_being_answered_goes_last() -> None:
    busy = some(4, "a", ConnectionWorth.BUSY)
    here = crowd(8, 6, *busy, *some(4, "b", ConnectionWorth.IDLE))
    for _ in range(2):
        gone = here.enter(Peer("c", ConnectionWorth.IDLE))
        assert gone is not None
        assert gone.site == "b"


def test_addresses_with_one_connection_each_make_room_by_the_oldest_that_has_shown_nothing() -> None:
    oldest = Peer("0")
    here = crowd(4, 2, Peer("known", ConnectionWorth.IDLE), oldest, Peer("1"), Peer("2"))
    assert here.enter(Peer("3")) is oldest


def test_who_has_left_takes_no_room() -> None:
    first, second = Peer("a"), Peer("a")
    here = crowd(2, 2, first, second)
    here.leave(first)
    here.leave(first)
    assert here.enter(Peer("a")) is None
    assert here.enter(Peer("a")) is second


def test_where_it_is_closed_whoever_comes_has_to_go() -> None:
    here, late = crowd(8, 8, Peer("a")), Peer("a")
    here.close()
    assert here.enter(late) is late
    assert late not in tuple(here)


def test_bytes_beyond_the_room_are_let_go_by_the_address_that_has_most() -> None:
    """By its half requests first, of these by the largest."""
    budget: ByteBudget[Peer] = ByteBudget(100, 80)
    small, large, whole, honest = Peer("a"), Peer("a"), Peer("a", ConnectionWorth.BUSY), Peer("b")
    for each, count in ((small, 10), (large, 15), (whole, 50), (honest, 20)):
        assert budget.add(each, count) is None
    assert budget.add(honest, 10) is large
    assert budget.total == 90
    assert budget.add(small, 60) is small


def test_what_is_kept_for_one_site_is_bounded_where_there_is_room_too() -> None:
    budget: ByteBudget[Peer] = ByteBudget(100, 50)
    first, second = Peer("a"), Peer("a")
    assert budget.add(first, 30) is None
    assert budget.add(second, 20) is None
    assert budget.add(second, 1) is first
    budget.drop(first)
    budget.drop(second)
    assert budget.total == 0


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_an_address_is_counted_by_what_one_site_has(address: str, counted: str) -> None:
    assert site(address) == counted


def test_who_shows_more_goes_later_and_of_equals_who_has_shown_it_for_longest() -> None:
    first, second, third = some(3, "a")
    here = crowd(3, 3, first, second, third)
    for each, standing in (
        (first, ConnectionWorth.BUSY),
        (second, ConnectionWorth.IDLE),
        (third, ConnectionWorth.IDLE),
        (first, ConnectionWorth.IDLE),
    ):
        each.worth = standing
        here.note(each)
    newcomers = some(3, "a", ConnectionWorth.BUSY)
    assert [here.enter(each) for each in newcomers] == [second, third, first]


def test_who_has_left_shows_nothing_any_more() -> None:
    gone, other = Peer("a"), Peer("a")
    here = crowd(2, 2, gone, other)
    here.leave(gone)
    gone.worth = ConnectionWorth.IDLE
    here.note(gone)
    assert tuple(here) == (other,)
    assert here.enter(Peer("a")) is None


def test_of_any_crowd_who_goes_is_who_a_look_at_all_of_them_finds() -> None:
    """A look at all would take as long as there are connections, at each that comes."""
    chance = random.Random(7)  # noqa: S311 - the same crowd every time.
    here = crowd(24, 6)
    line: list[Peer] = []
    for number in range(4000):
        peer = Peer(f"{chance.randrange(9)}", chance.choice([*ConnectionWorth, ConnectionWorth.NEW]))
        expected = looked_for(line, peer.site, 24, 6)
        assert here.enter(peer) is expected, number
        line = [each for each in line if each is not expected] + [peer]
        for changed in chance.sample(line, min(3, len(line))):
            changed.worth, before = chance.choice(list(ConnectionWorth)), changed.worth
            here.note(changed)
            if changed.worth is not before:
                line = [each for each in line if each is not changed] + [changed]
        assert set(here) == set(line)


def looked_for(line: list[Peer], newcomer: str, room: int, of_a_site: int) -> Peer | None:
    ours = [each for each in line if each.site == newcomer]
    if len(ours) >= of_a_site:
        return min(ours, key=lambda each: each.worth)
    if len(line) < room:
        return None
    unproven = [each for each in line if each.worth is ConnectionWorth.NEW]
    among = unproven if len(unproven) * 2 > room else line
    sites = Counter(each.site for each in among)
    greedy = [each for each in among if sites[each.site] * 2 > max(sites.values())]
    return min(greedy, key=lambda each: (each.worth, -sites[each.site]))
