"""`donjon why`: why a pod does not run, node by node, and what to do next. Reads, and changes nothing."""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from donjon.adapters import clock
from donjon.cli import options
from donjon.cli.terminal import PIPED_WIDTH, plain, print_finding, say, say_json
from donjon.diagnosis.epc import in_use_together
from donjon.diagnosis.explanation import ClusterState, Explanation
from donjon.diagnosis.pod import explain
from donjon.diagnosis.workload import Workload, explain_cron_job, explain_workload, latest, newest, owned
from donjon.errors import EXIT_MALFORMED, EXIT_NO, EXIT_YES, Unavailable
from donjon.fleet.placement import NodeView, Stock
from donjon.formats.json import Json, JsonObject
from donjon.kube.epc_report import ContainerEpc, EpcReport
from donjon.kube.objects import node_name_of
from donjon.kube.quantities import canonical, readable
from donjon.sgx.epc import EpcSource

if TYPE_CHECKING:
    from donjon.adapters.cluster.client import Resource, UserCluster

MAX_METERS = 8  # of a workload's nodes that are asked
MAX_NAME_SHOWN = 60  # characters of what was no name
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
"""What things are called (RFC 1123, as Kubernetes takes it); nothing else goes into an address."""


_WORDS: Mapping[str, str] = {
    **dict.fromkeys(("pod", "pods", "po"), "POD"),
    **dict.fromkeys(("job", "jobs", "job.batch", "jobs.batch"), "JOB"),
    **dict.fromkeys(("deployment", "deployments", "deploy", "deployment.apps", "deployments.apps"), "DEPLOYMENT"),
    **dict.fromkeys(("replicaset", "replicasets", "rs", "replicaset.apps", "replicasets.apps"), "REPLICA_SET"),
    **dict.fromkeys(("statefulset", "statefulsets", "sts", "statefulset.apps", "statefulsets.apps"), "STATEFUL_SET"),
    **dict.fromkeys(("daemonset", "daemonsets", "ds", "daemonset.apps", "daemonsets.apps"), "DAEMON_SET"),
    **dict.fromkeys(("cronjob", "cronjobs", "cj", "cronjob.batch", "cronjobs.batch"), "CRON_JOB"),
}
"""What kubectl calls the kinds that are looked at, in the order in which a bare name is tried."""


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="POD | KIND/NAME")
@options.NAMESPACE
@options.KUBECONFIG
@options.CONTEXT
@options.FORM
def why(*, words: tuple[str, ...], namespace: str | None, kubeconfig: Path | None, context: str | None, form: str) -> None:
    """Explain why a pod does not run, node by node, and what to do next.

    NAME is a pod's, or that of a Job, CronJob, Deployment, ReplicaSet, StatefulSet or DaemonSet: job/NAME, or job NAME.

    Only reads, with your own rights in the cluster. Exit code 0 nothing is wrong, 1 it does not run as it should, 2 nothing of
    that name, 3 could not look.
    """
    cluster = options.work("donjon.adapters.cluster.client", extra="cluster").open_cluster(
        os.environ, kubeconfig=kubeconfig, context=context
    )
    explanation = _explanation(cluster, _one(words), namespace or cluster.namespace)
    if form == "json":
        say_json(_document(explanation))
    else:
        _print(plain(explanation))
    sys.exit(EXIT_YES if explanation.well else EXIT_NO)


def _one(words: tuple[str, ...]) -> str:
    """POD or KIND/NAME, which kubectl takes as two words as well."""
    if len(words) == 1:
        return words[0]
    if len(words) > 2 or words[0].lower() not in _WORDS:  # noqa: PLR2004 - a kind and a name.
        raise click.UsageError("expected one pod or workload: POD, KIND/NAME or KIND NAME")
    return "/".join(words)


def _none_such(sentence: str) -> NoReturn:
    """Say in one line that nothing of that name is there, and end; how the command is called was right."""
    say(f"donjon: {sentence}", err=True)
    sys.exit(EXIT_MALFORMED)


