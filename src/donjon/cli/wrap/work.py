"""What `donjon wrap` does: images in, one image out, and every reason told."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import click

from donjon.adapters import clock, files
from donjon.adapters.images.images import Images
from donjon.adapters.images.layout_folder import new_layout
from donjon.adapters.images.whole import contents_by_hash, kept_layers, read_whole
from donjon.admission.policies.printing import manifest as as_yaml
from donjon.cli.enclave.keys import open_signer
from donjon.cli.files import content, within
from donjon.cli.registries import access
from donjon.cli.terminal import print_finding, say, say_json
from donjon.cli.wrap.command import WrapOptions
from donjon.enclave import signing
from donjon.errors import EXIT_NO, EXIT_YES, Unavailable
from donjon.findings import Finding, Severity, is_refusal
from donjon.formats.json import Json, JsonObject
from donjon.images.image import Image
from donjon.images.references import ImagePlace, parse_reference
from donjon.kube.quantities import canonical
from donjon.kube.quantities import parse as parse_quantity
from donjon.sgx.sigstruct import SigStruct
from donjon.wrapping import manifest as manifests
from donjon.wrapping.building import WrapResult, assemble, build
from donjon.wrapping.contents import ImageContents
from donjon.wrapping.kubernetes import deployment, epc_request
from donjon.wrapping.layers import WrappedImage
from donjon.wrapping.manifest import MAX_FRAGMENT, WrapChoices
from donjon.wrapping.mounts import parse_mount
from donjon.wrapping.resign import check_wrapped, image_config, lay_signature, parse_sigstruct
from donjon.wrapping.sizing import parse_size
from donjon.wrapping.wrap import (
    ProgramTexts,
    WrapPlan,
    WrapRequest,
    inspect,
    plan_wrap,
    programs_of,
    read_programs,
)

_DATA = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrapping:
    """One image on its way."""

    images: Images
    image: Image
    options: WrapOptions


def wrap(name: str, options: WrapOptions) -> int:
    """Do what the options ask; the exit code."""
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
    if base is None or base_contents is None:
        raise click.UsageError("--gramine is missing: the image that Gramine's own files are taken from")
    return _build(work, _request(contents, base_contents, programs, options), base)


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
        say_json({"image": contents.reference, "findings": _as_json(findings)})
    else:
        _print(findings)
        say(f"{contents.reference}: {_verdict(findings)}")
    return EXIT_NO if is_refusal(findings) else EXIT_YES


def _verdict(findings: tuple[Finding, ...]) -> str:
    if is_refusal(findings):
        return "cannot be wrapped as it is"
    return "can be wrapped" + (", with what is said above in mind" if findings else "; nothing was found that would stop it")


def _build(work: Wrapping, request: WrapRequest, base: Image) -> int:
    options, target, contents = work.options, _target(work.options), request.image
    if (options["key"] is None) is (options["unsigned"] is None):
        raise click.UsageError("say either --key, to sign now, or --unsigned FILE, to sign later")
    plan = plan_wrap(request)
    if is_refusal(plan.findings):
        _print(plan.findings)
        say(f"{contents.reference}: {_verdict(plan.findings)}; nothing is written")
        return EXIT_NO
    day = options["day"] or clock.moment().date()
    result = build(plan, request.base, contents, _from_base(work.images, base, request.base, plan), day)
    sigstruct = _signature_of(result, options)
    with new_layout(target) as layout:
        lower = layout.copy(kept_layers(work.images, work.image))
        image = assemble(image_config(work.image.config), lower, plan, result, sigstruct)
        layout.write(image, _tag(options))
    if options["unsigned"] is not None:
        _write(options["unsigned"], result.draft.sigstruct.raw)
    _kubernetes(work, plan, result, image)
    _tell(work, plan, result, image, sigstruct)
    return EXIT_YES


def _request(contents: ImageContents, base: ImageContents, programs: ProgramTexts, options: WrapOptions) -> WrapRequest:
    memory, size = options["memory"], options["enclave_size"]
    return WrapRequest(
        image=contents,
        base=base,
        programs=programs,
        mounts=tuple(map(parse_mount, options["mounts"])),
        fragment=_fragment(options["manifest"]),
        choices=WrapChoices(
            passthrough=manifests.check_variables(options["variables"]),
            product_id=options["product_id"],
            svn=options["svn"],
            edmm=options["edmm"],
        ),
        size=None if size is None else parse_size(size),
        threads=options["threads"],
        memory=None if memory is None else parse_quantity(memory),
    )


def _fragment(path: Path | None) -> JsonObject:
    if path is None:
        return {}
    text = content(str(path), MAX_FRAGMENT)
    with within(str(path)):
        return manifests.parse(text)


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
    with new_layout(_target(work.options)) as layout:
        lower = layout.copy(kept_layers(work.images, work.image))
        image = lay_signature(work.image.config, contents.tree, lower, sigstruct)
        layout.write(image, _tag(work.options))
    document: JsonObject = {"image": work.options["target"], "digest": image.digest, **_identity(sigstruct)}
    if work.options["form"] == "json":
        say_json(document)
    else:
        for name, value in document.items():
            say(f"{name:<12} {value}")
    return EXIT_YES


def _target(options: WrapOptions) -> Path:
    if options["target"] is None:
        raise click.UsageError("--to is missing: where the new image goes, as oci:DIR[:TAG]")
    reference = parse_reference(options["target"])
    if reference.place is not ImagePlace.OCI_LAYOUT:
        raise click.UsageError("--to: expected oci:DIR[:TAG]; skopeo copy brings it from there into a registry")
    return Path(reference.path)


def _tag(options: WrapOptions) -> str:
    return parse_reference(options["target"] or "").tag


def _identity(sigstruct: SigStruct) -> JsonObject:
    return {
        "mrenclave": sigstruct.mr_enclave.hex(),
        "mrsigner": sigstruct.mr_signer.hex() if any(sigstruct.modulus) else "",
        "product_id": sigstruct.isv_prod_id,
        "svn": sigstruct.isv_svn,
    }


def _kubernetes(work: Wrapping, plan: WrapPlan, result: WrapResult, image: WrappedImage) -> None:
    path, options = work.options["kubernetes"], work.options
    if path is None:
        return
    name = options["name"] or _name(work.image)
    reference = f"{options['image_name'] or f'registry.example/{name}'}@{image.digest}"
    request = epc_request(plan.text, result.size, options["processes"])
    text = as_yaml([deployment(name, reference, request, map(parse_mount, options["mounts"]), plan.application.uid)])
    _write(path, text.encode())


def _name(image: Image) -> str:
    """A name that Kubernetes takes, out of the image's."""
    words = (image.reference.repository or image.reference.path).rpartition("/")[2].lower()
    return re.sub(r"[^a-z0-9]+", "-", words).strip("-")[:50].strip("-") or "wrapped"


