"""`donjon pool apply`: the pools of a plan made or changed in Azure, what separates them shown first; a dry run unless told."""

import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import click

from donjon.adapters import clock
from donjon.cli import options
from donjon.cli.pool.plan import PRINTERS, read_sound
from donjon.cli.sku.command import catalogue
from donjon.cli.terminal import say, say_finding, say_json
from donjon.errors import EXIT_NO, DonjonError, Misconfigured, Unavailable
from donjon.fleet.machines.catalogue import Sku
from donjon.fleet.pools.drift import PoolDrift, PoolStep, compare
from donjon.fleet.pools.forms.arm import properties
from donjon.fleet.pools.overlay import overlay
from donjon.fleet.pools.plan import Cloud, FleetPlan, Pool, Scaler
from donjon.formats.json import JsonObject

if TYPE_CHECKING:
    from donjon.adapters.azure.pools import AksPools

ELSEWHERE = "DJ844"
"""Somebody else changes it."""
_ENDPOINT = re.compile(r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?/?")
_SUBSCRIPTION = re.compile(r"[A-Za-z0-9-]{1,64}")
_WORDS = {
    PoolStep.NOTHING: "is as planned",
    PoolStep.MAKE: "is not there: to be made",
    PoolStep.CHANGE: "differs: to be changed",
    PoolStep.WAIT: "is being changed already: to be waited for",
    PoolStep.REFUSE: "differs in what cannot be changed",
}


SUBSCRIPTION = click.option(
    "--subscription",
    envvar="AZURE_SUBSCRIPTION_ID",
    metavar="ID",
    help="The subscription. Also AZURE_SUBSCRIPTION_ID in the environment.",
)
ENDPOINT = click.option(
    "--endpoint",
    default="https://management.azure.com",
    show_default=True,
    metavar="URL",
    help="Azure's Resource Manager; of another cloud, such as https://management.chinacloudapi.cn, its own.",
)


class Pools(Protocol):
    """The pools of one cluster."""

    def read(self, pool: str) -> tuple[JsonObject, str] | None:
        """Properties and version; `None` where there is none."""

    def put(self, pool: str, properties: JsonObject, version: str | None, progress: "Progress") -> None:
        """Make or change it."""

    def wait(self, pool: str, progress: "Progress") -> None:
        """Until nobody changes it any more."""


class Progress(Protocol):
    """Is told how far a pool is."""

    def __call__(self, state: str) -> None:
        """Azure's word for it."""


@click.command("apply", cls=options.StrictCommand)
@click.argument("file")
@click.option("--yes", is_flag=True, help="Do it. Without, nothing is changed and what would be done is said.")
@SUBSCRIPTION
@ENDPOINT
@options.FORM
def apply(file: str, *, yes: bool, subscription: str | None, endpoint: str, form: str) -> None:
    """Make or change the pools of a plan in Azure, as who is signed in there (az login); nothing is ever deleted.

    What is there is read first and compared. A run that was cut off is gone on with by the next. Exit code 0 the pools are as
    planned, or would be, 1 something cannot be done, 2 unreadable, 3 Azure was not reached or refused.
    """
    machines = catalogue()
    plan = read_sound(file, machines)
    if plan.cluster.cloud is not Cloud.AZURE:
        form = next(iter(PRINTERS[plan.cluster.cloud]))
        raise click.UsageError(f"pools of {plan.cluster.cloud} are made by other tools: donjon pool plan FILE --output {form}")
    pools = open_pools(plan, subscription, endpoint)
    try:
        drifts = tuple(_compare(pools, plan, machines.machines))
        _show(drifts, form)
        if any(each.step is PoolStep.REFUSE for each in drifts):
            sys.exit(EXIT_NO)
        if yes:
            _do(pools, plan, drifts, machines.machines, form)
        elif form != "json":
            say("nothing was changed; --yes does it" if _is_due(drifts) else "nothing to do")
    finally:
        pools.close()


def open_pools(plan: FleetPlan, subscription: str | None, endpoint: str) -> "AksPools":
    """The pools of the plan's cluster; raises `Misconfigured`, `click.BadParameter`."""
    if not _ENDPOINT.fullmatch(endpoint):
        raise click.BadParameter("expected an address such as https://management.azure.com", param_hint="--endpoint")
    if subscription and not _SUBSCRIPTION.fullmatch(subscription):
        raise click.BadParameter("expected a subscription's ID; az account list has them", param_hint="--subscription")
    if not subscription:
        raise Misconfigured("DJ848", "no subscription is named: --subscription, or AZURE_SUBSCRIPTION_ID in the environment")
    azure = options.work("donjon.adapters.azure.pools", extra="azure")
    where = (subscription, plan.cluster.resource_group, plan.cluster.name)
    pools: AksPools = azure.AksPools(*where, clock.monotonic, clock.pause, endpoint=endpoint)
    return pools


def _compare(pools: Pools, plan: FleetPlan, skus: Mapping[str, Sku]) -> list[PoolDrift]:
    drifts = []
    for pool in plan.pools:
        there = pools.read(pool.name)
        wish = properties(pool, skus.get(pool.size), plan.cluster.version)
        drifts.append(compare(pool.name, _wish(pool, wish, there), there and there[0]))
    return drifts


def _wish(pool: Pool, wish: JsonObject, there: tuple[JsonObject, str] | None) -> JsonObject:
    """What the plan says of a pool, with as many nodes as it has where their number is for `donjon plan --watch` to say."""
    scales = pool.scale is not None and pool.scale.by is Scaler.DONJON and there is not None and "count" in there[0]
    return wish | {"count": there[0]["count"]} if scales and there is not None else wish


def _is_due(drifts: tuple[PoolDrift, ...]) -> bool:
    return any(each.step not in {PoolStep.NOTHING, PoolStep.REFUSE} for each in drifts)


def _show(drifts: tuple[PoolDrift, ...], form: str) -> None:
    if form == "json":
        say_json({"pools": [_as_json(each) for each in drifts]})
        return
    for each in drifts:
        say(f"{each.pool}: {_WORDS[each.step]}{f' ({each.state})' if each.state else ''}")
        for drift in each.drifts if each.step is not PoolStep.NOTHING else ():
            say(f"  {drift.name}: {drift.there} → {drift.plan}")
        for finding in each.findings:
            say_finding(finding, before="  ")


def _as_json(drift: PoolDrift) -> JsonObject:
    return {
        "name": drift.pool,
        "step": str(drift.step),
        "state": drift.state or None,
        "drifts": [{"property": each.name, "there": each.there, "plan": each.plan} for each in drift.drifts],
        "findings": [dict(each.as_dict()) for each in drift.findings],
    }


def _do(pools: Pools, plan: FleetPlan, drifts: tuple[PoolDrift, ...], skus: Mapping[str, Sku], form: str) -> None:
    """One pool after the other: one that fails keeps those behind it from nothing, and is said at the end."""
    failures: list[tuple[str, DonjonError]] = []
    for pool, drift in zip(plan.pools, drifts, strict=True):
        if drift.step is PoolStep.NOTHING:
            continue
        try:
            _bring(pools, pool, properties(pool, skus.get(pool.size), plan.cluster.version), form)
        except DonjonError as error:
            failures.append((pool.name, error))
            say(f"{pool.name}: {error}", err=True)
    if failures:
        raise failures[0][1]


def _bring(pools: Pools, pool: Pool, plan: JsonObject, form: str) -> None:
    """Have a pool as planned: wait for whoever changes it, then put it unless it is so already."""
    last, name = "", pool.name

    def progress(state: str) -> None:
        nonlocal last
        if state != last and form != "json":
            say(f"{name}: {state}")
        last = state

    there = pools.read(name)
    wish = _wish(pool, plan, there)
    drift = compare(name, wish, there and there[0])
    if drift.step is PoolStep.WAIT:
        pools.wait(name, progress)
        there = pools.read(name)
        wish = _wish(pool, plan, there)
        drift = compare(name, wish, there and there[0])
    if drift.step in {PoolStep.REFUSE, PoolStep.WAIT}:
        raise Unavailable(ELSEWHERE, f"pool {name}: somebody else changes it meanwhile; apply again later")
    if drift.step is not PoolStep.NOTHING:
        _put(pools, name, wish, there, progress)
        _require_planned(pools, name, wish)
    progress("as planned")


def _put(pools: Pools, name: str, wish: JsonObject, there: tuple[JsonObject, str] | None, progress: Progress) -> None:
    """Put it once. Where an answer is lost the library asks again, and is told that somebody else was first: that may be we."""
    try:
        pools.put(name, overlay(wish, there and there[0]), there[1] if there else None, progress)
    except Unavailable as error:
        if error.code != ELSEWHERE or not _is_coming(pools, name, wish):
            raise
        pools.wait(name, progress)


def _is_coming(pools: Pools, name: str, wish: JsonObject) -> bool:
    """Whether what is there, ready or not, is what the plan says: then it was we, or one who wants the same."""
    there = pools.read(name)
    return there is not None and not compare(name, wish, there[0]).drifts


def _require_planned(pools: Pools, name: str, wish: JsonObject) -> None:
    """Raises `Unavailable` DJ849 where Azure says that it is done, and it is not."""
    there = pools.read(name)
    drift = compare(name, wish, there and there[0])
    if drift.step is PoolStep.NOTHING:
        return
    words = ", ".join(f"{each.name} is {each.there}" for each in drift.drifts) or drift.state
    raise Unavailable("DJ849", f"pool {name}: Azure says it is done, and {f'has {words}' if there else 'has no such pool'}")
