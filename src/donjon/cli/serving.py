"""Options of the programs that run on and on; apart from the others, so that the node agent loads none of their libraries."""

import click

from donjon.adapters.logs import LEVELS
from donjon.formats.addresses import address_and_port


def read_address(_: click.Context, __: click.Parameter, text: str) -> tuple[str, int]:
    """Where to listen: host and port; raises `click.BadParameter`."""
    try:
        return address_and_port(text)
    except ValueError as error:
        raise click.BadParameter(f"{text}: expected {error}") from error


LOG_LEVEL = click.option(
    "--log-level",
    envvar="DONJON_LOG_LEVEL",
    type=click.Choice(LEVELS),
    default="info",
    show_default=True,
    show_envvar=True,
    help="The least that is logged; debug has also what HTTP clients say of their requests.",
)
"""Of every program that runs on and on."""
