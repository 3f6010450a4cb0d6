"""`donjon attestation`: the service, its keys, and a rehearsal."""

from pathlib import Path

import click

from donjon.adapters.logs import log_to_stderr
from donjon.cli import serving
from donjon.cli.terminal import say
from donjon.errors import Misconfigured

try:
    from donjon.cli.attestation.keys import keys
    from donjon.services.attestation import run
    from donjon.services.attestation.settings import service
    from donjon.services.attestation.settings.service import AttestationSettings
except ModuleNotFoundError as error:
    raise Misconfigured("DJ045", f"the attestation service needs {error.name}: pip install 'donjon[service]'") from error


@click.group()
def attestation() -> None:
    """The attestation service."""


attestation.add_command(keys)


@attestation.command(short_help="Attest, and serve collateral as a PCCS does.")
@click.option(
    "--check",
    is_flag=True,
    help="List every fault of the settings, open what they name (database, keys, certificates), and exit.",
)
@serving.settings(service.SETTINGS, service.read)
def serve(*, check: bool, settings: AttestationSettings) -> None:
    """Attest as Microsoft Azure Attestation does, and serve collateral as Intel's PCCS does, each document verified.

    Each setting is taken from its option, else from DONJON_… in the environment, such as DONJON_LOG_LEVEL, else from the file.
    """
    if check:
        run.check(settings)
        say("the settings are good")
        return
    log_to_stderr(settings.log_level)
    run.run(settings)


@attestation.command(short_help="Make a folder to try the service with, without SGX.")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--port",
    type=click.IntRange(1024, 65534),
    default=8081,
    show_default=True,
    help="Where to serve; probes are at the next port.",
)
def rehearse(folder: Path, *, port: int) -> None:
    """Make a FOLDER with a make-believe Intel, quotes of it, and settings with which the service attests them.

    For trying on any machine, without SGX and without a network. Its tokens say that nothing of it is real.
    """
    from donjon.cli.attestation import rehearse  # noqa: PLC0415 - the service starts sooner without a make-believe Intel.

    rehearse.write(folder, port)
