"""What `donjon plan --watch` is told on its command line, and the watch that comes of it."""

import os
import sys
from collections.abc import Callable
from contextlib import closing, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import TypedDict, TypeVar

import click

from donjon.adapters import clock
from donjon.cli import options
from donjon.cli.plan.sizes import AzureSizes, MachineSizes
from donjon.cli.plan.sources import ClusterReader
from donjon.cli.plan.watch import PoolWatch, watch
from donjon.cli.pool.apply import ENDPOINT, SUBSCRIPTION, open_pools
from donjon.cli.pool.plan import read_sound
from donjon.cli.sku.command import catalogue
from donjon.errors import EXIT_NO, EXIT_YES, Misconfigured
from donjon.fleet.pools.plan import Cloud, FleetPlan, PoolScale, Scaler
from donjon.fleet.scaling.membership import watched_pools
from donjon.fleet.scaling.record import ScalingRules, ScalingVerb

F = TypeVar("F", bound=Callable[..., object])


class WatchOptions(TypedDict):
    """As click hands them over."""

    watch: str | None
    once: bool
    every: timedelta
    patience: timedelta
    shrink_after: timedelta
    shrink: bool
    apply: bool
    subscription: str | None
    endpoint: str
    management_kubeconfig: Path | None


def _duration(_: click.Context, __: click.Parameter, text: str) -> timedelta:
    span = options.read_duration(text)
    if span < timedelta(seconds=1):
        raise click.BadParameter(f"{text}: expected one second or more")
    return span


def _span(name: str, default: str, words: str) -> Callable[[F], F]:
    return click.option(name, callback=_duration, default=default, show_default=True, metavar="DURATION", help=words)


OPTIONS = (
    click.option("--watch", metavar="FILE", help="Propose sizes for the pools of this plan, again and again, until Ctrl-C."),
    click.option("--once", is_flag=True, help="With --watch: one look."),
    _span("--every", "30s", "With --watch: from one look to the next."),
    _span("--patience", "10m", "With --watch: until nodes that were asked for must be there, with EPC."),
    _span("--shrink-after", "10m", "With --watch: for how long a node must have been one too many."),
    click.option("--shrink/--no-shrink", default=True, help="With --watch: whether pools may become smaller."),
    click.option("--apply", is_flag=True, help="With --watch: do it, for pools with scale: {by: donjon}."),
    click.option(
        "--management-kubeconfig",
        type=click.Path(path_type=Path, dir_okay=False),
        help="With --watch, of a metal plan: the kubeconfig of Cluster API's own cluster.",
    ),
    SUBSCRIPTION,
    ENDPOINT,
)

OF_WATCH = ("apply", "once", "every", "patience", "shrink_after", "shrink")
"""Of these, what says nothing to a plan that is made once."""


def watch_options(command: F) -> F:
    """The command with the options of --watch."""
    return options.with_options(command, OPTIONS)


def scale(order: WatchOptions, kubeconfig: Path | None, context: str | None, *, as_json: bool) -> None:
    """Watch, and end with the exit code of `--once` where it was given."""
    machines = catalogue()
    plan = read_sound(order["watch"] or "", machines)
    pools = watched_pools(plan, machines.machines)
    sizes = _sizes(plan, order)
    rules = ScalingRules(
        patience=order["patience"], shrink_after=order["shrink_after"], shrinks=order["shrink"], acts=order["apply"]
    )
    here = PoolWatch(
        pools=pools,
        skus=machines.machines,
        region=plan.cluster.region,
        picture=ClusterReader(kubeconfig, context).read,
        cloud=sizes,
        rules=rules,
        as_json=as_json,
    )
    with nullcontext() if sizes is None else closing(sizes):
        if order["once"]:
            _once(here)
        watch(here, clock.moment, clock.pause, order["every"].total_seconds())


def _once(here: PoolWatch) -> None:
    steps = here.look(clock.moment())
    if here.trouble is not None:
        raise here.trouble
    sys.exit(EXIT_NO if any(each.verb is not ScalingVerb.HOLD for each in steps) else EXIT_YES)


def _sizes(plan: FleetPlan, order: WatchOptions) -> "AzureSizes | MachineSizes | None":
    """Who is asked how many nodes are made, where somebody is named; where pools are to be changed, somebody must be."""
    cloud, management = plan.cluster.cloud, order["management_kubeconfig"]
    may_act = cloud is Cloud.AZURE or (cloud is Cloud.METAL and management is not None)
    if order["apply"] and not (may_act and any(_is_ours(each.scale) for each in plan.pools)):
        raise Misconfigured(
            "DJ853",
            "--apply changes pools of AKS or Cluster API with scale: {by: donjon}, and the plan has none of a cloud named",
        )
    if cloud is Cloud.AZURE and (order["apply"] or order["subscription"]):
        return AzureSizes(open_pools(plan, order["subscription"], order["endpoint"]))
    if cloud is Cloud.METAL and management is not None:
        client = options.work("donjon.adapters.cluster.client", extra="cluster")
        machines = options.work("donjon.adapters.cluster.machines", extra="cluster")
        return MachineSizes(machines.MachineDeployments(client.open_cluster(os.environ, kubeconfig=management, context=None)))
    return None


def _is_ours(scale: PoolScale | None) -> bool:
    return scale is not None and scale.by is Scaler.DONJON
