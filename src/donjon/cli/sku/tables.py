"""Machines as tables for people: a line for each, or all that is known of one. They fit a terminal of 80 columns."""

import sys
from collections import defaultdict
from collections.abc import Iterable
from datetime import date

from rich.console import Console
from rich.table import Table
from rich.text import Text

from donjon.cli.terminal import PIPED_WIDTH
from donjon.fleet.machines.catalogue import Fact, FactSource, Sku
from donjon.kube.quantities import readable

NOTES = (
    "EPC of metal: of a socket, at most; SGX: its version, where somebody says it",
    "price: US dollars an hour, Linux, without reservation; the cheapest region's where none is named",
    "closed: the month from which on new subscriptions get none; ends: the month in which its machines are stopped",
)
"""What the words at the head of a list mean."""

_MONTH = len("2026-11")
_COLUMNS = ("name", "cloud", "cpus", "memory", "EPC", "SGX", "price", "closed", "ends")
_NUMBERS = frozenset({"cpus", "memory", "EPC", "price"})


def console() -> Console:
    """As wide as the terminal; wide where there is none."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)


def table(machines: Iterable[Sku], region: str) -> Table:
    """A line for each machine."""
    rows = Table(box=None, pad_edge=False, collapse_padding=True, header_style="bold")
    for column in _COLUMNS:
        rows.add_column(column, justify="right" if column in _NUMBERS else "left", overflow="fold")
    for each in machines:
        cells = (each.name, each.provider, each.value("cpus"), *_sizes(each), _price(each, region), *_life(each))
        rows.add_row(*map(Text, cells))
    return rows


def _sizes(machine: Sku) -> tuple[str, str, str]:
    memory, epc, most = machine.memory, machine.epc, machine.value("epc_max_socket")
    return (readable(memory) if memory else "", readable(epc) if epc else most, machine.value("sgx"))


def _price(machine: Sku, region: str) -> str:
    prices = [each.hour for place, each in machine.prices.items() if not region or place == region]
    return f"{min(prices):.3f}" if prices else ""


def _life(machine: Sku) -> tuple[str, str]:
    return (machine.value("closed_to_new")[:_MONTH], machine.value("ends")[:_MONTH])


def facts_table(title: str, machine: Sku) -> Table:
    """Every statement about a machine; where they differ, the one that counts is first."""
    rows = Table(title=title, title_justify="left", box=None, pad_edge=False, collapse_padding=True, header_style="bold")
    for column in ("fact", "value", "source", "of", "looked up"):
        rows.add_column(column, overflow="fold")
    for name, fact in sorted(machine.facts.items()):
        for index, each in enumerate(fact.statements):
            cells = (_label(fact, index, name), each.value, each.source.title, each.source.date, each.day.isoformat())
            rows.add_row(*map(Text, cells))
    for (source, day), prices in _prices(machine).items():
        rows.add_row(*map(Text, ("prices, USD an hour", prices, source.title, source.date, day.isoformat())))
    return rows


def _label(fact: Fact, index: int, name: str) -> str:
    if index == 0:
        return name.replace("_", " ")
    return "  sources differ" if fact.is_disputed and fact.statements[index].value != fact.value else ""


def _prices(machine: Sku) -> dict[tuple[FactSource, date], str]:
    places: dict[tuple[FactSource, date], list[str]] = defaultdict(list)
    for region, price in sorted(machine.prices.items()):
        places[price.source, price.day].append(f"{region} {price.hour}")
    return {key: ", ".join(each) for key, each in places.items()}
