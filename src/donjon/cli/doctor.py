"""`donjon doctor`: the first-day checklist of a machine with SGX, on a laptop, a node or in a pod."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from donjon import __version__
from donjon.adapters import clock
from donjon.adapters.epc.outlook import read_outlook
from donjon.adapters.kubelet.folder import answers, identity
from donjon.adapters.linux.host import read_host
from donjon.cli.terminal import PIPED_WIDTH, plain, print_finding, say, say_json
from donjon.errors import EXIT_COULD_NOT_LOOK, EXIT_NO, EXIT_YES, DonjonError, Unavailable
from donjon.findings import Finding
from donjon.formats.json import Json, JsonObject
from donjon.kube.names import ENCLAVE, PROVISION
from donjon.node.facts import NodeFacts, derive
from donjon.node.metering import metering
from donjon.node.readiness import Readiness, assess
from donjon.node.registration import epc_is_anothers
from donjon.node.report import FactLine, report
from donjon.node.rivals import rival_epc, rival_plugin, rival_socket, unasked
from donjon.node.unheard import no_kubelet_socket


@click.command()
@click.option(
    "--host-root",
    envvar="DONJON_HOST_ROOT",
    default="/",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Where the host's root is for this process.",
)
@click.option(
    "--plugin-dir",
    default="/var/lib/kubelet/device-plugins",
    show_default=True,
    type=click.Path(path_type=Path),
    help="The kubelet's folder of plugin sockets, to see other device plugins; it need not be there.",
)
@click.option(
    "--output",
    "-o",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="For people or for programs.",
)
@click.option(
    "--bundle", type=click.Path(path_type=Path, dir_okay=False), help="Also write all of it to a file for a bug report."
)
def doctor(*, host_root: Path, plugin_dir: Path, form: str, bundle: Path | None) -> None:
    """Check whether this machine can run enclaves, and what to do if not.

    Works with and without Kubernetes, on a laptop, a node or in a pod. Exit code 0 ready, 1 not ready, 3 could not look.
    """
    if not _is_folder(host_root):
        raise Unavailable("DJ050", f"host root {host_root}: no folder; name the place where the host's root is mounted")
    facts = derive(read_host(host_root))
    readiness = Readiness(
        findings=(*assess(facts).findings, *_kubelet(facts, plugin_dir), *_rivals(plugin_dir), *_rival_of_epc(os.environ))
    )
    lines = (*report(facts), metering(read_outlook(), has_device=facts.enclave is not None))
    document = _document(facts, readiness, lines)
    if bundle is not None:
        _write(bundle, document)
    if form == "json":
        say_json(document)
    else:
        _print(facts, readiness, lines)
        if bundle is not None:
            say(f"wrote {bundle}: facts and findings as above, nothing else")
    sys.exit(_exit_code(facts, readiness))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # A name too long, or a folder on the way that is closed to us.
        return False


def _exit_code(facts: NodeFacts, readiness: Readiness) -> int:
    """3 where neither the processor nor a device could be looked at, for then the no is ours and not the machine's."""
    if facts.cpu.value is None and facts.enclave is None:
        return EXIT_COULD_NOT_LOOK
    return EXIT_YES if readiness.ready else EXIT_NO


def _kubelet(facts: NodeFacts, plugin_dir: Path) -> tuple[Finding, ...]:
    """Whether plugins can reach the kubelet, where there has been one, and something to offer."""
    is_gone = facts.has_sgx and _is_folder(plugin_dir) and identity(plugin_dir / "kubelet.sock") is None
    return (no_kubelet_socket(str(plugin_dir)),) if is_gone else ()


def _rivals(plugin_dir: Path) -> list[Finding]:
    return [rival_plugin(resource) for resource in (ENCLAVE, PROVISION) if answers(plugin_dir / rival_socket(resource))]


def _rival_of_epc(environment: Mapping[str, str]) -> tuple[Finding, ...]:
    """Who else writes this node's EPC, where we run in a pod that may ask; elsewhere nobody can tell."""
    name = environment.get("DONJON_NODE_NAME", "")
    if not name or "KUBERNETES_SERVICE_HOST" not in environment:
        return ()
    from donjon.adapters.kubeapi.client import in_cluster, read_once  # noqa: PLC0415 - a laptop needs no HTTP client for this.

    try:
        return (rival_epc(),) if epc_is_anothers(read_once(in_cluster(environment), f"/api/v1/nodes/{name}")) else ()
    except DonjonError as error:
        return (unasked(str(error)),)


def _document(facts: NodeFacts, readiness: Readiness, lines: Sequence[FactLine]) -> JsonObject:
    entries: list[Json] = [_fact(line) for line in lines]
    findings: list[Json] = [{**finding.as_dict()} for finding in readiness.findings]
    return {
        "donjon": __version__,
        "time": clock.now(),
        "ready": readiness.ready,
        "simulated": facts.cpu_standin,
        "findings": findings,
        "facts": entries,
        "inPod": "KUBERNETES_SERVICE_HOST" in os.environ,
    }


def _fact(line: FactLine) -> Json:
    entry: JsonObject = {"name": line.name, "value": line.value, "source": line.source}
    return entry | ({"unknown": line.problem} if line.value is None else {})


def _write(path: Path, document: JsonObject) -> None:
    try:
        path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise Unavailable("DJ051", f"bundle {path}: {error.strerror}") from error


def _print(facts: NodeFacts, readiness: Readiness, lines: Sequence[FactLine]) -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("fact", "value", "read from"):
        table.add_column(heading, overflow="fold")
    for line in plain(lines):
        cell = Text(line.text) if line.value is not None else Text.assemble(("unknown", "yellow"), f": {line.problem}")
        table.add_row(Text(line.name), cell, Text(line.source, style="dim"))
    console.print(table)
    console.print()
    for finding in readiness.findings:
        print_finding(finding)
    console.print()
    simulated = " (SIMULATED: a file stands in for the processor)" if facts.cpu_standin else ""
    verdict = "[green]ready[/]: this machine can run enclaves" if readiness.ready else "[red]not ready[/]: see the errors above"
    console.print(f"{verdict}{simulated}; donjon explain CODE says more")
