"""`donjon pool`: plan, apply, prepare."""

import click

from donjon.cli import options
from donjon.cli.pool.apply import apply
from donjon.cli.pool.plan import plan_
from donjon.cli.pool.prepare import prepare_


@click.group(cls=options.StrictGroup)
def pool() -> None:
    """Pools of machines with SGX: planned, judged, and made."""


pool.add_command(plan_)
pool.add_command(apply)
pool.add_command(prepare_)
