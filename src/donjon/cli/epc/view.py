"""How `donjon epc top` shows what meters say: a table for people, a document for programs."""

from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from donjon.formats.json import Json, JsonObject
from donjon.kube.epc_findings import gap
from donjon.kube.epc_report import EpcReport
from donjon.kube.epc_tally import TallyGroup, TallyRow
from donjon.kube.quantities import readable
from donjon.sgx.epc import EpcSource, EpcUse

_PART = "at least: of such a container more is there than the meter counts"
_BOUND = "at most: by the sizes of mapped areas, since the kernel's own count cannot be read there (donjon doctor says why)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """All that one look brought."""

    group: TallyGroup
    namespace: str  # of which it is alone; empty for all
    rows: tuple[TallyRow, ...]
    reports: tuple[EpcReport, ...]
    problems: tuple[tuple[str, str], ...]  # a node, and why nothing is known of it


def render(page: Page) -> RenderableType:
    """The page for people: a line for each node, and the rows."""
    bounds = {each.node for each in page.reports if each.source == EpcSource.MAPS}
    parts: list[RenderableType] = [_node_table(page.reports)]
    if page.group != TallyGroup.NODE:
        whose = f"no pod of namespace {page.namespace}" if page.namespace else "no pod"
        parts += [Text(), _table(page.group, page.rows, bounds) if page.rows else Text(f"{whose} holds or asked for EPC")]
    if any(each.at_least for report in page.reports for each in report.containers):
        parts.append(Text(f"\n≥ {_PART}", style="dim"))
    if bounds:
        parts.append(Text(f"\n≤ {_BOUND}", style="dim"))
    parts += [Text(f"{each.node}: {words}", style="yellow") for each in page.reports if (words := gap(each))]
    return Group(*parts)


def _node_table(reports: tuple[EpcReport, ...]) -> Table:
    table = _frame("node", "EPC", "free", "resident", "peak", "evicted", "of EPC", "requested", "guests", "of no pod", "source")
    for each in sorted(reports, key=lambda report: report.node):
        mark = "≤ " if each.source == EpcSource.MAPS else "≥ " if any(one.at_least for one in each.containers) else ""
        table.add_row(
            Text(each.node),
            _amount(each.total),
            _amount(each.free),
            f"{mark}{_amount(each.use.resident)}",
            f"{mark}{_amount(each.peak)}",
            _amount(each.use.evicted),
            _fullness(each, mark),
            _amount(sum(container.request for container in each.containers)),
            f"{mark}{_amount(each.guests)}",
            f"{mark}{_amount(each.system.resident + each.system_guests)}",
            str(each.source),
        )
    return table


def _fullness(report: EpcReport, mark: str) -> Text:
    """All that was made on the node, in EPC or not, as a part of its EPC: over all of it, it is overcommitted."""
    if not report.total:
        return Text("?")
    percent = 100 * (report.use.need + report.guests) / report.total
    return Text(f"{mark}{percent:.0f} %", style="red" if percent > 100 and not mark else "")  # noqa: PLR2004 - all of it.


def _table(group: TallyGroup, rows: tuple[TallyRow, ...], bounds: set[str]) -> Table:
    names = {TallyGroup.NAMESPACE: ("namespace",), TallyGroup.POD: ("namespace", "pod")}
    heads = names.get(group, ("namespace", "pod", "container"))
    table = _frame(*heads, "node", "requested", "resident", "evicted", "of request", "peak", "enclaves")
    for row in rows:
        mark = "≤ " if bounds & set(row.nodes) else "≥ " if row.at_least else ""
        node = row.nodes[0] if len(row.nodes) == 1 else f"{len(row.nodes)} nodes"
        table.add_row(
            *map(Text, row.name),
            Text(node),
            _amount(row.request),
            f"{mark}{_amount(row.resident)}",
            _amount(row.use.evicted),
            _share(row, mark),
            f"{'' if row.peak is None else mark}{_amount(row.peak)}",
            _enclaves(row.use),
        )
    return table


def _frame(*heads: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for each in heads:
        table.add_column(each, overflow="fold")
    return table


def _amount(number: int | None) -> str:
    return "?" if number is None else readable(number) if number else "0"


def _share(row: TallyRow, mark: str) -> Text:
    """All that was made, in EPC or not, as a part of what was asked for: more than all of it is asked for too little.

    By an upper bound nobody is said to hold too much.
    """
    if not row.request:
        return Text("nothing asked" if row.use.enclaves else "-", style="yellow" if row.use.enclaves else "")
    percent = 100 * (row.use.need + row.guests) / row.request
    return Text(f"{mark}{percent:.0f} %", style="red" if percent > 100 and not mark else "")  # noqa: PLR2004 - all of it.


def _enclaves(use: EpcUse) -> str:
    if use.existing is None:  # By areas nobody knows.
        return "?"
    kinds = ((use.debug, "debug"), (use.building, "not initialised"))
    words = ", ".join(f"{count} {kind}" for count, kind in kinds if count)
    return f"{use.enclaves} ({words})" if words else str(use.enclaves)


def document(page: Page) -> JsonObject:
    """The page for programs, amounts in bytes; what is unknown is null."""
    rows: list[Json] = [_row_document(page.group, row) for row in page.rows]
    nodes: list[Json] = [_node_document(each) for each in page.reports]
    unknown: list[Json] = [{"node": node, "why": why} for node, why in page.problems]
    return {"by": str(page.group), "rows": rows, "nodes": nodes, "unknown": unknown}


def _row_document(group: TallyGroup, row: TallyRow) -> JsonObject:
    names = ("node",) if group == TallyGroup.NODE else ("namespace", "pod", "container")
    nodes: list[Json] = list(row.nodes)
    return {
        **dict(zip(names, row.name, strict=False)),
        "nodes": nodes,
        "request": row.request,
        **_use_document(row.use),
        "guests": row.guests,
        "peak": row.peak,
        "containers": row.containers,
        "atLeast": row.at_least,
    }


def _node_document(report: EpcReport) -> JsonObject:
    return {
        "name": report.node,
        "moment": report.moment,
        "source": str(report.source),
        "total": report.total,
        "free": report.free,
        **_use_document(report.use),
        "guests": report.guests,
        "peak": report.peak,
        "unaccounted": report.unaccounted,
        "system": _use_document(report.system),
        "systemGuests": report.system_guests,
        "reclaimerSeconds": report.reclaimer_seconds,
        "unreadableProcesses": report.unreadable,
        "containersLeftOut": report.left_out,
    }


def _use_document(use: EpcUse) -> JsonObject:
    return {
        "resident": use.resident,
        "control": use.control,
        "existing": use.existing,
        "evicted": use.evicted,
        "enclaves": None if use.existing is None else use.enclaves,
        "debugEnclaves": None if use.existing is None else use.debug,
        "enclavesNotInitialised": None if use.existing is None else use.building,
    }
