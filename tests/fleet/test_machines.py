"""The catalogue as it is read, and what it recommends: sizes that do, and by what the others are ruled out."""

from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from tests.fleet.tables import FACTS, PRICES, SOURCES

from donjon.errors import Malformed
from donjon.findings import Severity
from donjon.fleet.machines.catalogue import age_warnings, parse
from donjon.fleet.machines.packing import PodGroup
from donjon.fleet.machines.recommend import Demand, Recommendation, lifecycle, months_between, recommend
from donjon.kube.names import EPC

GIB = 1 << 30
TODAY = date(2026, 11, 30)


def asking(
    epc: int, replicas: int = 1, *, features: frozenset[str] = frozenset(), region: str = "", provider: str = ""
) -> Recommendation:
    pods = PodGroup(name="vault", replicas=replicas, requests={EPC: Fraction(epc), "memory": Fraction(GIB)})
    demand = Demand(groups=(pods,), features=features, region=region, provider=provider)
    return recommend(parse(FACTS, PRICES, SOURCES), demand, TODAY)


def rulings(outcome: Recommendation) -> dict[str, str]:
    return {each.name: each.why for each in outcome.ruled_out}


def test_a_series_facts_are_those_of_its_sizes_and_it_is_none_itself() -> None:
    machines = parse(FACTS, PRICES, SOURCES).machines
    assert "DCsv3" not in machines
    size = machines["Standard_DC4s_v3"]
    assert (size.provider, size.cpus, size.memory, size.epc) == ("azure", 4, 32 * GIB, 16 * GIB)
    assert (size.closed_to_new, size.ends) == (date(2026, 11, 1), date(2029, 10, 31))
    assert size.regions == {"westeurope", "eastus"}
    assert (size.has("edmm"), size.has("spot"), size.has("kss")) == (True, False, None)


def test_where_sources_differ_the_first_counts_and_all_are_there() -> None:
    fact = parse(FACTS, PRICES, SOURCES).machines["Standard_DC4s_v3"].facts["accelerated_networking"]
    assert (fact.value, fact.is_disputed) == ("yes", True)
    assert [(each.value, each.source.title) for each in fact.statements] == [("yes", "An API"), ("no", "A page")]


@pytest.mark.parametrize(
    ("facts", "prices", "sources", "words"),
    [
        ("subject,fact\n", PRICES, SOURCES, "facts.csv: expected the columns"),
        (FACTS + "x,epc,lots,page,2026-01-01\n", PRICES, SOURCES, "'lots' is no epc"),
        (FACTS + "x,ends,soon,page,2026-01-01\n", PRICES, SOURCES, "'soon' is no ends"),
        (FACTS + "x,cpus,two,page,2026-01-01\n", PRICES, SOURCES, "'two' is no cpus"),
        (FACTS + "x,note,y,nobody,2026-01-01\n", PRICES, SOURCES, "nobody is no source"),
        (FACTS + "x,note,y,page,lately\n", PRICES, SOURCES, "'lately' is no day"),
        (FACTS + "x,note,y,page\n", PRICES, SOURCES, "expected 5 values"),
        (FACTS + "x,note,y,page,2026-01-01,z\n", PRICES, SOURCES, "expected 5 values"),
        (FACTS, PRICES + "x,eu,1,api,2026-01-01\n", SOURCES, "x is no machine"),
        (FACTS, PRICES + "ecs.g7t.large,eu,free,api,2026-01-01\n", SOURCES, "'free' is no price"),
        (FACTS, PRICES + "ecs.g7t.large,eu,NaN,api,2026-01-01\n", SOURCES, "'NaN' is no price"),
        (FACTS, PRICES + "ecs.g7t.large,eu,-1,api,2026-01-01\n", SOURCES, "'-1' is no price"),
        (FACTS, PRICES + "ecs.g7t.large,eu,1e400,api,2026-01-01\n", SOURCES, "'1e400' is no price"),
        (FACTS + "ecs.g7t.huge,cpus,-2,page,2026-11-30\n", PRICES, SOURCES, "'-2' is no cpus"),
        (FACTS + "ecs.g7t.huge,epc,-2Gi,page,2026-11-30\n", PRICES, SOURCES, "'-2Gi' is no epc"),
        (FACTS, PRICES, "", "sources.csv: expected the columns"),
    ],
)
def test_a_table_that_is_wrong_is_refused_with_its_place(facts: str, prices: str, sources: str, words: str) -> None:
    with pytest.raises(Malformed, match="DJ801") as caught:
        parse(facts, prices, sources)
    assert words in caught.value.message


def test_the_cheapest_size_that_does_is_first_with_its_count_cost_and_rest() -> None:
    first, second = asking(10 * GIB, 3, region="westeurope").proposals
    assert (first.machine.name, first.count, first.monthly_cost) == ("Standard_DC4s_v3", 3, Decimal("0.46") * 730 * 3)
    assert first.left[EPC] == 3 * 6 * GIB
    assert (second.machine.name, second.count) == ("Standard_DC24s_v3", 1)


