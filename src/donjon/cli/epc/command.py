"""`donjon epc top`: who holds how much EPC now. Reads, and changes nothing."""

import os
import sys
from contextlib import nullcontext, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console, RenderableType
from rich.live import Live

from donjon.adapters import clock
from donjon.cli import options
from donjon.cli.epc.view import Page, document, render
from donjon.cli.terminal import PIPED_WIDTH, plain, say, say_json
from donjon.errors import Unavailable
from donjon.kube.epc_tally import TallyGroup, tally

if TYPE_CHECKING:
    from donjon.adapters.cluster.client import UserCluster
    from donjon.adapters.cluster.meters import MeterAnswer


MOST_NAMED = 3  # nodes in one error


def _every(_: click.Context, __: click.Parameter, text: str | None) -> timedelta | None:
    if text is None:
        return None
    pause = options.read_duration(text)
    if pause < timedelta(seconds=1):
        raise click.BadParameter(f"{text}: expected one second or more")
    return pause


@click.group()
def epc() -> None:
    """Enclave memory (EPC): who holds how much."""


@epc.command(cls=options.StrictCommand)
@click.option(
    "--by",
    type=click.Choice([str(each) for each in TallyGroup]),
    default=str(TallyGroup.POD),
    show_default=True,
    help="What one row is about.",
)
@click.option("--namespace", "-n", help="Of this namespace alone; all where it is not given.")
@click.option(
    "--every", callback=_every, metavar="DURATION", help="Go on, with new figures as often as that: 5s. Ctrl-C ends it."
)
@options.KUBECONFIG
@options.CONTEXT
@options.FORM
def top(
    *, by: str, namespace: str | None, every: timedelta | None, kubeconfig: Path | None, context: str | None, form: str
) -> None:
    """Say who holds how much EPC now, who holds most first, as the nodes' meters count it.

    resident is in EPC now, evicted was taken from it and comes back when it is touched. Asks the agents' pods through the API
    server, with your own rights. Exit code 0 the figures are there, 2 a kubeconfig that cannot be used, 3 could not look.
    """
    if every is not None and form == "json":
        raise click.UsageError("--every goes on for people; for programs, ask again")
    cluster_client = options.work("donjon.adapters.cluster.client", extra="cluster")
    cluster = cluster_client.open_cluster(os.environ, kubeconfig=kubeconfig, context=context)
    group = TallyGroup(by)
    if every is not None:
        with suppress(KeyboardInterrupt):
            _go_on(cluster, group, namespace or "", every.total_seconds())
        return
    page = _look(cluster, group, namespace or "")
    if form == "json":
        say_json(document(page))
    else:
        _console().print(render(plain(page)))
        for node, problem in page.problems:
            say(f"{node}: unknown: {problem}", err=True)


def _console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)


def _go_on(cluster: "UserCluster", group: TallyGroup, namespace: str, pause: float) -> None:
    """New figures again and again, on a terminal in place of the last; what cannot be read once is said in their place."""
    console = _console()
    with Live(console=console, auto_refresh=False, screen=True) if console.is_terminal else nullcontext() as live:
        while True:
            try:
                picture: RenderableType = render(plain(_look(cluster, group, namespace)))
            except Unavailable as error:
                picture = plain(str(error))
            if live is not None:
                live.update(picture, refresh=True)
            else:
                console.print(picture, end="\n\n")
                sys.stdout.flush()
            clock.pause(pause)


def _look(cluster: "UserCluster", group: TallyGroup, namespace: str) -> Page:
    meters = options.work("donjon.adapters.cluster.meters", extra="cluster")
    answers: tuple[MeterAnswer, ...] = meters.read_meters(cluster)
    reports = tuple(each.report for each in answers if each.report is not None)
    if not reports:
        raise Unavailable("DJ785", _reasons(answers))
    return Page(
        group=group,
        namespace=namespace,
        rows=tally(reports, group, namespace),
        reports=reports,
        problems=tuple((each.node, each.problem) for each in answers if each.report is None and not each.is_idle),
    )


def _reasons(answers: "tuple[MeterAnswer, ...]") -> str:
    """Why none has a report, by a few of them: nodes without SGX have none to give, and are named where there are no others."""
    silent = [each for each in answers if not each.is_idle] or list(answers)
    words = "; ".join(f"meter of {each.node}: {each.problem}" for each in silent[:MOST_NAMED])
    return f"{words}; and {len(silent) - MOST_NAMED} more" if len(silent) > MOST_NAMED else words
