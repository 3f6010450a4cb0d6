"""`donjon admission`: the rules of admission, printed as the API server's own policies."""

import click

from donjon.admission.policies.accounts import Account
from donjon.admission.policies.all import (
    DEFAULT_ACCOUNT,
    DEFAULT_CLEANUP,
    DEFAULT_PREFIX,
    for_pods,
    for_the_cleanup,
    for_the_node_agent,
)
from donjon.admission.policies.printing import chart_template, manifest
from donjon.admission.settings import Settings
from donjon.cli.admission.choices import choices
from donjon.cli.admission.serve import serve
from donjon.cli.terminal import write


@click.group()
def admission() -> None:
    """Wire and refuse pods inside the API server."""


@admission.command()
@click.option("--namespace", default=DEFAULT_ACCOUNT.namespace, show_default=True, help="Namespace of the node agent.")
@click.option("--service-account", default=DEFAULT_ACCOUNT.name, show_default=True, help="Service account of the node agent.")
@click.option(
    "--cleanup-account", default=DEFAULT_CLEANUP.name, show_default=True, help="Service account that takes Donjon off nodes."
)
@click.option("--prefix", default=DEFAULT_PREFIX, show_default=True, help="What the names of all policies begin with.")
@choices
@click.option("--helm", is_flag=True, help="Print the chart's template instead; the options above do not apply.")
def policies(
    namespace: str,
    service_account: str,
    cleanup_account: str,
    prefix: str,
    *,
    settings: Settings,
    helm: bool,
) -> None:
    """Print the policies as YAML, for kubectl apply -f -."""
    if helm:
        write(chart_template())
        return
    agent, cleanup = (Account(namespace=namespace, name=name) for name in (service_account, cleanup_account))
    ours = (*for_the_node_agent(prefix, agent), *for_the_cleanup(prefix, cleanup))
    write(manifest((*for_pods(prefix, settings), *ours)))


admission.add_command(serve)
