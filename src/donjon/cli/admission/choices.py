"""What whoever runs a cluster chooses about the rules, as options: the same ones wherever the rules are printed or applied."""

from collections.abc import Callable
from functools import wraps

import click

from donjon.admission.settings import Settings


def _accounts(_context: click.Context, _option: click.Parameter, accounts: tuple[str, ...]) -> tuple[str, ...]:
    for account in accounts:
        namespace, colon, name = account.partition(":")
        if not (colon and namespace and name) or ":" in name:
            raise click.BadParameter(f"{account!r}: expected NAMESPACE:NAME, such as team:quoting")
    return accounts


_OPTIONS = (
    click.option(
        "--provision-account",
        "provision_accounts",
        multiple=True,
        metavar="NAMESPACE:NAME",
        callback=_accounts,
        help="A service account whose pods may have the provisioning key, besides namespaces with the label; may be repeated.",
    ),
    click.option(
        "--provision-by-annotation",
        is_flag=True,
        help="As Intel's webhook does: whoever annotates a pod may have the provisioning key.",
    ),
    click.option(
        "--refuse-host-devices",
        is_flag=True,
        help="Refuse pods that mount SGX devices from the host, or ask for SGX and are privileged, instead of a warning.",
    ),
)


def choices(command: Callable[..., None]) -> Callable[..., None]:
    """The command with these options, which it gets as one value, `settings`."""

    @wraps(command)
    def with_settings(
        *, provision_accounts: tuple[str, ...], provision_by_annotation: bool, refuse_host_devices: bool, **others: object
    ) -> None:
        settings = Settings(
            provision_accounts=provision_accounts,
            provision_by_annotation=provision_by_annotation,
            refuse_host_devices=refuse_host_devices,
        )
        command(**others, settings=settings)

    decorated: Callable[..., None] = with_settings
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated
