"""How often somebody may ask."""

from dataclasses import dataclass, field

import pytest

from donjon.runtime import rates
from donjon.runtime.rates import Rate, Rates, site


@dataclass
class World:
    seconds: float = 1000.0
    rates: Rates = field(init=False)

    def __post_init__(self) -> None:
        self.rates = Rates(Rate(each_second=10), lambda: self.seconds)

    def passed(self, who: str, tries: int) -> int:
        return sum(self.rates.wait(who) == 0 for _ in range(tries))


def test_a_burst_passes_at_once_and_then_so_many_a_second() -> None:
    world = World()
    assert world.passed("a", 100) == 20
    world.seconds += 1
    assert world.passed("a", 100) == 10
    world.seconds += 100
    assert world.passed("a", 100) == 20


def test_who_must_wait_is_told_how_long_and_waiting_so_long_is_enough() -> None:
    world = World()
    world.passed("a", 20)
    wait = world.rates.wait("a")
    assert wait == pytest.approx(0.1)
    world.seconds += wait
    assert world.rates.wait("a") == 0


def test_asking_too_often_does_not_prolong_the_wait() -> None:
    world = World()
    world.passed("a", 1000)
    assert world.rates.wait("a") == pytest.approx(0.1)


def test_one_does_not_use_up_what_is_another_ones() -> None:
    world = World()
    assert (world.passed("a", 100), world.passed("b", 5)) == (20, 5)


def test_one_request_in_a_second_passes_though_the_burst_is_less() -> None:
    world = World()
    world.rates = Rates(Rate(each_second=1), lambda: world.seconds)
    assert world.passed("a", 5) == 2


def test_who_has_not_asked_for_long_is_forgotten() -> None:
    world = World()
    for number in range(1000):
        world.seconds += 0.3
        world.rates.wait(str(number))
    assert len(world.rates) < 3


def test_many_addresses_take_bounded_memory_and_who_asks_still_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MAX_KNOWN", 100)
    world = World()
    passed = 0
    for number in range(10_000):
        world.rates.wait(str(number))
        passed += world.rates.wait("busy") == 0
    assert len(world.rates) <= 101
    assert passed == 20


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("/run/socket", "/run/socket"),
    ],
)
def test_a_site_is_counted_as_one(address: str, counted: str) -> None:
    assert site(address) == counted


def test_a_long_name_is_known_and_not_kept() -> None:
    world, name = World(), "n" * 30_000
    assert (world.passed(name, 100), world.passed(name + "x", 5), world.passed(name, 5)) == (20, 5, 0)
    assert sum(map(len, world.rates._whole)) <= 2 * rates.MAX_NAME
