"""What whoever runs a cluster chooses about the rules, as options of the commands that print or apply them once."""

from collections.abc import Callable
from functools import wraps

import click

from donjon.admission.settings import Settings
from donjon.runtime.choices import PROVISION_ACCOUNT, PROVISION_BY_ANNOTATION, REFUSE_HOST_DEVICES, account


def _accounts(_context: click.Context, _option: click.Parameter, accounts: tuple[str, ...]) -> tuple[str, ...]:
    for each in accounts:
        try:
            account(each)
        except ValueError as error:
            raise click.BadParameter(f"{each!r}: expected {error}") from error
    return accounts


_OPTIONS = (
    click.option(
        PROVISION_ACCOUNT.flag,
        "provision_accounts",
        multiple=True,
        metavar=PROVISION_ACCOUNT.metavar,
        callback=_accounts,
        help=PROVISION_ACCOUNT.help,
    ),
    click.option(PROVISION_BY_ANNOTATION.flag, is_flag=True, help=PROVISION_BY_ANNOTATION.help),
    click.option(REFUSE_HOST_DEVICES.flag, is_flag=True, help=REFUSE_HOST_DEVICES.help),
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
