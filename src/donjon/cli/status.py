"""`donjon status`: whether Donjon works in a cluster, what is wrong first. Tries pods by dry runs, and changes nothing."""

import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from donjon import __version__
from donjon.adapters import clock
from donjon.cli import options
from donjon.cli.terminal import PIPED_WIDTH, plain, print_finding, say, say_json
from donjon.diagnosis.installation import RowState, StatusPart
from donjon.errors import EXIT_NO, EXIT_YES, Unavailable
from donjon.formats.json import Json, JsonObject

if TYPE_CHECKING:
    from donjon.adapters.cluster.client import UserCluster
    from donjon.diagnosis.status import Status

REST = 1.0  # seconds between two looks while waiting
_STYLES = {
    RowState.WELL: "green",
    RowState.WRONG: "red",
    RowState.DOUBTFUL: "yellow",
    RowState.UNKNOWN: "yellow",
    RowState.ABSENT: "dim",
}


def _wait(_: click.Context, __: click.Parameter, text: str | None) -> timedelta:
    return timedelta() if text is None else options.read_duration(text)


@click.command()
@options.NAMESPACE
@options.KUBECONFIG
@options.CONTEXT
@click.option("--wait", callback=_wait, metavar="DURATION", help="Look again until all is well, for so long: 2m.")
@options.FORM
def status(*, namespace: str | None, kubeconfig: Path | None, context: str | None, wait: timedelta, form: str) -> None:
    """Say whether Donjon works in the cluster, what is wrong first, and what to do about it.

    Looks with your own rights, and tries two pods in the namespace by a dry run: nothing is made or changed. Exit code 0 all is
    well, 1 something is wrong, 2 a kubeconfig that cannot be used, 3 could not look.
    """
    cluster_client = options.work("donjon.adapters.cluster.client", extra="cluster")
    cluster = cluster_client.open_cluster(os.environ, kubeconfig=kubeconfig, context=context)
    answer = _look(cluster, namespace or cluster.namespace, wait.total_seconds())
    if form == "json":
        say_json(_document(answer))
    else:
        _print(plain(answer))
    sys.exit(EXIT_YES if answer.well else EXIT_NO)


def _look(cluster: "UserCluster", namespace: str, patience: float) -> "Status":
    """The status; with patience, that of the first look at which all was well, or else of the last."""
    deadline, progress = clock.monotonic() + patience, ""
    while True:
        try:
            answer = _status(cluster, namespace)
        except Unavailable as error:
            if clock.monotonic() + REST > deadline:
                raise
            words = str(error)
        else:
            if answer.well or clock.monotonic() + REST > deadline:
                return answer
            words = answer.verdict
        if words != progress:
            say(words, err=True)
            progress = words
        clock.pause(REST)


def _status(cluster: "UserCluster", namespace: str) -> "Status":
    installation = options.work("donjon.adapters.cluster.installation", extra="cluster")
    judge = options.work("donjon.diagnosis.status", extra="cluster").judge
    here = installation.read(cluster, namespace, moment=clock.moment(), client_version=__version__)
    answer: Status = judge(here)
    return answer


def _document(answer: "Status") -> JsonObject:
    findings: list[Json] = [{**each.as_dict()} for each in answer.findings]
    parts: list[Json] = [_part(each) for each in answer.parts]
    return {"well": answer.well, "verdict": answer.verdict, "findings": findings, "parts": parts}


def _part(part: StatusPart) -> JsonObject:
    rows: list[Json] = [{"name": each.name, "state": str(each.state), "found": each.words} for each in part.rows]
    return {"name": part.name, "well": part.well, "rows": rows}


def _print(answer: "Status") -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
    console.print(Text(answer.verdict, style="green" if answer.well else "red"), soft_wrap=True)
    for finding in answer.findings:
        say()
        print_finding(finding)
    if answer.parts:
        console.print()
        console.print(_table(answer.parts))


def _table(parts: tuple[StatusPart, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("part", "what", "state", "found"):
        table.add_column(heading, overflow="fold")
    for part in parts:
        for number, row in enumerate(part.rows):
            name = "" if number else part.name
            table.add_row(Text(name), Text(row.name), Text(str(row.state), style=_STYLES[row.state]), Text(row.words))
    return table
