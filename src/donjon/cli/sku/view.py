"""How machines and recommendations are shown: tables and sentences for people, documents for programs."""

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from donjon.cli.terminal import plain, say, say_finding
from donjon.fleet.machines.catalogue import Sku
from donjon.fleet.machines.packing import PodGroup
from donjon.fleet.machines.recommend import FEATURES, HOURS, SOCKETS, Demand, Proposal, Recommendation
from donjon.formats.json import Json, JsonObject
from donjon.kube.names import EPC
from donjon.kube.quantities import readable
from donjon.kube.reserved import Amounts

PRICE_NOTE = "prices: US dollars an hour, Linux, without reservation; the cheapest region's where none is named"
OTHERS_SHOWN = 4
"""Sizes that would do, too, of which people are told."""
RULINGS_SHOWN = 40

_COLUMNS = ("name", "provider", "processors", "memory", "EPC", "SGX", "price", "new ones", "ends")


def table(machines: Iterable[Sku], region: str) -> Table:
    """A line for each machine."""
    rows = Table(box=None, pad_edge=False, header_style="bold")
    for column in _COLUMNS:
        rows.add_column(column, justify="right" if column in {"processors", "memory", "EPC", "price"} else "left")
    for each in machines:
        rows.add_row(
            *map(Text, (each.name, each.provider, each.value("cpus"), *_sizes(each), _price(each, region), *_life(each)))
        )
    return rows


def _sizes(machine: Sku) -> tuple[str, str, str]:
    memory, epc, most = machine.memory, machine.epc, machine.value("epc_max_socket")
    of_metal = f"{most} a socket at most" if most else ""
    return (readable(memory) if memory else "", readable(epc) if epc else of_metal, machine.value("sgx"))


def _price(machine: Sku, region: str) -> str:
    prices = [each.hour for place, each in machine.prices.items() if not region or place == region]
    return f"{min(prices):.3f}" if prices else ""


def _life(machine: Sku) -> tuple[str, str]:
    closed = machine.closed_to_new
    return (f"until {closed}" if closed else "", machine.value("ends"))


def facts_table(title: str, machine: Sku) -> Table:
    """Every statement about a machine; where they differ, the one that counts is first."""
    rows = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in ("fact", "value", "source", "of", "looked up"):
        rows.add_column(column, overflow="fold")
    for name, fact in sorted(machine.facts.items()):
        for index, each in enumerate(fact.statements):
            label = name.replace("_", " ") if index == 0 else "  sources differ" if each.value != fact.value else ""
            rows.add_row(*map(Text, (label, each.value, each.source.title, each.source.date, each.day.isoformat())))
    for region, price in sorted(machine.prices.items()):
        cells = (f"price, {region}", f"{price.hour} USD/h", price.source.title, price.source.date, price.day.isoformat())
        rows.add_row(*map(Text, cells))
    return rows


def machine_as_json(machine: Sku, region: str) -> JsonObject:
    """A machine, with one region's prices where one is named."""
    return {
        "name": machine.name,
        "provider": machine.provider,
        "cpus": machine.cpus,
        "memory": machine.memory,
        "epc": machine.epc,
        "sgx": machine.value("sgx"),
        "closed_to_new": machine.value("closed_to_new") or None,
        "ends": machine.value("ends") or None,
        "prices": {place: float(each.hour) for place, each in machine.prices.items() if not region or place == region},
    }


def all_as_json(machine: Sku) -> JsonObject:
    """A machine with every statement about it."""
    facts: JsonObject = {
        name: {
            "value": fact.value,
            "disputed": fact.is_disputed,
            "statements": [
                {
                    "value": each.value,
                    "source": each.source.title,
                    "place": each.source.place,
                    "checked": each.day.isoformat(),
                }
                for each in fact.statements
            ],
        }
        for name, fact in machine.facts.items()
    }
    return {**machine_as_json(machine, ""), "facts": facts}


