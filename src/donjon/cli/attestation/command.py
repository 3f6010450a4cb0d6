"""`donjon attestation`: the service, its keys, and a rehearsal."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from donjon.adapters.logs import log_to_stderr
from donjon.cli.serving import LOG_LEVEL
from donjon.cli.terminal import say
from donjon.errors import Misconfigured, Unavailable

try:
    from donjon.cli.attestation.keys import keys
    from donjon.services.attestation import run
    from donjon.services.attestation.settings import service
except ModuleNotFoundError as error:
    raise Misconfigured("DJ045", f"the attestation service needs {error.name}: pip install 'donjon[service]'") from error

C = TypeVar("C", bound=Callable[..., object])


@click.group()
def attestation() -> None:
    """The attestation service."""


attestation.add_command(keys)


def _options(command: C) -> C:
    """One option for each setting, all of them text: the settings' own readers tell every fault at once."""
    for name, setting in reversed(list(service.SETTINGS.items())):
        command = click.option(f"--{name}", help=f"{setting.help}  [default: {setting.default or 'none'}]")(command)
    return command


@attestation.command(short_help="Attest, and serve collateral as a PCCS does.")
@click.option("--check", is_flag=True, help="Tell every fault of the settings, open what would be opened, and end.")
@click.option("--config", type=click.Path(path_type=Path), envvar="DONJON_CONFIG", help="A TOML file with settings.")
@LOG_LEVEL
@_options
def serve(*, check: bool, config: Path | None, log_level: str, **flags: str | None) -> None:
    """Attest as Microsoft Azure Attestation does, and serve collateral as Intel's PCCS does, each document verified.

    Each setting is taken from its option, else from DONJON_… in the environment, else from the file.
    """
    settings = service.read({name.replace("_", "-"): value for name, value in flags.items()}, os.environ, _text(config))
    if check:
        run.check(settings)
        say("the settings are good")
        return
    log_to_stderr(log_level)
    run.run(settings)


@attestation.command(short_help="Make all that it takes to try it without SGX.")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--port", type=click.IntRange(1024, 65534), default=8081, show_default=True, help="To serve at; probes are next to it."
)
def rehearse(folder: Path, *, port: int) -> None:
    """Make a FOLDER with a make-believe Intel, quotes of it, and settings with which the service attests them.

    For trying on any machine, without SGX and without a network. Its tokens say that nothing of it is real.
    """
    from donjon.cli.attestation import rehearse  # noqa: PLC0415 - the service starts sooner without a make-believe Intel.

    rehearse.write(folder, port)


def _text(config: Path | None) -> str:
    try:
        return "" if config is None else config.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Unavailable("DJ503", f"{config}: {error}") from error
