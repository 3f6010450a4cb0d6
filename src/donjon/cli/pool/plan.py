"""`donjon pool plan`: a plan judged, and written down for a tool."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping

import click

from donjon.adapters import clock
from donjon.admission.manifests.documents import Node, read
from donjon.admission.policies.printing import manifest
from donjon.cli import options
from donjon.cli.files import display_name, text, within
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
FORMS = ("text", "json", *_AZURE, *_ALIBABA, *_METAL, *_ALL)


def _joins(plan: FleetPlan) -> str:
    """A document for each pool, under its name: kubeadm takes no file with two of them."""
    documents = zip(plan.pools, kubernetes.kubeadm(plan), strict=True)
    return "".join(
        manifest((each,)).replace("---\n", f"---\n# pool {pool.name}: a file of its own\n", 1) for pool, each in documents
    )


@click.command("plan", cls=options.StrictCommand)
@click.argument("file")
@click.option(
    "--output",
    "-o",
    "form",
    type=click.Choice(FORMS),
    default="text",
    show_default=True,
    help="What speaks against the plan, for people or programs; or the plan for the tool of that name.",
)
def plan_(file: str, *, form: str) -> None:
    """Judge a plan of pools, every fault at once, and write it down for a tool; - reads standard input.

    Exit code 0 nothing speaks against it, 1 something does and nothing is written, 2 unreadable.
    """
    machines = catalogue()
    document, plan, faults = _read(file, machines)
    is_refused = plan is None or any(each.finding.severity is Severity.ERROR for each in faults)
    if form == "json":
        say_json({"refused": is_refused, "findings": [_as_json(document, each) for each in faults]})
    else:
        _say(file, document, faults, err=form != "text")
    if is_refused or plan is None:
        sys.exit(EXIT_NO)
    if form not in {"text", "json"}:
        write(_printer(plan, form)(plan, machines.machines))
    elif form == "text":
        forms = ", ".join(PRINTERS[plan.cluster.cloud])
        pools = f"{len(plan.pools)} pool{'s' * (len(plan.pools) != 1)}"
        say(f"{display_name(file)}: {pools}, nothing speaks against that; write it down with --output {forms}")


def read_sound(file: str, machines: Catalogue) -> FleetPlan:
    """The plan of a file against which nothing speaks; else says what does, and ends with 1."""
    document, plan, faults = _read(file, machines)
    if plan is None or any(each.finding.severity is Severity.ERROR for each in faults):
        _say(file, document, faults, err=True)
        sys.exit(EXIT_NO)
    _say(file, document, (each for each in faults if each.finding.code == OLD_CATALOGUE), err=True)
    return plan


def _read(file: str, machines: Catalogue) -> tuple[Node, FleetPlan | None, tuple[PlanFault, ...]]:
    with within(file):
        document = _document(text(file, MAX_SIZE))
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


def _say(file: str, document: Node, faults: Iterable[PlanFault], *, err: bool) -> None:
    for each in faults:
        say_finding(each.finding, before=f"{display_name(file)}:{document.line_of(each.place)}: ", err=err)


def _as_json(document: Node, fault: PlanFault) -> JsonObject:
    return {"line": document.line_of(fault.place), "place": fault.place, **fault.finding.as_dict()}
