"""How much the programs that run on and on write; apart from other options, so that the node agent loads none of theirs."""

import click

from donjon.adapters.logs import LEVELS, log_to_stderr


def _log(_: click.Context, __: click.Parameter, level: str) -> None:
    log_to_stderr(level)


LOG_LEVEL = click.option(
    "--log-level",
    envvar="DONJON_LOG_LEVEL",
    type=click.Choice(LEVELS),
    default="info",
    show_default=True,
    show_envvar=True,
    callback=_log,
    expose_value=False,
    help="The least that is logged; debug has also what HTTP libraries say of their requests.",
)
"""Of every program that runs on and on."""
