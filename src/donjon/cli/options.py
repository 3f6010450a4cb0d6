"""Options that several commands have, and how what they say is read."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import reduce
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import click
from click.core import ParameterSource

from donjon.attestation import gate
from donjon.errors import Misconfigured
from donjon.formats.durations import duration

F = TypeVar("F", bound=Callable[..., object])


class StrictCommand(click.Command):
    """A command whose answer rests on its options: one given twice, of which one alone can count, is refused."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does; raises `click.UsageError` for an option that is given several times and taken once."""
        *_, order = self.make_parser(ctx).parse_args(list(args))
        for each, count in Counter(order).items():
            if isinstance(each, click.Option) and count > 1 and not (each.multiple or each.is_flag or each.count):
                raise click.UsageError(f"{each.opts[0]} is given {count} times, and only one can count; give it once", ctx)
        return super().parse_args(ctx, args)


class StrictGroup(click.Group):
    """A group of such commands."""

    command_class = StrictCommand
    group_class = type


def on_command_line(*names: str) -> tuple[str, ...]:
    """Which of these parameters stand on the command line, as they are written there."""
    context = click.get_current_context()
    there = (each for each in names if context.get_parameter_source(each) is ParameterSource.COMMANDLINE)
    return tuple(f"--{each.replace('_', '-')}" for each in there)


def moment(text: str) -> datetime:
    """A moment as ISO 8601, in UTC where no zone is named, or in Unix seconds; raises `click.BadParameter`."""
    try:
        return gate.moment(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: expected {error}") from error


def read_duration(text: str) -> timedelta:
    """The duration of an option's text, a number and its unit; raises `click.BadParameter`."""
    try:
        return duration(text)
    except ValueError as error:
        raise click.BadParameter(f"{text}: expected {error}") from error


def at(_: click.Context, __: click.Parameter, text: str | None) -> datetime | None:
    """The moment that an option names, `None` without it."""
    return None if text is None else moment(text)


FORM = click.option(
    "--output",
    "-o",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="For people or for programs.",
)
NAMESPACE = click.option("--namespace", "-n", help="Namespace; the kubeconfig's own where it is not given.")
KUBECONFIG = click.option(
    "--kubeconfig", type=click.Path(path_type=Path, dir_okay=False), help="Kubeconfig; KUBECONFIG where it is not given."
)
CONTEXT = click.option("--context", help="Context of the kubeconfig.")
AUTHORITY = click.option(
    "--authority",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Who signed the certificate of the service, in PEM; the system's by default.",
)
AT = click.option("--at", callback=at, metavar="TIME", help="Judge as of this moment, ISO 8601 or Unix seconds; without it, now.")

UPDATE = click.option(
    "--update",
    type=click.Choice(["standard", "early"]),
    default="standard",
    show_default=True,
    help="The update channel that the collateral is of.",
)
TRUST_ROOT = click.option(
    "--unsafe-trust-root",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Trust this root certificate instead of Intel's: for tests.",
)
DATABASE = click.option(
    "--database",
    envvar="DONJON_DATABASE",
    required=True,
    metavar="URL",
    help="The attestation service's database, as its settings name it. Also DONJON_DATABASE in the environment.",
)


def with_options(command: F, options: Sequence[Callable[[F], F]]) -> F:
    """The command with these options, in that order in its help."""
    return reduce(lambda inner, option: option(inner), reversed(options), command)


def work(module: str, extra: str = "attestation") -> ModuleType:
    """What does the work, loaded now: help needs none of its libraries."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise Misconfigured("DJ045", f"this command needs {error.name}: install the extra donjon[{extra}]") from error
