"""How machines and recommendations are shown: sentences for people, documents for programs."""

from collections.abc import Sequence
from itertools import islice

from donjon.cli.terminal import plain, say, say_finding
from donjon.fleet.machines.catalogue import Sku
from donjon.fleet.machines.packing import PodGroup
from donjon.fleet.machines.recommend import FEATURES, HOURS, SOCKETS, Demand, Proposal, Recommendation
from donjon.formats.json import Json, JsonObject
from donjon.kube.names import EPC
from donjon.kube.quantities import readable
from donjon.kube.reserved import Amounts

OTHERS_SHOWN = 4
"""Sizes that would do, too, of which people are told."""
REASONS_SHOWN, NAMES_SHOWN = 20, 4


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
    nothing: JsonObject = {"name": None, "count": 0, "monthly_cost": None, "region": None, "left": {}}
    return {
        **(proposal_as_json(first) if first else nothing),
        "warnings": warnings_as_json(outcome),
        "metal": metal_as_json(outcome),
        "alternatives": [proposal_as_json(each) for each in outcome.proposals[1:]],
        "ruled_out": [{"name": each.name, "why": each.why} for each in outcome.ruled_out],
    }


def warnings_as_json(outcome: Recommendation) -> list[Json]:
    """What is to be said of the first proposal, and of all."""
    first = outcome.proposals[0].warnings if outcome.proposals else ()
    return [dict(each.as_dict()) for each in (*first, *outcome.warnings)]


def metal_as_json(outcome: Recommendation) -> list[Json]:
    """Servers of one's own that would do."""
    return [
        {"name": each.machine.name, "count": each.count, "sockets": SOCKETS, "epc_of_a_socket": each.setting}
        for each in outcome.metal
    ]


def proposal_as_json(proposal: Proposal) -> JsonObject:
    """A size, how many of it, and what that costs and leaves over: bytes, pods and processors."""
    return {
        "name": proposal.machine.name,
        "count": proposal.count,
        "monthly_cost": None if proposal.monthly_cost is None else round(float(proposal.monthly_cost), 2),
        "region": proposal.region or None,
        "left": {name: float(each) if name == "cpu" else int(each) for name, each in proposal.left.items()},
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
    by_reason: dict[str, list[str]] = {}
    for ruling in outcome.ruled_out:
        by_reason.setdefault(ruling.why, []).append(ruling.name)
    if by_reason:
        say(f"ruled out, {len(outcome.ruled_out)} sizes:")
        for why, names in islice(by_reason.items(), REASONS_SHOWN):
            say(f"  {why}: {_some(names)}")
        if len(by_reason) > REASONS_SHOWN:
            say(f"  and for {len(by_reason) - REASONS_SHOWN} reasons more (--output json has all)")
        say()


def _some(names: Sequence[str]) -> str:
    rest = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return f"{', '.join(names[:NAMES_SHOWN])}{rest}"


def _say_metal(outcome: Recommendation) -> None:
    by_need: dict[tuple[int, int], list[str]] = {}
    for metal in outcome.metal:
        by_need.setdefault((metal.count, metal.setting), []).append(metal.machine.name)
    for (count, setting), names in by_need.items():
        say(f"or metal of your own: {servers(count, setting)}, of one of these: {', '.join(names)}")
    if outcome.metal:
        say("  not every model may be given as much EPC: ask for its SGX capacity; donjon sku show NAME has what is known")


def servers(count: int, setting: int) -> str:
    """So many, and what their firmware is to be told."""
    return f"{count} server{'s' * (count != 1)} of {SOCKETS} sockets with {readable(setting)} of EPC set for each"


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
