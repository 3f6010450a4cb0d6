"""`donjon sku`: list, show, recommend."""

import sys
from fractions import Fraction
from importlib.resources import files
from importlib.resources.abc import Traversable

import click

from donjon.adapters import clock
from donjon.cli import options
from donjon.cli.manifests import documents_of
from donjon.cli.sku import tables, view
from donjon.cli.sku.demand import pod_groups
from donjon.cli.terminal import plain, say, say_finding, say_json
from donjon.errors import EXIT_NO, EXIT_YES, Malformed
from donjon.fleet.machines.catalogue import METAL, Catalogue, Sku, age_warnings, parse
from donjon.fleet.machines.packing import PodGroup
from donjon.fleet.machines.recommend import FEATURES, Demand, recommend
from donjon.formats.words import excerpt, nearest
from donjon.kube import quantities
from donjon.kube.names import EPC
from donjon.kube.replicas import MAX_REPLICAS

PROVIDERS = ("azure", "alibaba", "ibm", METAL)
MAX_GROUPS = 1_000  # objects with pods at a time
SMALLEST = 4096  # bytes of a page, of which memory and EPC are made
LONGEST_NAME = 100  # characters of a name that is looked up


def catalogue() -> Catalogue:
    """The tables that are shipped; raises `Malformed` DJ801 where somebody changed them."""
    folder = files("donjon.fleet.machines")
    return parse(*(_read(folder / f"{table}.csv") for table in ("facts", "prices", "sources")))


def _read(table: Traversable) -> str:
    return table.read_text(encoding="utf-8")


def _quantity(_: click.Context, __: click.Parameter, value: str | None) -> Fraction | None:
    if value is None:
        return None
    try:
        amount = quantities.exact(value)
    except Malformed as error:
        raise click.BadParameter(error.message + quantities.hint(value)) from error
    if not 0 <= amount <= quantities.MAX:
        raise click.BadParameter(f"{excerpt(value)}: expected no less than 0, and what an int64 holds")
    return amount


def _bytes(context: click.Context, parameter: click.Parameter, value: str | None) -> Fraction | None:
    amount = _quantity(context, parameter, value)
    if amount is not None and (amount.denominator != 1 or 0 < amount < SMALLEST):
        raise click.BadParameter(f"{excerpt(value or '')}: expected whole bytes, {SMALLEST} or more; did you mean Mi or Gi?")
    return amount


def _region(machines: Catalogue, name: str | None) -> str:
    if name is None or name in machines.regions:
        return name or ""
    near = nearest(name[:LONGEST_NAME], machines.regions)
    hint = f"; did you mean {near}?" if near else "; donjon sku show NAME lists those of a size"
    raise click.BadParameter(f"no size of the catalogue is offered in {name[:LONGEST_NAME]!r}{hint}", param_hint="--region")


@click.group(cls=options.StrictGroup)
def sku() -> None:
    """Machines with SGX: which there are, where, until when, at what price; and how many of which a demand takes."""


@sku.command("list")
@click.option("--provider", type=click.Choice(PROVIDERS), help="Of this one alone.")
@click.option("--region", metavar="REGION", help="What is offered there, with that region's price.")
@click.option(
    "--protection",
    type=click.Choice(["sgx", "tdx", "snp"]),
    default="sgx",
    show_default=True,
    help="With enclaves, or with whole virtual machines that are protected (TDX, SEV-SNP).",
)
@options.FORM
def list_(*, provider: str | None, region: str | None, protection: str, form: str) -> None:
    """List sizes and classes of machines with their EPC. Exit code 0, 2 for a region that is none."""
    machines = catalogue()
    place = _region(machines, region)
    rows = tuple(
        each
        for each in machines.machines.values()
        if each.protection == protection
        and (provider is None or each.provider == provider)
        and (not place or place in each.regions)
    )
    if form == "json":
        say_json({"machines": [view.machine_as_json(each, place) for each in rows], "checked": machines.day.isoformat()})
    else:
        tables.console().print(tables.table(rows, place))
        for note in tables.NOTES:
            say(note)
    _say_age(machines)


@sku.command()
@click.argument("name")
@options.FORM
def show(name: str, *, form: str) -> None:
    """Say all that is known of a machine, who says so and since when, and where sources differ.

    Exit code 0, 2 for a name that no machine has.
    """
    machines = catalogue()
    machine = _machine(machines, name)
    if form == "json":
        say_json(view.all_as_json(machine))
    else:
        tables.console().print(tables.facts_table(plain(machine.name), machine))
    _say_age(machines)


