"""What the DaemonSet runs, `donjon node run` and `donjon node meter`; and `donjon node forget`, for the uninstall hook."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from donjon.adapters.logs import log_to_stderr
from donjon.cli import options, serving
from donjon.cli.terminal import say
from donjon.errors import Misconfigured
from donjon.node.offer import Advertise
from donjon.services.meter import settings as meter_settings
from donjon.services.meter.settings import MeterSettings
from donjon.services.node import settings as node_settings
from donjon.services.node.settings import NodeSettings

if TYPE_CHECKING:
    from donjon.services.node.forget import NodeObjects


def _advertise(_: click.Context, __: click.Parameter, text: str) -> frozenset[Advertise]:
    try:
        return node_settings.advertise(text)
    except ValueError as error:
        raise click.BadParameter(f"{text}: expected {error}") from error


@click.group()
def node() -> None:
    """The node agent, and what it leaves behind."""


@node.command()
@serving.settings(node_settings.SETTINGS, node_settings.read)
def run(*, settings: NodeSettings) -> None:
    """Run the agent of one node until it is stopped.

    Each setting is taken from its option, else from DONJON_… in the environment, such as DONJON_LOG_LEVEL, else from the file.
    """
    try:
        from donjon.services.node.run import run as serve  # noqa: PLC0415 - doctor and help need none of its libraries.
    except ModuleNotFoundError as error:
        raise Misconfigured("DJ045", f"the node agent needs {error.name}: install the extra donjon[node]") from error
    log_to_stderr(settings.log_level)
    serve(settings)


@node.command()
@serving.settings(meter_settings.SETTINGS, meter_settings.read)
def meter(*, settings: MeterSettings) -> None:
    """Measure who holds how much EPC on one node.

    Until it is stopped; /epc and /metrics say it.

    By the kernel's own counters (BPF), else by the areas that processes map, which is an upper bound. Each setting is taken from
    its option, else from DONJON_… in the environment, else from the file.
    """
    try:
        from donjon.services.meter.run import run as serve  # noqa: PLC0415 - doctor and help need none of its libraries.
    except ModuleNotFoundError as error:
        raise Misconfigured("DJ045", f"the meter needs {error.name}: install the extra donjon[node]") from error
    log_to_stderr(settings.log_level)
    serve(settings)


@node.command(short_help="Remove what Donjon left on nodes.")
@click.argument("names", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Every node of the cluster.")
@click.option(
    "--advertise",
    default=node_settings.ADVERTISE.default,
    show_default=True,
    callback=_advertise,
    help="What the agents advertise (their --advertise); the rest belongs to others and stays.",
)
@click.option(
    "--kubeconfig",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Kubeconfig of who may patch nodes and their status; without it KUBECONFIG, else in a pod its own account.",
)
@options.CONTEXT
def forget(
    *, names: tuple[str, ...], every: bool, advertise: frozenset[Advertise], kubeconfig: Path | None, context: str | None
) -> None:
    """Remove Donjon's EPC, labels and condition from nodes; stop the agents first, or they write them again.

    Exit code 0 gone, or none was there; 2 a kubeconfig that cannot be used, 3 the API server refuses or is not reached.
    """
    from donjon.services.node.forget import forget as take_away  # noqa: PLC0415 - loaded when it is needed, since help needs none of it.

    if bool(names) == every:
        raise click.UsageError("name the nodes, or say --all")
    with _node_objects(kubeconfig, context) as node_objects:
        cleaned = take_away(node_objects, names, advertise)
    for name in cleaned:
        say(f"{name}: EPC, labels and condition of Donjon are gone")
    if not cleaned:
        say("nothing of Donjon on any of these nodes")


@contextmanager
def _node_objects(kubeconfig: Path | None, context: str | None) -> Iterator["NodeObjects"]:
    """By the account of the pod in which this runs, else as the user of a kubeconfig."""
    from donjon.services.node.forget import OwnAccount  # noqa: PLC0415 - loaded when it is needed, since help needs none of it.

    if kubeconfig is None and context is None and "KUBECONFIG" not in os.environ and "KUBERNETES_SERVICE_HOST" in os.environ:
        with OwnAccount() as own:
            yield own
        return
    try:
        from donjon.adapters.cluster.client import open_cluster  # noqa: PLC0415 - an extra, which the image does not have.
        from donjon.adapters.cluster.nodes import UserNodes  # noqa: PLC0415 - the same.
    except ModuleNotFoundError as error:
        raise Misconfigured("DJ045", f"a kubeconfig needs {error.name}: install the extra donjon[cluster]") from error
    yield UserNodes(open_cluster(os.environ, kubeconfig=kubeconfig, context=context))
