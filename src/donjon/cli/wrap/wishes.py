"""What the options of `donjon wrap` say, read before any image is: what no image could make right is refused at once."""

from pathlib import Path

import click

from donjon.cli.files import content, within
from donjon.cli.wrap.command import WrapOptions
from donjon.errors import Misconfigured
from donjon.formats.json import JsonObject
from donjon.images.references import ImagePlace, parse_reference
from donjon.kube.quantities import parse as parse_quantity
from donjon.wrapping import manifest as manifests
from donjon.wrapping.manifest import MAX_FRAGMENT, WrapChoices
from donjon.wrapping.mounts import parse_mount
from donjon.wrapping.sizing import check_threads, parse_size
from donjon.wrapping.wrap import WrapWishes


def read_wishes(options: WrapOptions) -> WrapWishes:
    """What is wished for; raises `Malformed` DJ392, `Misconfigured` DJ398, and `click.UsageError` for what is missing."""
    if not options["inspect_only"]:
        _check_whole(options)
    memory, size, threads = options["memory"], options["enclave_size"], options["threads"]
    return WrapWishes(
        mounts=tuple(map(parse_mount, options["mounts"])),
        fragment=_fragment(options["manifest"]),
        choices=WrapChoices(
            passthrough=manifests.check_variables(options["variables"]),
            product_id=options["product_id"],
            svn=options["svn"],
            edmm=options["edmm"],
        ),
        size=None if size is None else parse_size(size),
        threads=None if threads is None else check_threads(threads),
        memory=None if memory is None else parse_quantity(memory),
    )


def _check_whole(options: WrapOptions) -> None:
    folder_of(options)
    if options["signature"] is not None:
        return
    if options["base"] is None:
        raise click.UsageError("--gramine is missing: the image that Gramine's own files are taken from")
    if (options["key"] is None) is (options["unsigned"] is None):
        raise click.UsageError("say either --key, to sign now, or --unsigned FILE, to sign later")


def _fragment(path: Path | None) -> JsonObject:
    if path is None:
        return {}
    text = content(str(path), MAX_FRAGMENT)
    with within(str(path)):
        return manifests.parse(text)


def folder_of(options: WrapOptions) -> Path:
    """Where the new image goes; raises `Misconfigured` DJ392 where something is there."""
    if options["target"] is None:
        raise click.UsageError("--to is missing: where the new image goes, as oci:DIR[:TAG]")
    reference = parse_reference(options["target"])
    if reference.place is not ImagePlace.OCI_LAYOUT:
        raise click.UsageError("--to: expected oci:DIR[:TAG]; skopeo copy brings it from there into a registry")
    folder = Path(reference.path)
    if folder.exists():
        raise Misconfigured("DJ392", f"{folder}: is there already; name a folder that is not")
    return folder


def tag_of(options: WrapOptions) -> str:
    """What it is called in its layout; empty where nothing is said."""
    return parse_reference(options["target"] or "").tag