def _explanation(cluster: "UserCluster", name: str, namespace: str) -> Explanation:
    from donjon.adapters.cluster import client  # noqa: PLC0415 - loaded when it is needed, since help needs none of it.

    word, slash, rest = name.partition("/")
    if slash and word.lower() not in _WORDS:
        _none_such(
            f"{word[:MAX_NAME_SHOWN]!r}: expected one of pod, job, cronjob, deployment, replicaset, statefulset, daemonset"
        )
    resource_name = rest if slash else name
    for kind, text in (("name", resource_name), ("namespace", namespace)):
        if not _NAME.fullmatch(text):
            _none_such(f"{text[:MAX_NAME_SHOWN]!r} is no {kind}: expected small letters, digits, - and .")
    candidates = [_WORDS[word.lower()]] if slash else list(dict.fromkeys(_WORDS.values()))
    for each in candidates:
        resource: Resource = getattr(client, each)
        thing = cluster.get(resource, resource_name, namespace)
        if thing is not None:
            if each == "POD":
                return explain(thing, _around(cluster, namespace, (thing,)))
            return (
                _of_cron_job(cluster, thing, namespace)
                if each == "CRON_JOB"
                else _of_workload(cluster, resource.kind, thing, namespace)
            )
    kinds = "pod, job, cronjob, deployment, replicaset, statefulset or daemonset" if not slash else word
    _none_such(f"no {kinds} {resource_name!r} in namespace {namespace!r}; another namespace is said by -n")


def _of_cron_job(cluster: "UserCluster", thing: JsonObject, namespace: str) -> Explanation:
    from donjon.adapters.cluster.client import JOB  # noqa: PLC0415 - loaded when it is needed, since help needs none of it.

    around = _around(cluster, namespace, ())
    jobs = latest(owned(cluster.list(JOB, namespace), thing))[:2]
    return explain_cron_job(thing, [(job, _of_workload(cluster, JOB.kind, job, namespace, around)) for job in jobs])


def _of_workload(
    cluster: "UserCluster", kind: str, thing: JsonObject, namespace: str, around: ClusterState | None = None
) -> Explanation:
    from donjon.adapters.cluster.client import POD, REPLICA_SET  # noqa: PLC0415 - loaded when it is needed, since help needs none of it.

    maker = thing
    if kind == "Deployment":
        maker = newest(owned(cluster.list(REPLICA_SET, namespace), thing)) or thing
    pods = owned(cluster.list(POD, namespace), maker)
    workload = Workload(kind=kind, thing=thing, maker=maker, pods=pods)
    there = around or _around(cluster, namespace, pods)
    sources = {each.source for each in there.reports}
    source = EpcSource.MAPS if EpcSource.MAPS in sources else next(iter(sources), None)
    return replace(explain_workload(workload, there), epc=in_use_together(pods, there.reports), epc_source=source)


def _around(cluster: "UserCluster", namespace: str, subjects: Sequence[JsonObject]) -> ClusterState:
    """What this account may see of the cluster; that it may not see all of it is told, and is no end."""
    from donjon.adapters.cluster.client import EVENT, NODE, POD  # noqa: PLC0415 - loaded when it is needed, since help needs none of it.

    events = cluster.list(EVENT, namespace, selector={"type": "Warning"})
    no_nodes = own_pods_only = ""
    nodes: tuple[JsonObject, ...] = ()
    try:
        nodes = cluster.list(NODE)
    except Unavailable as error:
        no_nodes = error.message
    try:
        pods = cluster.list(POD)
    except Unavailable as error:
        own_pods_only = error.message
        pods = cluster.list(POD, namespace)
    return ClusterState(
        moment=clock.moment(),
        nodes=nodes,
        pods=pods,
        events=events,
        no_nodes=no_nodes,
        own_pods_only=own_pods_only,
        reports=_reports(cluster, pods, subjects),
    )


def _reports(cluster: "UserCluster", pods: Sequence[JsonObject], subjects: Sequence[JsonObject]) -> tuple[EpcReport, ...]:
    """What the meters of the subjects' nodes say, as far as this account may ask them; nothing else needs it."""
    from donjon.adapters.cluster.meters import ask_meters  # noqa: PLC0415 - loaded when it is needed, since help needs none of it.

    nodes = list(dict.fromkeys(filter(None, map(node_name_of, subjects))))[:MAX_METERS]
    answers = ask_meters(cluster, pods, nodes) if nodes else ()
    return tuple(each.report for each in answers if each.report is not None)