def _machine(machines: Catalogue, name: str) -> Sku:
    by_name = {each.lower(): each for each in machines.machines}
    short = name[:LONGEST_NAME].lower()
    real = by_name.get(short) or by_name.get(f"standard_{short}")
    if real is None:
        near = nearest(short, by_name)
        hint = f"did you mean {by_name[near]}?" if near else "donjon sku list names all"
        raise Malformed("DJ803", f"no machine of the catalogue is called {name[:LONGEST_NAME]!r}; {hint}")
    return machines.machines[real]


@sku.command("recommend")
@click.argument("manifests", nargs=-1, metavar="[FILE…]")
@click.option("--epc", callback=_bytes, metavar="QUANTITY", help="EPC of one pod, such as 20Gi.")
@click.option("--memory", callback=_bytes, metavar="QUANTITY", help="Ordinary memory of one pod, beside EPC.")
@click.option("--cpu", callback=_quantity, metavar="QUANTITY", help="Processors of one pod, such as 2 or 500m.")
@click.option("--replicas", type=click.IntRange(1, MAX_REPLICAS), help="How many such pods; 1 where it is not given.")
@click.option("--region", metavar="REGION", help="Offered there.")
@click.option("--provider", type=click.Choice(PROVIDERS[:-1]), help="Of this one alone.")
@click.option("--accelerated-networking", "accelerated_networking", is_flag=True, help="With accelerated networking (SR-IOV).")
@click.option("--edmm", is_flag=True, help="For enclaves that grow and shrink (EDMM, SGX2).")
@click.option("--kss", is_flag=True, help="With key separation and sharing (KSS).")
@click.option("--spot", is_flag=True, help="That may be had as spot machines.")
@click.option("--premium-storage", "premium_storage", is_flag=True, help="With premium storage.")
@click.option("--ephemeral-os-disk", "ephemeral_os_disk", is_flag=True, help="With the system's disk on the machine itself.")
@options.FORM
def recommend_(
    manifests: tuple[str, ...],
    *,
    epc: Fraction | None,
    memory: Fraction | None,
    cpu: Fraction | None,
    replicas: int | None,
    region: str | None,
    provider: str | None,
    form: str,
    **features: bool,
) -> None:
    """Say which size to take and how many, and what ruled the others out.

    Asks for pods that are alike (--epc, --memory, --cpu, --replicas), or for those of manifests, added up as Kubernetes does; an
    autoscaler's counts at its most. Exit code 0 there is a size, 1 there is none, 2 unreadable.
    """
    alike = {EPC: epc, "memory": memory, "cpu": cpu}
    if bool(manifests) == any(each is not None for each in (*alike.values(), replicas)):
        raise click.UsageError("say what a pod asks for, such as --epc 20Gi --replicas 6, or name manifests; not both")
    machines = catalogue()
    demand = Demand(
        groups=_of_manifests(manifests) if manifests else (_alike(alike, replicas or 1),),
        features=frozenset(name for name in FEATURES if features.get(name)),
        region=_region(machines, region),
        provider=provider or "",
    )
    outcome = recommend(machines, demand, clock.moment().date())
    if form == "json":
        say_json(view.recommendation_as_json(outcome))
    else:
        view.say_recommendation(demand, outcome)
    sys.exit(EXIT_YES if outcome.proposals else EXIT_NO)


def _alike(amounts: dict[str, Fraction | None], replicas: int) -> PodGroup:
    requests = {name: amount for name, amount in amounts.items() if amount is not None}
    return PodGroup(name="the demand", replicas=replicas, requests=requests)


def _of_manifests(names: tuple[str, ...]) -> tuple[PodGroup, ...]:
    groups = pod_groups(documents_of(names))
    if not groups:
        raise Malformed(
            "DJ930", "no pod and no template of pods is in it: expected a Pod, Deployment, StatefulSet, DaemonSet or Job"
        )
    if len(groups) > MAX_GROUPS:
        raise Malformed("DJ931", f"{len(groups)} objects with pods: ask for {MAX_GROUPS} at a time, the largest first")
    return groups


def _say_age(machines: Catalogue) -> None:
    for each in age_warnings(machines, clock.moment().date()):
        say_finding(each, err=True)
