"""What `donjon plan --watch` is order on its command line, and the watch that comes of it."""

import sys
from collections.abc import Callable
from contextlib import closing, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, TypeVar

import click

from donjon.adapters import clock
from donjon.cli import options
from donjon.cli.plan.sources import ClusterReader
from donjon.cli.plan.watch import PoolWatch, watch
from donjon.cli.pool.apply import ENDPOINT, SUBSCRIPTION, open_pools
from donjon.cli.pool.plan import read_sound
from donjon.cli.sku.command import catalogue
from donjon.errors import EXIT_NO, EXIT_YES, Misconfigured, Unavailable
from donjon.fleet.pools.plan import Cloud, FleetPlan, PoolScale, Scaler
from donjon.fleet.scaling.membership import CloudPool, watched_pools
from donjon.fleet.scaling.record import ScalingRules, ScalingVerb
from donjon.formats.json import at
from donjon.formats.words import recite

if TYPE_CHECKING:
    from donjon.adapters.azure.pools import AksPools

F = TypeVar("F", bound=Callable[..., object])
SETTLED_STATES = frozenset({"Succeeded", "Failed", "Canceled", ""})
"""Azure's words for a pool that nobody changes now."""


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
    click.option("--apply", is_flag=True, help="With --watch: do it in Azure, for pools with scale: {by: donjon}."),
    SUBSCRIPTION,
    ENDPOINT,
)


def watch_options(command: F) -> F:
    """The command with the options of --watch."""
    return options.with_options(command, OPTIONS)


def scale(order: WatchOptions, kubeconfig: Path | None, context: str | None, *, as_json: bool) -> None:
    """Watch, and end with the exit code of `--once` where it was given."""
    machines = catalogue()
    plan = read_sound(order["watch"] or "", machines)
    pools = watched_pools(plan, machines.machines)
    azure = _azure(plan, order)
    rules = ScalingRules(
        patience=order["patience"], shrink_after=order["shrink_after"], shrinks=order["shrink"], acts=order["apply"]
    )
    here = PoolWatch(
        pools=pools,
        skus=machines.machines,
        region=plan.cluster.region,
        picture=ClusterReader(kubeconfig, context).read,
        cloud=None if azure is None else AzureSizes(azure),
        rules=rules,
        as_json=as_json,
    )
    with nullcontext() if azure is None else closing(azure):
        if order["once"]:
            _once(here)
        watch(here, clock.moment, clock.pause, order["every"].total_seconds())


def _once(here: PoolWatch) -> None:
    steps = here.look(clock.moment())
    if here.trouble is not None:
        raise here.trouble
    sys.exit(EXIT_NO if any(each.verb is not ScalingVerb.HOLD for each in steps) else EXIT_YES)


def _azure(plan: FleetPlan, order: WatchOptions) -> "AksPools | None":
    """Where a subscription is named, Azure is asked how many nodes it makes; where it is to be changed, one must be."""
    if order["apply"] and not (plan.cluster.cloud is Cloud.AZURE and any(_is_ours(each.scale) for each in plan.pools)):
        raise Misconfigured("DJ853", "--apply changes pools of AKS with scale: {by: donjon}, and the plan has none")
    if not order["apply"] and (plan.cluster.cloud is not Cloud.AZURE or not order["subscription"]):
        return None
    return open_pools(plan, order["subscription"], order["endpoint"])


def _is_ours(scale: PoolScale | None) -> bool:
    return scale is not None and scale.by is Scaler.DONJON


class AzureSizes:
    """How many nodes Azure makes for each pool, and another number asked for."""

    def __init__(self, pools: "AksPools") -> None:
        self._pools = pools

    def look(self, pool: str) -> CloudPool:
        """What Azure says of it; raises `Unavailable`."""
        there = self._pools.read(pool)
        if there is None:
            return CloudPool(size=0, trouble="Azure has no such pool: donjon pool apply makes it")
        count, state = there[0].get("count"), str(at(there[0], "provisioningState") or "")
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise Unavailable("DJ845", f"pool {pool}: Azure does not say how many nodes it has")
        trouble = "" if state in SETTLED_STATES else f"Azure is still at its last change ({recite(state)})"
        if there[0].get("enableAutoScaling"):
            trouble = "AKS' own autoscaler says how many nodes it has"
        return CloudPool(size=count, trouble=trouble)

    def resize(self, pool: str, before: int, after: int) -> None:
        """Asked for; raises `Unavailable`, `Malformed`."""
        self._pools.resize(pool, before, after)
