"""`donjon plan`: pods and nodes in, placement out. Reads, and changes nothing."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Unpack

import click

from donjon.adapters import clock
from donjon.cli import options
from donjon.cli.plan.scaling import OF_WATCH, WatchOptions, scale, watch_options
from donjon.cli.plan.sources import MAX_PODS, ClusterPicture, of_cluster, of_files, of_manifests
from donjon.cli.plan.view import NodeAbsence, document, show
from donjon.cli.sku.command import catalogue
from donjon.cli.terminal import say, say_json
from donjon.errors import EXIT_NO, EXIT_YES, Malformed
from donjon.fleet.machines.catalogue import Catalogue
from donjon.fleet.machines.recommend import Demand, Recommendation, recommend
from donjon.fleet.scheduling.outlook import Prospect, outlook
from donjon.fleet.scheduling.queue import POOL_LABELS, moving, retire, waiting
from donjon.fleet.scheduling.report import PlanReport, live, report
from donjon.formats.json import JsonObject, at
from donjon.formats.words import nearest, recite
from donjon.kube.objects import labels_of, name_of

REGION = "topology.kubernetes.io/region"
PROVIDERS: Mapping[str, str] = {"azure": "azure", "ibm": "ibm"}
"""Whose machines the catalogue has, by the scheme of spec.providerID."""
LONGEST_NAME, MOST_NAMES, MOST_SHOWN = 253, 1_000, 8


@click.command(cls=options.StrictCommand)
@click.argument("manifests", nargs=-1, metavar="[FILE…]")
@click.option(
    "--retire",
    "names",
    multiple=True,
    metavar="NAME",
    help="Without these nodes: by node, pool, size or series, such as DCsv2.",
)
@click.option("--nodes", "nodes_file", metavar="FILE", help="What kubectl get nodes -o json printed, in place of the cluster.")
@click.option("--pods", "pods_file", metavar="FILE", help="What kubectl get pods -A -o json printed, beside --nodes.")
@watch_options
@options.KUBECONFIG
@options.CONTEXT
@options.FORM
def plan(
    manifests: tuple[str, ...],
    *,
    names: tuple[str, ...],
    nodes_file: str | None,
    pods_file: str | None,
    kubeconfig: Path | None,
    context: str | None,
    form: str,
    **order: Unpack[WatchOptions],
) -> None:
    """Say where pods would go: those that wait, those of manifests, and those of nodes that retire.

    As the scheduler sees it, tried several times where it has a choice; what to buy where there is no room. Exit code 0 all of
    them fit, 1 some do not or may not, 2 unreadable, 3 could not look.

    With --watch, say how many nodes the pools of a plan should have, with a reason a step; with --once exit code 0 as they are, 1
    others.
    """
    if order["watch"]:
        if manifests or names or nodes_file or pods_file:
            raise click.UsageError("--watch looks at the cluster: it goes with no manifests, --retire, --nodes or --pods")
        scale(order, kubeconfig, context, as_json=form == "json")
        return
    if idle := options.on_command_line(*OF_WATCH):
        raise click.UsageError(f"{', '.join(idle)}: for --watch FILE alone")
    if pods_file and not nodes_file:
        raise click.UsageError("--pods goes with --nodes")
    picture = of_files(nodes_file, pods_file) if nodes_file else of_cluster(kubeconfig, context)
    _answer(picture, manifests, names, as_json=form == "json")


def _answer(picture: ClusterPicture, manifests: tuple[str, ...], names: tuple[str, ...], *, as_json: bool) -> None:
    machines = catalogue()
    leaving = retire(picture.nodes, names, _series(machines, names))
    for name in names:
        if not retire(picture.nodes, (name,), _series(machines, (name,))):
            raise Malformed("DJ850", _unknown(machines, picture, name[:LONGEST_NAME]))
    outcome = _plan(picture, manifests, leaving)
    advice = _advice(machines, picture, outcome)
    absence = NodeAbsence(nodes=tuple(map(name_of, leaving)), moved=len(moving(picture.pods, leaving)))
    if as_json:
        say_json(document(outcome, absence, advice))
    else:
        show(outcome, absence, advice)
    if picture.silence:
        say(f"measured use is not known: {picture.silence}", err=True)
    well = all(each.prospects.keys() <= {Prospect.FITS} for each in outcome.workloads)
    sys.exit(EXIT_YES if well else EXIT_NO)


def _unknown(machines: Catalogue, picture: ClusterPicture, name: str) -> str:
    own = {str(label) for each in picture.nodes for key in POOL_LABELS if (label := labels_of(each).get(key))}
    series = {machines.machines[each].value("series") for each in own if each in machines.machines}
    there = sorted(filter(None, own | series))
    near = nearest(name, there[:MOST_NAMES])
    hint = f"; did you mean {near}?" if near else f"; there are {', '.join(there[:MOST_SHOWN])}" if there else ""
    return recite(f"no node is called {name}, nor its pool, its size or the series of that{hint}")


def _series(machines: Catalogue, words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name, each in machines.machines.items() if each.value("series") in words)


def _plan(picture: ClusterPicture, manifests: tuple[str, ...], leaving: tuple[JsonObject, ...]) -> PlanReport:
    names = {name_of(each) for each in leaving}
    nodes = tuple(each for each in picture.nodes if name_of(each) not in names)
    pods = tuple(each for each in live(picture.pods) if at(each, "spec", "nodeName") not in names)
    queue = (*moving(picture.pods, leaving), *waiting(picture.pods), *of_manifests(manifests, nodes))
    if len(queue) > MAX_PODS:
        raise Malformed("DJ931", f"{len(queue)} pods would have to be placed, and {MAX_PODS} are at a time")
    return report(nodes, queue, outlook(nodes, pods, queue, rivals=True), picture.use)


def _advice(machines: Catalogue, picture: ClusterPicture, outcome: PlanReport) -> Recommendation | None:
    """What to buy for pods that have no room."""
    if not outcome.short:
        return None
    regions = {str(labels_of(each).get(REGION) or "") for each in picture.nodes} & machines.regions
    providers = {PROVIDERS.get(str(at(each, "spec", "providerID")).partition(":")[0], "") for each in picture.nodes}
    demand = Demand(
        groups=outcome.short,
        region=next(iter(sorted(regions)), ""),
        provider=next(iter(providers), "") if len(providers) == 1 else "",
    )
    return recommend(machines, demand, clock.moment().date())
