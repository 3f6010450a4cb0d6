"""`donjon enclave`: signed enclaves, whoever's SDK made them. Here are the options; the other modules do the rest."""

import sys
from typing import cast

import click

from donjon.cli.enclave.signing import COMMANDS
from donjon.cli.options import FORM, StrictGroup, work
from donjon.cli.registries import RegistryOptions, access, with_registries


@click.group(cls=StrictGroup)
def enclave() -> None:
    """Look into signed enclaves: Intel SDK, Occlum, Open Enclave, EGo, Gramine, Fortanix EDP."""


@enclave.command(short_help="Print what enclaves are, and whether they hold.")
@click.argument("names", nargs=-1, required=True, metavar="FILE|IMAGE…")
@with_registries
@FORM
def show(names: tuple[str, ...], *, form: str, **registries: object) -> None:
    """Print each enclave of files and images, and whether its signature and MRENCLAVE hold; - reads standard input.

    An IMAGE is oci:PATH[:TAG], docker-archive:PATH or REGISTRY/REPOSITORY[:TAG][@DIGEST]; all files of its layers are looked at.
    Exit code 0 they hold, 1 one does not or there is none, 2 malformed or no file, 3 no image.
    """
    sys.exit(work("donjon.cli.enclave.view", "enclave").show(names, access(cast("RegistryOptions", registries)), form))


@enclave.command(short_help="Print what is wrong with enclaves, or unwise.")
@click.argument("names", nargs=-1, required=True, metavar="FILE|IMAGE…")
@with_registries
@FORM
def lint(names: tuple[str, ...], *, form: str, **registries: object) -> None:
    """Print what is wrong with enclaves of files and images, or unwise, and what to do; - reads standard input.

    An IMAGE is oci:PATH[:TAG], docker-archive:PATH or REGISTRY/REPOSITORY[:TAG][@DIGEST]; all files of its layers are looked at.
    Exit code 0 nothing that must be mended, 1 something or there is no enclave, 2 malformed or no file, 3 no image.
    """
    sys.exit(work("donjon.cli.enclave.view", "enclave").lint(names, access(cast("RegistryOptions", registries)), form))


@enclave.command(short_help="Print how much EPC to ask for, and why.")
@click.argument("names", nargs=-1, required=True, metavar="FILE|IMAGE…")
@click.option(
    "--processes",
    type=click.IntRange(1, 10_000),
    default=1,
    show_default=True,
    help="How many there are at a time; under Gramine each child is an enclave of the same size.",
)
@with_registries
@FORM
def size(names: tuple[str, ...], *, processes: int, form: str, **registries: object) -> None:
    """Print how much EPC to ask for: of enclaves, Gramine's manifests, and images with such; - reads standard input.

    An IMAGE is oci:PATH[:TAG], docker-archive:PATH or REGISTRY/REPOSITORY[:TAG][@DIGEST]; all files of its layers are looked at.
    Exit code 0 worked out, 1 there is no enclave whose pages are known, 2 malformed or no file, 3 no image.
    """
    sys.exit(work("donjon.cli.enclave.size", "enclave").size(names, access(cast("RegistryOptions", registries)), processes, form))


@enclave.command(short_help="Print what would start processes.")
@click.argument("names", nargs=-1, required=True, metavar="FILE|IMAGE…")
@click.option("--pal", metavar="FILE", help="Gramine's libpal.so, to work MRENCLAVE out of a manifest; in an image it is found.")
@with_registries
@FORM
def inspect(names: tuple[str, ...], *, pal: str | None, form: str, **registries: object) -> None:
    """Print what of a program, or of what an image starts, would start processes; and what Gramine's manifest says.

    An IMAGE is oci:PATH[:TAG], docker-archive:PATH or REGISTRY/REPOSITORY[:TAG][@DIGEST]; looked at is what its config starts.
    Exit code 0 nothing says that it starts processes, 1 something does, 2 malformed or no file, 3 no image.
    """
    sys.exit(work("donjon.cli.enclave.inspect", "enclave").inspect(names, access(cast("RegistryOptions", registries)), pal, form))


for _each in COMMANDS:
    enclave.add_command(_each)
