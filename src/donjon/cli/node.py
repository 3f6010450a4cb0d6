"""`donjon node run`, what the DaemonSet runs, and `donjon node forget`, what the chart's uninstall hook runs."""

from pathlib import Path

import click

from donjon.adapters.logs import log_to_stderr
from donjon.cli.serving import LOG_LEVEL, read_address
from donjon.cli.terminal import say
from donjon.errors import Malformed, Misconfigured
from donjon.kube.quantities import parse
from donjon.node.offer import DEFAULT_DEVICES, MAX_DEVICES, Advertise, OfferSettings


def _advertise(_: click.Context, __: click.Parameter, text: str) -> frozenset[Advertise]:
    try:
        return frozenset(Advertise(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise click.BadParameter(f"{error}; expected some of {', '.join(Advertise)}, separated by commas") from error


def _amount(_: click.Context, __: click.Parameter, text: str) -> int:
    try:
        amount = parse(text)
    except Malformed as error:
        raise click.BadParameter(str(error)) from error
    if amount < 0:
        raise click.BadParameter(f"{text}: expected no negative amount")
    return amount


@click.group()
def node() -> None:
    """The node agent, and what it leaves behind."""


@node.command()
@click.option("--node-name", envvar="DONJON_NODE_NAME", required=True, help="The node's name in Kubernetes.")
@click.option(
    "--host-root",
    envvar="DONJON_HOST_ROOT",
    default="/",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Where the host's root is for this process.",
)
@click.option(
    "--host-prefix",
    envvar="DONJON_HOST_PREFIX",
    default="",
    metavar="PATH",
    help="Where that root is for the kubelet, if not at /: for development clusters with stand-in hardware.",
)
@click.option(
    "--kubelet-dir",
    envvar="DONJON_KUBELET_DIR",
    default="/var/lib/kubelet",
    show_default=True,
    type=click.Path(path_type=Path),
    help="The kubelet's --root-dir, as this process sees it; its plugin folder does not follow it.",
)
@click.option(
    "--enclave-limit",
    envvar="DONJON_ENCLAVE_LIMIT",
    default=DEFAULT_DEVICES,
    show_default=True,
    type=click.IntRange(1, MAX_DEVICES),
    help="How many containers may hold the enclave device at once.",
)
@click.option(
    "--provision-limit",
    envvar="DONJON_PROVISION_LIMIT",
    default=DEFAULT_DEVICES,
    show_default=True,
    type=click.IntRange(1, MAX_DEVICES),
    help="How many containers may hold the provision device at once.",
)
@click.option(
    "--epc-reserve",
    envvar="DONJON_EPC_RESERVE",
    default="0",
    show_default=True,
    metavar="QUANTITY",
    callback=_amount,
    help="EPC that is not offered to pods, for quoting enclaves: 16Mi.",
)
@click.option(
    "--advertise",
    envvar="DONJON_ADVERTISE",
    default="epc,labels,devices",
    show_default=True,
    callback=_advertise,
    help="What to tell the cluster; leave out what another plugin or NFD tells.",
)
@click.option(
    "--listen",
    envvar="DONJON_LISTEN",
    default="0.0.0.0:9808",
    show_default=True,
    metavar="ADDRESS:PORT",
    callback=read_address,
    help="Where /metrics, /healthz and /readyz are served.",
)
@click.option(
    "--wait-for-policy",
    envvar="DONJON_WAIT_FOR_POLICY",
    is_flag=True,
    help="Offer no EPC before the API server refuses this account what is not its own: Donjon's policies are then in force.",
)
@LOG_LEVEL
def run(
    *,
    node_name: str,
    host_root: Path,
    host_prefix: str,
    kubelet_dir: Path,
    enclave_limit: int,
    provision_limit: int,
    epc_reserve: int,
    advertise: frozenset[Advertise],
    listen: tuple[str, int],
    wait_for_policy: bool,
    log_level: str,
) -> None:
    """Run the agent of one node until it is stopped."""
    try:
        from donjon.services.node.run import run as serve  # noqa: PLC0415 - doctor and help need none of its libraries.
        from donjon.services.node.settings import NodeSettings  # noqa: PLC0415 - loaded when it is needed, since help needs none of it.
    except ModuleNotFoundError as error:
        raise Misconfigured("DJ045", f"the node agent needs {error.name}: pip install 'donjon[node]'") from error
    if host_prefix and not host_prefix.startswith("/"):
        raise Misconfigured("DJ042", f"--host-prefix {host_prefix}: expected an absolute path, or nothing for /")
    offer = OfferSettings(
        enclave_limit=enclave_limit, provision_limit=provision_limit, epc_reserve=epc_reserve, advertise=advertise
    )
    log_to_stderr(log_level)
    serve(
        NodeSettings(
            node_name=node_name,
            host_root=host_root,
            host_prefix=host_prefix.rstrip("/"),
            kubelet_dir=kubelet_dir,
            listen_host=listen[0],
            listen_port=listen[1],
            wait_for_policy=wait_for_policy,
            offer=offer,
        )
    )


@node.command()
@click.argument("names", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Every node of the cluster.")
@click.option(
    "--advertise",
    default="epc,labels,devices",
    show_default=True,
    callback=_advertise,
    help="What the agents advertise (their --advertise); the rest belongs to others and stays.",
)
def forget(*, names: tuple[str, ...], every: bool, advertise: frozenset[Advertise]) -> None:
    """Remove Donjon's EPC, labels and condition from nodes; stop the agents first, or they write them again."""
    from donjon.services.node.forget import forget as take_away  # noqa: PLC0415 - loaded when it is needed, since help needs none of it.

    if bool(names) == every:
        raise click.UsageError("name the nodes, or say --all")
    cleaned = take_away(names, advertise)
    for name in cleaned:
        say(f"{name}: EPC, labels and condition of Donjon are gone")
    if not cleaned:
        say("nothing of Donjon on any of these nodes")
