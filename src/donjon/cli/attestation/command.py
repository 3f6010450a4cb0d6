"""`donjon attestation`: the service, its keys, and a rehearsal."""

from enum import StrEnum
from pathlib import Path

import click

from donjon.adapters.logs import log_to_stderr
from donjon.cli import serving
from donjon.cli.terminal import say, say_finding
from donjon.errors import Misconfigured

try:
    from donjon.cli.attestation.keys import issuer_url, keys
    from donjon.services.attestation import inspection, run
    from donjon.services.attestation.settings import service
except ModuleNotFoundError as error:
    raise Misconfigured("DJ045", f"the attestation service needs {error.name}: install the extra donjon[service]") from error


class Extent(StrEnum):
    """How far `--check` goes."""

    ALL = "all"
    FILES = "files"
    TEXT = "text"


@click.group()
def attestation() -> None:
    """The attestation service."""


attestation.add_command(keys)


@attestation.command(short_help="Attest, and serve collateral as a PCCS does.")
@click.option(
    "--check",
    is_flag=False,
    flag_value=Extent.ALL,
    type=click.Choice(Extent, case_sensitive=False),
    help="List every fault of the settings, and exit. all, or no word: open what they name (database, keys, certificates). "
    "files: of that, what is in files. text: nothing; for settings of another machine.",
)
@serving.sources(service.SETTINGS)
def serve(*, check: Extent | None, texts: serving.Sources) -> None:
    """Attest as Microsoft Azure Attestation does, and serve collateral as Intel's PCCS does, each document verified.

    Each setting is taken from its option, else from DONJON_… in the environment, such as DONJON_LOG_LEVEL, else from the file.
    """
    if check is Extent.TEXT:
        _say_good("the text of the settings is good", inspection.Inspection(aside=service.read_text_alone(*texts)))
        return
    settings = service.read(*texts)
    if check is not None:
        _say_good("the settings are good", inspection.check(settings, files_alone=check is Extent.FILES))
        return
    log_to_stderr(settings.log_level)
    run.run(settings)


def _say_good(sentence: str, look: inspection.Inspection) -> None:
    say(sentence)
    if look.weakening:
        say(f"settings that weaken security: {', '.join(look.weakening)}")
    for warning in look.warnings:
        say_finding(warning)
    for each in look.aside:
        say(f"not looked at here: {each}")


@attestation.command(short_help="Make a folder to try the service with, without SGX.")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--port",
    type=click.IntRange(1024, 65534),
    default=8081,
    show_default=True,
    help="Where to serve; probes are at the next port.",
)
@click.option(
    "--issuer",
    callback=issuer_url,
    metavar="URL",
    help="The name in its tokens, by which it is called.  [default: this machine]",
)
@click.option(
    "--for-pods",
    is_flag=True,
    help="Print what a pod needs to attest, as JSON; a FOLDER that is there already is then left as it is.",
)
def rehearse(folder: Path, *, port: int, issuer: str | None, for_pods: bool) -> None:
    """Make a FOLDER with a make-believe Intel, quotes of it, and settings with which the service attests them.

    For trying on any machine, without SGX and without a network. Its tokens say that nothing of it is real.
    """
    from donjon.cli.attestation import rehearse  # noqa: PLC0415 - the service starts sooner without a make-believe Intel.

    if not (for_pods and folder.exists()):
        rehearse.write(folder, port, issuer)
    if for_pods:
        rehearse.tell_pods(folder)
    else:
        rehearse.tell(folder)
