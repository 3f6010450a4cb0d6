"""`donjon pool plan`: a plan judged, and written down for a tool."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import cast

import click

from donjon.adapters import clock
from donjon.admission.manifests.documents import Node, read
from donjon.admission.policies.printing import manifest
from donjon.cli import options
from donjon.cli.files import display_name, text, within
from donjon.cli.pool import flags
from donjon.cli.sku.command import catalogue
from donjon.cli.terminal import say, say_finding, say_json, write
from donjon.errors import EXIT_NO, Malformed
from donjon.findings import Severity
from donjon.fleet.machines.catalogue import Catalogue, Sku
from donjon.fleet.pools.forms import ack, arm, az, bicep, kubernetes, terraform
from donjon.fleet.pools.plan import Cloud, FleetPlan, PlanFault
from donjon.fleet.pools.reading import read_plan
from donjon.fleet.pools.rules import judge
from donjon.formats.json import JsonObject
from donjon.formats.words import excerpt

MAX_SIZE = 1 << 20
OLD_CATALOGUE = "DJ802"
"""Is said at every use."""

Printer = Callable[[FleetPlan, Mapping[str, Sku]], str]

_AZURE: Mapping[str, Printer] = {
    "az": lambda plan, skus: "".join(f"{line}\n" for line in az.commands(plan, skus)),
    "arm": lambda plan, skus: json.dumps(arm.template(plan, skus), indent=2) + "\n",
    "bicep": bicep.text,
    "terraform": terraform.azurerm,
    "azapi": terraform.azapi,
    "capz": lambda plan, skus: manifest(kubernetes.capz(plan, skus)),
}
_ALIBABA: Mapping[str, Printer] = {"ack": lambda plan, skus: "".join(f"{line}\n" for line in ack.commands(plan, skus))}
_METAL: Mapping[str, Printer] = {
    "kubeadm": lambda plan, _: _joins(plan),
    "capm3": lambda plan, _: manifest(kubernetes.capm3(plan)),
}
_ALL: Mapping[str, Printer] = {"values": lambda plan, _: manifest((kubernetes.chart_values(plan),))}
PRINTERS: Mapping[Cloud, Mapping[str, Printer]] = {
    Cloud.AZURE: {**_AZURE, **_ALL},
    Cloud.ALIBABA: {**_ALIBABA, **_ALL},
    Cloud.METAL: {**_METAL, **_ALL},
}
FORMS = ("text", "json", "plan", *_AZURE, *_ALIBABA, *_METAL, *_ALL)


def _joins(plan: FleetPlan) -> str:
    """A document for each pool, under its name: kubeadm takes no file with two of them."""
    documents = zip(plan.pools, kubernetes.kubeadm(plan), strict=True)
    return "".join(
        manifest((each,)).replace("---\n", f"---\n# pool {pool.name}: a file of its own\n", 1) for pool, each in documents
    )


@click.command("plan", cls=options.StrictCommand)
@click.argument("file", required=False)
@flags.of_a_plan
@click.option(
    "--output",
    "-o",
    "form",
    type=click.Choice(FORMS),
    default="text",
    show_default=True,
    help="What speaks against the plan, for people or programs; or the plan for the tool of that name.",
)
def plan_(file: str | None, *, form: str, **fields: str | int | None) -> None:
    """Judge a plan of pools, every fault at once, and write it down for a tool; - reads standard input.

    A plan of one pool may be given by options in place of FILE; --output plan makes a file of it. Exit code 0 nothing speaks
    against it, 1 something does and nothing is written, 2 unreadable.
    """
    source, machines = _source(file, fields), catalogue()
    document, plan, faults = _judge(source, machines)
    is_refused = plan is None or any(each.finding.severity is Severity.ERROR for each in faults)
    if form == "json":
        say_json({"refused": is_refused, "findings": [_as_json(document, each) for each in faults]})
    else:
        _say(source, document, faults, err=form != "text")
    if is_refused or plan is None:
        sys.exit(EXIT_NO)
    if form == "plan":
        write(manifest((cast("JsonObject", document.json()),)).removeprefix("---\n"))
    elif form not in {"text", "json"}:
        write(_printer(plan, form)(plan, machines.machines))
    elif form == "text":
        forms = ", ".join(PRINTERS[plan.cluster.cloud])
        pools = f"{len(plan.pools)} pool{'s' * (len(plan.pools) != 1)}"
        say(f"{source.name}: {pools}, nothing speaks against that; write it down with --output {forms}")


def read_sound(file: str, machines: Catalogue) -> FleetPlan:
    """The plan of a file against which nothing speaks; else says what does, and ends with 1."""
    source = _source(file, {})
    document, plan, faults = _judge(source, machines)
    if plan is None or any(each.finding.severity is Severity.ERROR for each in faults):
        _say(source, document, faults, err=True)
        sys.exit(EXIT_NO)
    _say(source, document, (each for each in faults if each.finding.code == OLD_CATALOGUE), err=True)
    return plan


@dataclass(frozen=True, slots=True)
class PlanSource:
    """Where a plan stands: a file, or options."""

    name: str
    content: str
    is_file: bool


def _source(file: str | None, fields: Mapping[str, str | int | None]) -> PlanSource:
    values = {name: value for name, value in fields.items() if value is not None}
    if (file is None) is not bool(values):
        raise click.UsageError("name a FILE with a plan, or give the plan of one pool by options (--cloud, --cluster, --pool …)")
    if file is None:
        return PlanSource("options", json.dumps(flags.document(values)), is_file=False)
    with within(file):
        return PlanSource(display_name(file), text(file, MAX_SIZE), is_file=True)


def _judge(source: PlanSource, machines: Catalogue) -> tuple[Node, FleetPlan | None, tuple[PlanFault, ...]]:
    with within(source.name):
        document = _document(source.content)
    plan, faults = read_plan(document.json())
    if plan is None:
        return document, None, faults
    wrong = {each.place for each in faults}
    judged = (each for each in judge(plan, machines, clock.moment().date()) if each.place not in wrong)
    return document, plan, (*faults, *judged)


def _document(content: str) -> Node:
    documents = read(content)
    if len(documents) != 1:
        raise Malformed("DJ930", f"{len(documents)} documents, expected one plan")
    for line, key in documents[0].twice:
        raise Malformed("DJ930", f"line {line}: {excerpt(key)} is there twice")
    return documents[0]


def _printer(plan: FleetPlan, form: str) -> Printer:
    printers = PRINTERS[plan.cluster.cloud]
    if form not in printers:
        raise click.BadParameter(f"{form} makes no pools of {plan.cluster.cloud}; take one of {', '.join(printers)}")
    return printers[form]


def _say(source: PlanSource, document: Node, faults: Iterable[PlanFault], *, err: bool) -> None:
    for each in faults:
        where = f"{source.name}:{document.line_of(each.place)}" if source.is_file else flags.option_of(each.place)
        say_finding(each.finding, before=f"{where}: ", err=err)


def _as_json(document: Node, fault: PlanFault) -> JsonObject:
    return {"line": document.line_of(fault.place), "place": fault.place, **fault.finding.as_dict()}