def recommendation_as_json(outcome: Recommendation) -> JsonObject:
    """The first proposal, with what else would do, and why the others do not; `name` is null where none does."""
    first = outcome.proposals[0] if outcome.proposals else None
    proposal = _proposal_as_json(first) if first else {"name": None, "count": 0, "monthly_cost": None, "left": {}}
    warnings: list[Json] = [dict(each.as_dict()) for each in (*(first.warnings if first else ()), *outcome.warnings)]
    return {
        **proposal,
        "warnings": warnings,
        "metal": [
            {"name": each.machine.name, "count": each.count, "sockets": SOCKETS, "epc_of_a_socket": each.setting}
            for each in outcome.metal
        ],
        "alternatives": [_proposal_as_json(each) for each in outcome.proposals[1:]],
        "ruled_out": [{"name": each.name, "why": each.why} for each in outcome.ruled_out],
    }


def _proposal_as_json(proposal: Proposal) -> JsonObject:
    return {
        "name": proposal.machine.name,
        "count": proposal.count,
        "monthly_cost": None if proposal.monthly_cost is None else round(float(proposal.monthly_cost), 2),
        "region": proposal.region or None,
        "left": {name: float(amount) for name, amount in proposal.left.items()},
    }


def say_recommendation(demand: Demand, outcome: Recommendation) -> None:
    """The same, in the order in which a person reasons: what is asked for, what does not do, what does."""
    for each in demand.groups:
        say(_words(each))
    wishes = [*(f"in {demand.region}" for _ in demand.region[:1]), *(FEATURES[name] for name in sorted(demand.features))]
    if wishes:
        say(f"with: {', '.join(wishes)}")
    say()
    _say_rulings(outcome)
    for index, proposal in enumerate(outcome.proposals[: OTHERS_SHOWN + 1]):
        say(f"{'take' if index == 0 else 'or'} {_sentence(proposal)}")
        for finding in proposal.warnings if index == 0 else ():
            say_finding(plain(finding), before="  ")
    _say_metal(outcome)
    for finding in outcome.warnings:
        say_finding(finding)


def _say_rulings(outcome: Recommendation) -> None:
    if outcome.ruled_out:
        say("ruled out:")
        for ruling in outcome.ruled_out[:RULINGS_SHOWN]:
            say(f"  {ruling.name}: {ruling.why}")
        if len(outcome.ruled_out) > RULINGS_SHOWN:
            say(f"  and {len(outcome.ruled_out) - RULINGS_SHOWN} more (--output json has all)")
        say()


def _say_metal(outcome: Recommendation) -> None:
    by_need: dict[tuple[int, int], list[str]] = {}
    for metal in outcome.metal:
        by_need.setdefault((metal.count, metal.setting), []).append(metal.machine.name)
    for (count, setting), names in by_need.items():
        say(f"or metal of your own: {_metal(count, setting)}: {', '.join(names)}")


def _metal(count: int, setting: int) -> str:
    return (
        f"{count} server{'s' * (count != 1)} of {SOCKETS} sockets with {readable(setting)} of EPC set for each, of one of these"
    )


def _words(group: PodGroup) -> str:
    amounts = ", ".join(_amount(name, amount) for name, amount in group.requests.items()) or "nothing that is counted"
    many = "one on each node" if group.on_each_node else f"{group.replicas} pod{'s' * (group.replicas != 1)}"
    return f"{group.name}: {many}, each with {amounts}"


def _amount(name: str, amount: object) -> str:
    number = float(amount)  # type: ignore[arg-type] # A fraction.
    return f"{readable(int(number))} of {'EPC' if name == EPC else 'memory'}" if name in {EPC, "memory"} else f"{number:g} {name}"


def _sentence(proposal: Proposal) -> str:
    cost = "no price is known"
    if proposal.monthly_cost is not None:
        cost = f"{proposal.monthly_cost:.2f} USD a month ({HOURS} hours, in {proposal.region})"
    return f"{proposal.count} × {proposal.machine.name}: {cost}; left over: {_left(proposal.left)}"


def _left(left: Amounts) -> str:
    return ", ".join(_amount(name, amount) for name, amount in left.items() if name != "pods")
