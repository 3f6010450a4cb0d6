"""`donjon policy from-enclave`: what is admitted and what is attested, as one statement. Here are the options."""

import sys
from typing import cast

import click

from donjon.cli.options import work
from donjon.cli.registries import RegistryOptions, access, with_registries
from donjon.kube.names import CLUSTER_ENCLAVE_POLICY, ENCLAVE_POLICY

ATTESTATION = "attestation"


@click.command("from-enclave", short_help="Print the policy that admits or attests enclaves.")
@click.argument("sources", nargs=-1, required=True, metavar="FILE|IMAGE|POLICY.yaml…")
@click.option(
    "--kind",
    type=click.Choice([ATTESTATION, ENCLAVE_POLICY, CLUSTER_ENCLAVE_POLICY]),
    default=ATTESTATION,
    show_default=True,
    help="A policy for tokens, in the language of policies, or one for admission, for kubectl apply.",
)
@click.option(
    "--by",
    type=click.Choice(["signer", "measurement"]),
    default="signer",
    show_default=True,
    help="List a key with its product and lowest SVN, so that later versions are trusted, too, or the very enclaves.",
)
@click.option("--development", is_flag=True, help="Make exceptions of public sample keys and of debugging, where they are met.")
@click.option("--name", default="ours", show_default=True, help="Name of the policy for admission.")
@with_registries
def from_enclave(sources: tuple[str, ...], *, kind: str, by: str, development: bool, name: str, **registries: object) -> None:
    """Print the policy that trusts these enclaves, and no other; - reads standard input.

    An IMAGE is oci:PATH[:TAG], docker-archive:PATH or REGISTRY/REPOSITORY[:TAG][@DIGEST].
    Of signed enclaves it lists the signers, or with --by the measurements. Of an EnclavePolicy or ClusterEnclavePolicy it prints
    the attestation policy with the same signers and measurements: what is admitted and what is attested are one statement.

    Exit code 0 printed, 1 an enclave that no policy should trust, and nothing is printed, 2 malformed, 3 could not look.
    """
    reaching = access(cast("RegistryOptions", registries))
    sys.exit(
        work("donjon.cli.policy.listing", "enclave").print_policy(sources, reaching, kind, by, name, development=development)
    )
