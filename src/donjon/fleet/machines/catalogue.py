"""What is known of machines with SGX, each fact with who says so, and when that was looked up.

Three tables: `facts.csv` (a machine or series, a fact, its value, source and date), `prices.csv` and `sources.csv`. A series'
facts are those of all its machines. The first row about a fact counts; those that say something else are shown beside it.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation

from donjon.errors import Malformed
from donjon.findings import Finding
from donjon.kube import quantities

MAX_AGE = timedelta(days=365)
MAX_HOUR, MAX_CPUS = 10_000, 10_000  # beyond what anybody has
YES, NO, NONE = "yes", "no", "none"
METAL = "metal"
SEVERAL = frozenset({"note", "kubernetes"})
"""Facts of which several may be true together."""

_CODE = "DJ801"
_FACTS = ("subject", "fact", "value", "source", "checked")
_PRICES = ("machine", "region", "usd_per_hour", "source", "checked")
_SOURCES = ("key", "title", "place", "date")
_AMOUNTS = frozenset({"memory", "epc", "epc_max_socket"})
_OF_SGX = ("sgx", "epc", "epc_max_socket", "epc_settings")
_DATES = frozenset({"closed_to_new", "ends"})
_NUMBERS = frozenset({"cpus"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FactSource:
    """Who says something."""

    key: str
    title: str
    place: str
    date: str  # of the source itself, as it says so


@dataclass(frozen=True, slots=True, kw_only=True)
class FactStatement:
    """What one source says, and when it was looked up."""

    value: str
    source: FactSource
    day: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Everything that sources say of one thing; the first counts."""

    name: str
    statements: tuple[FactStatement, ...]

    @property
    def value(self) -> str:
        """What counts."""
        return self.statements[0].value

    @property
    def is_disputed(self) -> bool:
        """Whether another source says something else."""
        return self.name not in SEVERAL and len({each.value for each in self.statements}) > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Of an hour, without reservation, in US dollars."""

    hour: Decimal
    source: FactSource
    day: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Sku:
    """One size of a provider, or one class of bare metal; what nobody says is unknown."""

    name: str
    facts: Mapping[str, Fact]
    prices: Mapping[str, Price]  # by region

    def value(self, fact: str) -> str:
        """What counts of a fact; empty where it is unknown."""
        return self.facts[fact].value if fact in self.facts else ""

    def has(self, feature: str) -> bool | None:
        """Whether it has a feature; `None` where nobody says."""
        value = self.value(feature)
        return value == YES if value in {YES, NO} else None

    @property
    def provider(self) -> str:
        """Who offers it: `azure`, `alibaba`; `metal` for what one buys or rents whole."""
        return self.value("provider")

    @property
    def cpus(self) -> int | None:
        """Processors that its operating system sees."""
        return int(text) if (text := self.value("cpus")) else None

    @property
    def memory(self) -> int | None:
        """Bytes of memory, EPC included."""
        return quantities.parse(text) if (text := self.value("memory")) else None

    @property
    def epc(self) -> int | None:
        """Bytes of EPC."""
        return quantities.parse(text) if (text := self.value("epc")) else None

    @property
    def closed_to_new(self) -> date | None:
        """From when on no new subscription gets it."""
        return date.fromisoformat(text) if (text := self.value("closed_to_new")) else None

    @property
    def ends(self) -> date | None:
        """When it is taken away from all."""
        return date.fromisoformat(text) if (text := self.value("ends")) else None

    @property
    def regions(self) -> frozenset[str]:
        """Where it is offered, as far as a price or a list says so."""
        return frozenset(self.prices) | frozenset(self.value("regions").split())

    @property
    def has_sgx(self) -> bool:
        """Whether it is one for enclaves, and no way out to another kind of protection."""
        return self.value("sgx") != NONE and self.epc != 0 and any(map(self.value, _OF_SGX))

    @property
    def protection(self) -> str:
        """`sgx`, or the way out that it is: `tdx`, `snp`; empty where nobody says."""
        return "sgx" if self.has_sgx else self.value("tee")


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """All machines by name, and the day of the newest look at each source."""

    machines: Mapping[str, Sku]
    day: date

    @property
    def regions(self) -> frozenset[str]:
        """Every region in which something is offered."""
        return frozenset(region for machine in self.machines.values() for region in machine.regions)


def parse(facts: str, prices: str, sources: str) -> Catalogue:
    """The catalogue of three tables; raises `Malformed` DJ801 with the table and line of the first fault."""
    by_key = {row["key"]: FactSource(**row) for _, row in _rows("sources", sources, _SOURCES)}
    statements: dict[str, dict[str, list[FactStatement]]] = {}
    for line, row in _rows("facts", facts, _FACTS):
        _check_value(line, row)
        statement = FactStatement(value=row["value"], source=_source(by_key, row, "facts", line), day=_day(row, "facts", line))
        statements.setdefault(row["subject"], {}).setdefault(row["fact"], []).append(statement)
    by_machine = _prices(prices, by_key)
    if unknown := by_machine.keys() - statements.keys():
        raise Malformed(_CODE, f"prices.csv: {min(unknown)} is no machine of facts.csv")
    subjects = {
        name: {fact: Fact(name=fact, statements=tuple(each)) for fact, each in facts.items()}
        for name, facts in statements.items()
    }
    series = {facts["series"].value for facts in subjects.values() if "series" in facts}
    machines = {
        name: Sku(name=name, facts=_of_series(subjects, facts) | facts, prices=by_machine.get(name, {}))
        for name, facts in subjects.items()
        if name not in series or facts["provider"].value == METAL  # A class of processors is one that can be bought.
    }
    days = [each.day for facts in statements.values() for several in facts.values() for each in several]
    return Catalogue(machines=machines, day=max(days))


def age_warnings(catalogue: Catalogue, today: date) -> tuple[Finding, ...]:
    """That the catalogue is old, where it is: sizes come, go and change their price."""
    if today - catalogue.day <= MAX_AGE:
        return ()
    return (
        Finding.warning(
            "DJ802",
            "catalogue of machines",
            f"was looked up on {catalogue.day}, more than a year ago",
            "sizes come and go, and prices change",
            "take a newer release of Donjon, or ask the provider before you order",
        ),
    )


def _of_series(subjects: Mapping[str, Mapping[str, Fact]], facts: Mapping[str, Fact]) -> dict[str, Fact]:
    series = facts["series"].value if "series" in facts else ""
    return dict(subjects.get(series, {}))


def _prices(text: str, sources: Mapping[str, FactSource]) -> dict[str, dict[str, Price]]:
    by_machine: dict[str, dict[str, Price]] = {}
    for line, row in _rows("prices", text, _PRICES):
        hour = _hour(row["usd_per_hour"], line)
        price = Price(hour=hour, source=_source(sources, row, "prices", line), day=_day(row, "prices", line))
        by_machine.setdefault(row["machine"], {})[row["region"]] = price
    return by_machine


def _hour(text: str, line: int) -> Decimal:
    try:
        hour = Decimal(text)
    except InvalidOperation as error:
        raise Malformed(_CODE, f"prices.csv, line {line}: {text!r} is no price") from error
    if not hour.is_finite() or not 0 <= hour <= MAX_HOUR:
        raise Malformed(_CODE, f"prices.csv, line {line}: {text!r} is no price of an hour, expected 0 to {MAX_HOUR}")
    return hour


def _rows(table: str, text: str, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.DictReader(text.splitlines(), strict=True)
    if tuple(reader.fieldnames or ()) != columns:
        raise Malformed(_CODE, f"{table}.csv: expected the columns {', '.join(columns)}")
    for row in reader:
        if None in row or None in row.values():
            raise Malformed(_CODE, f"{table}.csv, line {reader.line_num}: expected {len(columns)} values")
        yield reader.line_num, row


def _source(sources: Mapping[str, FactSource], row: Mapping[str, str], table: str, line: int) -> FactSource:
    if row["source"] not in sources:
        raise Malformed(_CODE, f"{table}.csv, line {line}: {row['source']} is no source of sources.csv")
    return sources[row["source"]]


def _day(row: Mapping[str, str], table: str, line: int) -> date:
    try:
        return date.fromisoformat(row["checked"])
    except ValueError as error:
        raise Malformed(_CODE, f"{table}.csv, line {line}: {row['checked']!r} is no day") from error


def _check_value(line: int, row: Mapping[str, str]) -> None:
    """Raises `Malformed` where a value is not of its fact's kind, so that nobody stumbles over it later."""
    fact, value = row["fact"], row["value"]
    try:
        possible = _is_possible(fact, value)
    except (ValueError, Malformed) as error:
        raise Malformed(_CODE, f"facts.csv, line {line}: {value!r} is no {fact}") from error
    if not possible:
        raise Malformed(_CODE, f"facts.csv, line {line}: {value!r} is no {fact}")


def _is_possible(fact: str, value: str) -> bool:
    """Raises `ValueError` or `Malformed` where it is not even of its kind."""
    if fact in _AMOUNTS:
        return quantities.parse(value) >= 0
    if fact in _DATES:
        return date.fromisoformat(value) > date.min
    return fact not in _NUMBERS or 0 < int(value) <= MAX_CPUS
