"""What `donjon wrap` does: images in, one image out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from donjon.adapters import clock
from donjon.adapters.images.images import Images
from donjon.adapters.images.layout_folder import new_layout
from donjon.adapters.images.whole import contents_by_hash, kept_layers, read_whole
from donjon.cli.enclave.keys import is_elsewhere, open_signer
from donjon.cli.files import content
from donjon.cli.registries import access
from donjon.cli.terminal import say, say_json
from donjon.cli.wrap.command import WrapOptions
from donjon.cli.wrap.telling import as_json, identity, print_all, say_fields, tell, verdict, write_deployment, write_file
from donjon.cli.wrap.wishes import folder_of, read_wishes, tag_of
from donjon.enclave import signing
from donjon.errors import EXIT_NO, EXIT_YES
from donjon.findings import is_refusal
from donjon.formats.json import JsonObject
from donjon.images.image import Image
from donjon.images.references import parse_reference
from donjon.sgx.sigstruct import SigStruct
from donjon.wrapping.building import WrapResult, assemble, build
from donjon.wrapping.contents import ImageContents
from donjon.wrapping.inspection import ProgramTexts, inspect, programs_of, read_programs
from donjon.wrapping.resign import check_wrapped, image_config, lay_signature, parse_sigstruct
from donjon.wrapping.wrap import WrapPlan, WrapRequest, plan_wrap


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrapping:
    """One image on its way."""

    images: Images
    image: Image
    options: WrapOptions


def wrap(name: str, options: WrapOptions) -> int:
    """Do what the options ask; the exit code."""
    wishes = read_wishes(options)
    _try_key(options)
    images = Images(access(options))
    work = Wrapping(images=images, image=images.resolve(parse_reference(name)), options=options)
    if options["signature"] is not None:
        return _sign_later(work, options["signature"])
    contents = _with_command(read_whole(images, work.image), options)
    base = images.resolve(parse_reference(options["base"])) if options["base"] else None
    base_contents = read_whole(images, base) if base else None
    programs = _programs(work, contents)
    if options["inspect_only"]:
        return _inspect(contents, base_contents, programs, options)
    assert base is not None, "read_wishes looked"
    assert base_contents is not None, "it was read"
    return _build(work, WrapRequest(image=contents, base=base_contents, programs=programs, wishes=wishes), base)


def _try_key(options: WrapOptions) -> None:
    """A key's file that cannot be used is told before images are read, which takes its time."""
    if options["key"] is not None and not options["inspect_only"] and not is_elsewhere(options["key"]):
        open_signer(options["key"], options["passphrase_file"])


def _programs(work: Wrapping, contents: ImageContents) -> ProgramTexts:
    """What the image's program and its libraries tell, for which they are read once more."""
    programs = programs_of(contents)
    return read_programs(programs, contents_by_hash(work.images, work.image, tuple(programs.values())))


def _with_command(contents: ImageContents, options: WrapOptions) -> ImageContents:
    words = options["entrypoint"]
    return contents if words is None else replace(contents, config=replace(contents.config, entrypoint=words, command=()))


def _inspect(contents: ImageContents, base: ImageContents | None, programs: ProgramTexts, options: WrapOptions) -> int:
    findings = inspect(contents, base, programs)
    if options["form"] == "json":
        say_json({"image": contents.reference, "findings": as_json(findings)})
    else:
        print_all(findings)
        say(f"{contents.reference}: {verdict(findings)}")
    return EXIT_NO if is_refusal(findings) else EXIT_YES


def _build(work: Wrapping, request: WrapRequest, base: Image) -> int:
    options, contents = work.options, request.image
    plan = plan_wrap(request)
    if is_refusal(plan.findings):
        print_all(plan.findings)
        say(f"{contents.reference}: {verdict(plan.findings)}; nothing is written")
        return EXIT_NO
    day = options["day"] or clock.moment().date()
    result = build(plan, request.base, contents, _from_base(work.images, base, request.base, plan), day)
    sigstruct = _signature_of(result, options)
    with new_layout(folder_of(options)) as layout:
        lower = layout.copy(kept_layers(work.images, work.image))
        image = assemble(image_config(work.image.config), lower, plan, result, sigstruct)
        layout.write(image, tag_of(options))
    if options["unsigned"] is not None:
        write_file(options["unsigned"], result.draft.sigstruct.raw)
    write_deployment(work.image, options, plan, result, image)
    tell(options, plan, result, image, sigstruct)
    return EXIT_YES


def _from_base(images: Images, base: Image, contents: ImageContents, plan: WrapPlan) -> Mapping[str, bytes]:
    """The files of the base image that are wanted, read now."""
    nodes = {path: node for path in plan.wants if (node := contents.tree.file(path)) is not None}
    there = contents_by_hash(images, base, tuple(nodes.values()))
    return {path: there[node.sha256] for path, node in nodes.items() if node.sha256 in there}


def _signature_of(result: WrapResult, options: WrapOptions) -> SigStruct | None:
    if options["key"] is None:
        return None
    return signing.sign(result.draft, open_signer(options["key"], options["passphrase_file"]))


def _sign_later(work: Wrapping, path: Path) -> int:
    sigstruct = parse_sigstruct(content(str(path), SigStruct.SIZE + 1))
    contents = read_whole(work.images, work.image)
    check_wrapped(work.image.config, contents.tree)
    with new_layout(folder_of(work.options)) as layout:
        lower = layout.copy(kept_layers(work.images, work.image))
        image = lay_signature(work.image.config, contents.tree, lower, sigstruct)
        layout.write(image, tag_of(work.options))
    document: JsonObject = {"image": work.options["target"], "digest": image.digest, **identity(sigstruct)}
    if work.options["form"] == "json":
        say_json(document)
    else:
        say_fields(document)
    return EXIT_YES