def _tell(work: Wrapping, plan: WrapPlan, result: WrapResult, image: WrappedImage, sigstruct: SigStruct | None) -> None:
    findings = (*plan.findings, *result.findings)
    document: JsonObject = {
        "image": work.options["target"],
        "digest": image.digest,
        **_identity(sigstruct or result.draft.sigstruct),
        "enclave_size": canonical(result.size),
        "epc": canonical(epc_request(plan.text, result.size, work.options["processes"])),
    }
    if work.options["form"] == "json":
        say_json({**document, "findings": _as_json(findings)})
        return
    _print(findings)
    for name, value in document.items():
        if value != "":
            say(f"{name:<12} {value}")
    if sigstruct is None:
        unsigned = work.options["unsigned"]
        say(f"not signed yet: donjon enclave digest {unsigned}, donjon enclave attach, then donjon wrap --signature")


def _print(findings: Iterable[Finding]) -> None:
    for finding in findings:
        if finding.severity is Severity.INFO:
            say(f"{finding.subject}: {finding.observation}")
            say(f"      why: {finding.why}")
        else:
            print_finding(finding)


def _as_json(findings: Iterable[Finding]) -> list[Json]:
    return [{**each.as_dict()} for each in findings]


def _write(path: Path, octets: bytes) -> None:
    try:
        files.write_whole(path, octets, _DATA, replace=True)
    except OSError as error:
        raise Unavailable("DJ349", f"{path}: {error.strerror or error}") from error
