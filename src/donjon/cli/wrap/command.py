"""`donjon wrap`: its options; `work` does the rest."""

import shlex
import sys
from datetime import date
from pathlib import Path
from typing import cast

import click

from donjon.cli.options import FORM, StrictCommand, work
from donjon.cli.registries import RegistryOptions, with_registries

_FILE = click.Path(path_type=Path, dir_okay=False)


class WrapOptions(RegistryOptions):
    """What `donjon wrap` was asked, beside the image."""

    base: str | None
    target: str | None
    key: str | None
    passphrase_file: Path | None
    unsigned: Path | None
    signature: Path | None
    inspect_only: bool
    manifest: Path | None
    mounts: tuple[str, ...]
    variables: tuple[str, ...]
    entrypoint: tuple[str, ...] | None
    enclave_size: str | None
    memory: str | None
    threads: int | None
    edmm: bool
    product_id: int
    svn: int
    day: date | None
    kubernetes: Path | None
    name: str | None
    image_name: str | None
    processes: int
    form: str


def _words(_context: click.Context, _parameter: click.Parameter, text: str | None) -> tuple[str, ...] | None:
    try:
        return None if text is None else tuple(shlex.split(text))
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: {error}") from error


def _day(_context: click.Context, _parameter: click.Parameter, text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: expected YYYY-MM-DD") from error


@click.command(cls=StrictCommand, short_help="Bring an existing image into an enclave, with Gramine.")
@click.argument("image")
@click.option("--gramine", "base", metavar="IMAGE", help="The image that Gramine's own files are taken from.")
@click.option("--inspect", "inspect_only", is_flag=True, help="Say what would stop the application, and build nothing.")
@click.option("--to", "target", metavar="oci:DIR[:TAG]", help="Where the new image goes: a folder that is not there yet.")
@click.option("--key", metavar="KEY", help="Sign with it: KEY.pem, pkcs11:… or https://NAME.managedhsm.azure.net/keys/KEY.")
@click.option("--passphrase-file", type=_FILE, metavar="FILE", help="The passphrase of the key's file.")
@click.option("--unsigned", type=_FILE, metavar="FILE", help="Sign later: write into FILE what donjon enclave digest takes.")
@click.option("--signature", type=_FILE, metavar="FILE.sig", help="Lay this signature over IMAGE, which was wrapped unsigned.")
@click.option("--manifest", type=_FILE, metavar="FILE", help="A manifest of your own, in TOML; what it says wins.")
@click.option("--mount", "mounts", multiple=True, metavar="PATH[:KIND]", help="allowed, encrypted[=KEY] or tmpfs; repeatable.")
@click.option("--env", "variables", multiple=True, metavar="NAME", help="A variable that the pod may set; repeatable.")
@click.option("--entrypoint", callback=_words, metavar="COMMAND", help="Another command than the image's, words as in a shell.")
@click.option("--enclave-size", metavar="SIZE", help="The enclave's memory: a power of two, such as 1G.")
@click.option("--memory", metavar="QUANTITY", help="What the application needs, such as 700Mi: the size is chosen for it.")
@click.option("--threads", type=int, help="Threads at once.")
@click.option("--edmm", is_flag=True, help="Add the enclave's memory when it is needed; nodes must have EDMM.")
@click.option("--product-id", type=click.IntRange(0, 65535), default=0, show_default=True, help="ISVPRODID.")
@click.option("--svn", type=click.IntRange(0, 65535), default=0, show_default=True, help="ISVSVN.")
@click.option("--date", "day", callback=_day, metavar="YYYY-MM-DD", help="The day in the signature; without it, today.")
@click.option("--kubernetes", type=_FILE, metavar="FILE", help="Write a Deployment there, with its EPC.")
@click.option("--name", metavar="NAME", help="What the Deployment is called; the image's own name by default.")
@click.option("--image-name", metavar="REFERENCE", help="Where the cluster will pull the new image from.")
@click.option(
    "--processes", type=click.IntRange(1, 1024), default=1, show_default=True, help="How many at once: each an enclave."
)
@with_registries
@FORM
def wrap(image: str, **options: object) -> None:
    """Bring an image into an enclave: a Gramine image of it, its manifest made, measured and signed; no Docker needed.

    IMAGE and --gramine are oci:DIR[:TAG], docker-archive:FILE or the name of an image in a registry.
    Exit code 0 done, 1 something stops the application, 2 malformed or usage, 3 an image cannot be read or written.
    """
    sys.exit(work("donjon.cli.wrap.work", "enclave").wrap(image, cast("WrapOptions", options)))
