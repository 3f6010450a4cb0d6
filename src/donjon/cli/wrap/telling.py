"""How `donjon wrap` tells what it chose and built: for people, for programs, and as a Deployment."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from donjon.adapters import files
from donjon.admission.policies.printing import manifest as as_yaml
from donjon.cli.terminal import print_finding, say, say_json
from donjon.cli.wrap.command import WrapOptions
from donjon.errors import Unavailable
from donjon.findings import Finding, Severity, is_refusal
from donjon.formats.json import Json, JsonObject
from donjon.images.image import Image
from donjon.kube.quantities import canonical
from donjon.sgx.sigstruct import SigStruct
from donjon.wrapping.building import WrapResult
from donjon.wrapping.kubernetes import deployment, epc_request
from donjon.wrapping.layers import WrappedImage
from donjon.wrapping.mounts import parse_mount
from donjon.wrapping.wrap import WrapPlan

_DATA = 0o644


def verdict(findings: tuple[Finding, ...]) -> str:
    """Whether it can be wrapped, in words."""
    if is_refusal(findings):
        return "cannot be wrapped as it is"
    return "can be wrapped" + (", with what is said above in mind" if findings else "; nothing was found that would stop it")


def identity(sigstruct: SigStruct) -> JsonObject:
    """What an enclave is, as far as a signature says it."""
    return {
        "mrenclave": sigstruct.mr_enclave.hex(),
        "mrsigner": sigstruct.mr_signer.hex() if any(sigstruct.modulus) else "",
        "product_id": sigstruct.isv_prod_id,
        "svn": sigstruct.isv_svn,
    }


def write_deployment(source: Image, options: WrapOptions, plan: WrapPlan, result: WrapResult, image: WrappedImage) -> None:
    """Write the Deployment where the options want it; raises `Unavailable` DJ349."""
    path = options["kubernetes"]
    if path is None:
        return
    name = options["name"] or _name(source)
    reference = f"{options['image_name'] or f'registry.example/{name}'}@{image.digest}"
    request = epc_request(plan.text, result.size, options["processes"])
    text = as_yaml([deployment(name, reference, request, map(parse_mount, options["mounts"]), plan.application.uid)])
    write_file(path, text.encode())


def _name(image: Image) -> str:
    """A name that Kubernetes takes, out of the image's."""
    words = (image.reference.repository or image.reference.path).rpartition("/")[2].lower()
    return re.sub(r"[^a-z0-9]+", "-", words).strip("-")[:50].strip("-") or "wrapped"


def tell(options: WrapOptions, plan: WrapPlan, result: WrapResult, image: WrappedImage, sigstruct: SigStruct | None) -> None:
    """Everything that was chosen, and what came of it."""
    findings = (*plan.findings, *result.findings)
    document: JsonObject = {
        "image": options["target"],
        "digest": image.digest,
        **identity(sigstruct or result.draft.sigstruct),
        "enclave_size": canonical(result.size),
        "epc": canonical(epc_request(plan.text, result.size, options["processes"])),
    }
    if options["form"] == "json":
        say_json({**document, "findings": as_json(findings)})
        return
    print_all(findings)
    say_fields(document)
    if sigstruct is None:
        unsigned = options["unsigned"]
        say(f"not signed yet: donjon enclave digest {unsigned}, donjon enclave attach, then donjon wrap --signature")


def say_fields(document: Mapping[str, Json]) -> None:
    """A line for each that is something."""
    for name, value in document.items():
        if value != "":
            say(f"{name:<12} {value}")


def print_all(findings: Iterable[Finding]) -> None:
    """Each with its reason; what is a choice without its code."""
    for finding in findings:
        if finding.severity is Severity.INFO:
            say(f"{finding.subject}: {finding.observation}")
            say(f"      why: {finding.why}")
        else:
            print_finding(finding)


def as_json(findings: Iterable[Finding]) -> list[Json]:
    """The same for programs."""
    return [{**each.as_dict()} for each in findings]


def write_file(path: Path, octets: bytes) -> None:
    """A file, whole; raises `Unavailable` DJ349."""
    try:
        files.write_whole(path, octets, _DATA, replace=True)
    except OSError as error:
        raise Unavailable("DJ349", f"{path}: {error.strerror or error}") from error