def _document(explanation: Explanation) -> JsonObject:
    findings: list[Json] = [{**each.as_dict()} for each in explanation.findings]
    nodes: list[Json] = [_node(each) for each in explanation.nodes]
    return {
        "subject": explanation.subject,
        "well": explanation.well,
        "verdict": explanation.verdict,
        "findings": findings,
        "nodes": nodes,
        "scheduler": explanation.scheduler,
        "epc": None if explanation.epc_source is None else [_epc(each, explanation.epc_source) for each in explanation.epc],
        "next": explanation.next_step,
    }


def _epc(epc: ContainerEpc, source: EpcSource) -> JsonObject:
    return {
        "container": epc.name.container,
        "source": str(source),
        "request": epc.request,
        "resident": epc.use.resident,
        "existing": epc.use.existing,
        "evicted": epc.use.evicted,
        "guests": epc.guests,
        "peak": epc.peak,
        "enclaves": None if source == EpcSource.MAPS else epc.use.enclaves,
        "debugEnclaves": None if source == EpcSource.MAPS else epc.use.debug,
    }


def _node(view: NodeView) -> JsonObject:
    against: list[Json] = [{"kind": each.obstacle.name.lower(), "found": each.words} for each in view.against]
    taints: list[Json] = list(view.taints)
    return {
        "name": view.name,
        "epc": {"free": canonical(view.epc.free), "total": canonical(view.epc.total)},
        "enclave": {"free": view.enclave.free, "total": view.enclave.total},
        "provision": {"free": view.provision.free, "total": view.provision.total},
        "aesm": view.aesm or None,
        "ready": {"status": view.ready or None, "message": view.message},
        "taintsNotTolerated": taints,
        "against": against,
    }


def _print(explanation: Explanation) -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
    console.print(
        Text.assemble((explanation.subject, "green" if explanation.well else "red"), f" {explanation.verdict}"), soft_wrap=True
    )
    if explanation.nodes:
        console.print()
        console.print(_table(explanation.nodes))
    if explanation.scheduler and explanation.scheduler not in explanation.verdict:
        console.print(Text(f"\nscheduler: {explanation.scheduler}", style="dim"), soft_wrap=True)
    for each in explanation.epc:
        words = f"\nEPC of {each.name.pod}/{each.name.container}: {_epc_words(each, explanation.epc_source)}"
        console.print(Text(words), soft_wrap=True)
    for finding in explanation.findings:
        say()
        print_finding(finding, with_do=finding.do != explanation.next_step)
    if explanation.next_step:
        console.print(Text.assemble("\n", ("next: ", "bold"), explanation.next_step), soft_wrap=True)


def _epc_words(epc: ContainerEpc, source: EpcSource | None) -> str:
    """What it holds, as a person reads it."""
    most = "at most " if source == EpcSource.MAPS else ""
    evicted = f", {readable(epc.use.evicted)} evicted" if epc.use.evicted else ""
    of_request = f" of {readable(epc.request)} that it asked for" if epc.request else ", and it asked for none"
    count = f"; {epc.use.enclaves} enclave{'' if epc.use.enclaves == 1 else 's'}" if source != EpcSource.MAPS else ""
    return (
        f"{most}{readable(epc.use.resident + epc.guests)} in EPC now{of_request}{evicted}; the most since its meter began "
        f"{readable(epc.peak)}{count}"
    )


def _table(views: tuple[NodeView, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("node", "EPC free", "devices free", "AESM", "SGXReady", "what speaks against the pod"):
        table.add_column(heading, overflow="fold")
    for view in views:
        against = Text("\n".join(each.words for each in view.against)) if view.against else Text("nothing", style="green")
        epc = f"{readable(view.epc.free)} of {readable(view.epc.total)}" if view.epc.total else "-"
        table.add_row(Text(view.name), Text(epc), Text(_devices(view)), Text(view.aesm or "-"), Text(view.ready or "-"), against)
    return table


def _devices(view: NodeView) -> str:
    stocks: tuple[tuple[str, Stock], ...] = (("enclave", view.enclave), ("provision", view.provision))
    return ", ".join(f"{stock.free} of {stock.total} {name}" for name, stock in stocks if stock.total) or "-"
