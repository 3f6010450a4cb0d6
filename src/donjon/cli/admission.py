"""`donjon admission`: the rules of admission, printed as the API server's own policies."""

import click

from donjon.admission.agent import Account
from donjon.admission.policies import DEFAULT_ACCOUNT, DEFAULT_PREFIX, for_pods, for_the_node_agent
from donjon.admission.printing import chart_template, manifest
from donjon.admission.settings import Settings
from donjon.cli.webhook import serve


@click.group()
def admission() -> None:
    """Wire and refuse pods inside the API server."""


@admission.command()
@click.option("--namespace", default=DEFAULT_ACCOUNT.namespace, show_default=True, help="Namespace of the node agent.")
@click.option("--service-account", default=DEFAULT_ACCOUNT.name, show_default=True, help="Service account of the node agent.")
@click.option("--prefix", default=DEFAULT_PREFIX, show_default=True, help="What the names of all policies begin with.")
@click.option(
    "--provision-account",
    "accounts",
    multiple=True,
    metavar="NAMESPACE:NAME",
    help="A service account whose pods may have the provisioning key, besides namespaces with the label; may be repeated.",
)
@click.option(
    "--provision-by-annotation", is_flag=True, help="As Intel's webhook: whoever annotates may have the provisioning key."
)
@click.option(
    "--refuse-host-devices", is_flag=True, help="Refuse pods that mount SGX devices from the host, instead of a warning."
)
@click.option("--helm", is_flag=True, help="Print the chart's template instead; the options above do not apply.")
def policies(
    namespace: str,
    service_account: str,
    prefix: str,
    *,
    accounts: tuple[str, ...],
    provision_by_annotation: bool,
    refuse_host_devices: bool,
    helm: bool,
) -> None:
    """Print the policies as YAML, for kubectl apply -f -."""
    if helm:
        click.echo(chart_template(), nl=False)
        return
    account = Account(namespace=namespace, name=service_account)
    settings = Settings(
        provision_accounts=accounts,
        provision_by_annotation=provision_by_annotation,
        refuse_host_devices=refuse_host_devices,
    )
    click.echo(manifest((*for_pods(prefix, settings), *for_the_node_agent(prefix, account))), nl=False)


admission.add_command(serve)
