"""How a plan is shown: sentences and a table for people, a document for programs."""

import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from donjon.cli.sku.view import metal_as_json, proposal_as_json, servers, warnings_as_json
from donjon.cli.terminal import PIPED_WIDTH, plain, say, say_finding
from donjon.fleet.machines.recommend import Recommendation
from donjon.fleet.scheduling.outlook import Prospect
from donjon.fleet.scheduling.report import NodeEpc, PlanReport, WorkloadOutlook
from donjon.formats.json import JsonObject
from donjon.formats.words import recite
from donjon.kube.quantities import readable

WORKLOADS_SHOWN, NODES_SHOWN, NAMES_SHOWN = 40, 20, 10
_WORDS: Mapping[Prospect, str] = {
    Prospect.FITS: "fit",
    Prospect.MAY_FIT: "may fit, as the scheduler happens to choose",
    Prospect.PENDING: "stay Pending",
    Prospect.UNKNOWN: "of which nothing can be said",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeAbsence:
    """Nodes that the plan does without, and how many of their pods look for another."""

    nodes: tuple[str, ...]
    moved: int


def show(outcome: PlanReport, absence: NodeAbsence, advice: Recommendation | None) -> None:
    """For people: who has no room first, then what to buy, then the fullest nodes."""
    if absence.nodes:
        _say_absence(absence)
    say(_headline(outcome))
    _say_workloads(sorted(outcome.workloads, key=lambda each: each.prospects.keys() <= {Prospect.FITS}))
    if outcome.short:
        say()
        _say_purchase(advice)
    if outcome.nodes:
        say()
        _console().print(_table(outcome.nodes))
        if len(outcome.nodes) > NODES_SHOWN:
            say(f"and {len(outcome.nodes) - NODES_SHOWN} nodes less full; --output json has all")


def _say_absence(absence: NodeAbsence) -> None:
    count, rest = len(absence.nodes), " …" if len(absence.nodes) > NAMES_SHOWN else ""
    pods = f"{absence.moved} pod{'s' * (absence.moved != 1)}"
    say(f"without {count} node{'s' * (count != 1)}: {', '.join(absence.nodes[:NAMES_SHOWN])}{rest}; to move: {pods}")


def _headline(outcome: PlanReport) -> str:
    prospects: Counter[Prospect] = Counter()
    for each in outcome.workloads:
        prospects.update(each.prospects)
    count = prospects.total()
    if not count:
        return "no pod waits for a node, and none would have to move"
    tries = "one schedule was tried" if outcome.tries == 1 else f"in each of {outcome.tries} schedules that were tried"
    return f"{count} pod{'s' * (count != 1)}: {_numbers(prospects)} ({tries})"


def _numbers(prospects: Mapping[Prospect, int]) -> str:
    return ", ".join(f"{prospects[each]} {_WORDS[each]}" for each in Prospect if prospects.get(each))


def _say_workloads(workloads: list[WorkloadOutlook]) -> None:
    for each in workloads[:WORKLOADS_SHOWN]:
        say(f"{recite(each.name)}: {_numbers(each.prospects)}{f': {each.unread} is not looked at' if each.unread else ''}")
        if each.nodes:
            say(f"  {_places(each.nodes)}")
        for why in each.why:
            say(f"  {why}")
    if len(workloads) > WORKLOADS_SHOWN:
        say(f"and {len(workloads) - WORKLOADS_SHOWN} workloads more; --output json has all")


def _places(nodes: Mapping[str, int]) -> str:
    """Where they go in one schedule: others may do as well."""
    most = sorted(nodes.items(), key=lambda each: (-each[1], each[0]))
    rest = f" and {len(most) - NAMES_SHOWN} nodes more" if len(most) > NAMES_SHOWN else ""
    return f"for example {', '.join(f'{count} on {name}' for name, count in most[:NAMES_SHOWN])}{rest}"


def _say_purchase(advice: Recommendation | None) -> None:
    if advice is None:
        return
    for proposal in advice.proposals[:1]:
        cost = "" if proposal.monthly_cost is None else f", {proposal.monthly_cost:.0f} USD a month in {proposal.region}"
        say(f"to buy: {proposal.count} × {proposal.machine.name}{cost}; donjon sku recommend reasons aloud")
    for metal in advice.metal[:1]:
        say(f"or of one's own: {servers(metal.count, metal.setting)}, such as {metal.machine.name}")
    for finding in (*(advice.proposals[0].warnings if advice.proposals else ()), *advice.warnings):
        say_finding(plain(finding))


def _table(nodes: tuple[NodeEpc, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    metered = any(each.use is not None for each in nodes)
    for column in ("node", "EPC", "requested", "then", "of EPC", *(("used now", "of EPC") if metered else ())):
        table.add_column(column, justify="left" if column == "node" else "right")
    for each in sorted(nodes, key=_fullness, reverse=True)[:NODES_SHOWN]:
        use = () if not metered else ("?", "?") if each.use is None else (_amount(each.use), _share(each.use, each.total))
        table.add_row(
            Text(plain(each.name)),
            _amount(each.total),
            _amount(each.before),
            _amount(each.after),
            _share(each.after, each.total),
            *use,
        )
    return table


def _fullness(node: NodeEpc) -> float:
    return max(node.after, node.use or 0) / node.total


def _amount(number: int) -> str:
    return readable(number) if number else "0"


def _share(part: int, total: int) -> Text:
    """Over all of it, pages are evicted."""
    return Text(f"{100 * part / total:.0f} %", style="red" if part > total else "")


def document(outcome: PlanReport, absence: NodeAbsence, advice: Recommendation | None) -> JsonObject:
    """For programs: everything."""
    first = advice.proposals[0] if advice is not None and advice.proposals else None
    return {
        "retired": [*absence.nodes],
        "moved": absence.moved,
        "tries": outcome.tries,
        "workloads": [
            {
                "name": each.name,
                **{str(prospect).replace(" ", "_"): each.prospects.get(prospect, 0) for prospect in Prospect},
                "nodes": dict(each.nodes),
                "why": [*each.why],
                "unread": each.unread or None,
            }
            for each in outcome.workloads
        ],
        "nodes": [
            {"name": each.name, "epc": each.total, "before": each.before, "after": each.after, "use": each.use}
            for each in outcome.nodes
        ],
        "buy": None if first is None else proposal_as_json(first),
        "metal": [] if advice is None else metal_as_json(advice),
        "warnings": [] if advice is None else warnings_as_json(advice),
    }


def _console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