def test_without_a_region_the_cheapest_regions_price_counts_and_is_named() -> None:
    first = asking(10 * GIB).proposals[0]
    assert (first.region, first.monthly_cost) == ("eastus", Decimal("0.384") * 730)


def test_each_size_is_proposed_or_ruled_out_by_something() -> None:
    outcome = asking(20 * GIB, region="westeurope", features=frozenset({"accelerated_networking"}))
    assert [each.machine.name for each in outcome.proposals] == ["Standard_DC24s_v3"]
    assert rulings(outcome) == {
        "Standard_DC4s_v3": "16Gi of EPC, and vault asks for 20Gi a pod",
        "Standard_DC8_v2": "was taken away on 2026-06-30 (A page)",
        "ecs.g7t.large": "not offered in westeurope",
        "ecs.g7t.huge": "not offered in westeurope",
    }


def test_a_feature_that_is_missing_or_of_which_nobody_speaks_rules_out() -> None:
    why = rulings(asking(GIB, features=frozenset({"spot"})))
    assert why["Standard_DC4s_v3"] == "has no spot machines (A page)"
    assert why["ecs.g7t.large"] == "nobody says whether it has spot machines"


def test_a_size_of_which_nobody_says_how_large_it_is_is_ruled_out() -> None:
    assert "nobody says how many processors" in rulings(asking(GIB))["ecs.g7t.huge"]


def test_one_provider_rules_the_others_out() -> None:
    outcome = asking(GIB, provider="alibaba")
    assert [(each.machine.name, each.monthly_cost) for each in outcome.proposals] == [("ecs.g7t.large", None)]
    assert set(rulings(outcome)) == {"ecs.g7t.huge"}  # Of others nobody asked, and nothing is said of them.


def test_what_is_closed_what_ends_and_what_sources_dispute_is_warned_of() -> None:
    first = asking(10 * GIB, 2, features=frozenset({"accelerated_networking"})).proposals[0]
    by_code = {each.code: each for each in first.warnings}
    assert by_code.keys() == {"DJ810", "DJ811", "DJ813"}
    assert by_code["DJ811"].severity is Severity.INFO
    assert "in 35 months" in by_code["DJ811"].observation
    assert "sizes with TDX" in by_code["DJ811"].do
    assert "yes: An API" in by_code["DJ813"].why


def test_a_size_that_ended_is_an_error_in_a_plan_and_not_one_that_ends_in_so_many_months_less_than_none() -> None:
    machine = next(each for each in parse(FACTS, PRICES, SOURCES).machines.values() if each.ends is not None)
    found = [*lifecycle(machine, date(2031, 1, 1))]
    assert [(each.code, each.severity) for each in found] == [("DJ811", Severity.ERROR)]
    assert found[0].observation == f"ended on {machine.ends}"


def test_an_end_within_a_year_is_a_warning() -> None:
    pods = PodGroup(name="vault", replicas=1, requests={EPC: Fraction(GIB)})
    outcome = recommend(parse(FACTS, PRICES, SOURCES), Demand(groups=(pods,)), date(2028, 11, 1))
    azure = next(each for each in outcome.proposals if each.machine.provider == "azure")
    assert {each.severity for each in azure.warnings if each.code == "DJ811"} == {Severity.WARNING}
    assert [each.code for each in outcome.warnings] == ["DJ802"]


def test_all_on_one_machine_is_said() -> None:
    proposals = {each.machine.name: each for each in asking(2 * GIB, 3).proposals}
    assert "DJ814" in {each.code for each in proposals["Standard_DC4s_v3"].warnings}
    assert "DJ814" not in {each.code for each in proposals["ecs.g7t.large"].warnings}


def test_where_no_size_does_the_ways_out_are_said() -> None:
    outcome = asking(600 * GIB)
    assert outcome.proposals == ()
    assert [each.code for each in outcome.warnings] == ["DJ812"]
    assert "600Gi" in outcome.warnings[0].why


def test_a_catalogue_is_old_after_a_year() -> None:
    machines = parse(FACTS, PRICES, SOURCES)
    assert age_warnings(machines, date(2027, 11, 30)) == ()
    assert [each.code for each in age_warnings(machines, date(2027, 12, 1))] == ["DJ802"]


@pytest.mark.parametrize(
    ("today", "day", "months"),
    [((2026, 11, 30), (2029, 10, 31), 35), ((2026, 11, 30), (2027, 11, 30), 12), ((2026, 11, 30), (2027, 11, 29), 11)],
)
def test_months_are_whole_ones(today: tuple[int, int, int], day: tuple[int, int, int], months: int) -> None:
    assert months_between(date(*today), date(*day)) == months
