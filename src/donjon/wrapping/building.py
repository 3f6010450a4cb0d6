"""A plan carried out: the layers of the wrapped image, its measurement, and the fields that are to be signed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from donjon.enclave.gramine_measurement import V1_9, GramineEnclave, measure_gramine, read_offsets
from donjon.enclave.signing import Draft, SigstructFields, blank, change
from donjon.errors import Misconfigured
from donjon.findings import Finding
from donjon.formats.json import Json, JsonObject, at
from donjon.sgx.sigstruct import SigStruct
from donjon.wrapping.contents import ImageContents
from donjon.wrapping.host import FOLDER as HOST
from donjon.wrapping.layers import Blob, LayerFile, WrappedImage, add_layers, layer
from donjon.wrapping.manifest import MANIFEST, NAME, SIGNATURE
from donjon.wrapping.sizing import check_threads, parse_size
from donjon.wrapping.tree import NodeKind
from donjon.wrapping.wrap import WrapPlan

MR_ENCLAVE = "dev.donjon.mrenclave"
"""A label of the image: what was measured, so that no signature of another enclave is laid over it by mistake."""
MODE64BIT, DEBUG = 1 << 2, 1 << 1
LEGACY = 3  # of XFRM: x87 and SSE
XFRM_MASK = 0xFFFF_FFFF_FFF9_FF1B
"""Held to what is signed: all but AVX, AVX-512 and AMX (Gramine, `sgx_arch.h`, SGX_XFRM_MASK_CONST)."""
_FEATURES = {"avx": 0x4, "avx512": 0xE4, "amx": 0x60000, "mpx": 0x18, "pkru": 0x200}
_HARDENING = frozenset({"mpx", "pkru"})
"""Features of which Gramine wants to know whether they are there, or not."""
_EXINFO = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class WrapResult:
    """What was built, without its signature."""

    gramine: Blob  # a layer
    manifest: Blob  # a layer
    draft: Draft  # what is to be signed
    size: int
    findings: tuple[Finding, ...]


def build(plan: WrapPlan, base: ImageContents, image: ImageContents, contents: Mapping[str, bytes], day: date) -> WrapResult:
    """The layers, and the draft of a SIGSTRUCT of that day; raises `Misconfigured` DJ390 for a file gone astray, and DJ398."""
    lacks = sorted(plan.wants - set(contents))
    if lacks:
        raise Misconfigured("DJ390", f"{base.reference}: {lacks[0]} could not be read a second time")
    enclave = _enclave(plan.manifest)
    text = base.texts.get(plan.gramine.offsets)
    offsets = V1_9 if text is None else read_offsets(text.decode(errors="replace"))
    mr_enclave = measure_gramine(plan.text, contents[plan.gramine.pal], enclave, offsets)
    folders = [path for path, node in image.tree.nodes.items() if node.kind is NodeKind.FOLDER]
    return WrapResult(
        gramine=layer(_gramine_files(plan, base, contents), folders),
        manifest=layer([LayerFile(path=MANIFEST, content=plan.text)], folders),
        draft=change(blank(mr_enclave), sigstruct_fields(plan.manifest, day)),
        size=enclave.size,
        findings=() if text is not None else (_guessed(base.reference),),
    )


def _guessed(reference: str) -> Finding:
    return Finding.warning(
        "DJ398",
        reference,
        "has no _graminelibos_offsets.py",
        "MRENCLAVE is worked out with the structures of Gramine 1.6 to 1.9; for another it is wrong, and EINIT would refuse it",
        "compare it with gramine-sgx-sigstruct-view of an enclave that Gramine's own signer made of this libpal.so",
    )


def _gramine_files(plan: WrapPlan, base: ImageContents, contents: Mapping[str, bytes]) -> Sequence[LayerFile]:
    files = [
        LayerFile(path=place, content=contents[path], mode=0o755 if node.mode & 0o111 else 0o644)
        for path, place in plan.copies.items()
        if (node := base.tree.file(path)) is not None
    ]
    return [*files, *(LayerFile(path=path, target=target) for path, target in plan.links.items())]


def _enclave(manifest: JsonObject) -> GramineEnclave:
    size, threads = at(manifest, "sgx", "enclave_size"), at(manifest, "sgx", "max_threads")
    if not isinstance(size, str) or not isinstance(threads, int) or isinstance(threads, bool):
        raise Misconfigured("DJ398", "your manifest: sgx.enclave_size is a text such as 1G, and sgx.max_threads a number")
    return GramineEnclave(size=parse_size(size), threads=check_threads(threads), edmm=at(manifest, "sgx", "edmm_enable") is True)


def sigstruct_fields(manifest: JsonObject, day: date) -> SigstructFields:
    """The fields as Gramine's own signer makes them of a manifest."""
    xfrm, mask = _xfrm(manifest)
    debug = at(manifest, "sgx", "debug") is True
    return SigstructFields(
        day=day,
        product_id=_small(manifest, "isvprodid"),
        svn=_small(manifest, "isvsvn"),
        flags=MODE64BIT | DEBUG * debug,
        flags_mask=(1 << 64) - 1,
        xfrm=xfrm,
        xfrm_mask=mask,
        misc_select=_EXINFO * (at(manifest, "sgx", "use_exinfo") is True),
        misc_mask=(1 << 32) - 1,
    )


def _small(manifest: JsonObject, name: str) -> int:
    number = at(manifest, "sgx", name)
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 1 << 16:
        raise Misconfigured("DJ398", f"your manifest: sgx.{name} is no number from 0 to 65535")
    return number


def _xfrm(manifest: JsonObject) -> tuple[int, int]:
    xfrm, mask = LEGACY, XFRM_MASK
    for name, bits in _FEATURES.items():
        match at(manifest, "sgx", "cpu_features", name):
            case "required":
                xfrm, mask = xfrm | bits, mask | bits
            case "disabled":
                xfrm, mask = xfrm & ~bits, mask | bits
            case None:
                pass
            case "unspecified" if name not in _HARDENING:
                pass
            case other:
                raise Misconfigured("DJ398", f"your manifest: sgx.cpu_features.{name} is {other!r}, which Gramine does not know")
    return xfrm, mask


def process(plan: WrapPlan, result: WrapResult, labels: Json) -> JsonObject:
    """What the wrapped image starts: Gramine's loader, which starts the rest."""
    variables = dict(plan.application.environment)
    if any(place.startswith(HOST + "/") for place in plan.copies.values()):
        variables["LD_LIBRARY_PATH"] = ":".join(filter(None, (HOST, variables.get("LD_LIBRARY_PATH", ""))))
    return {
        "Entrypoint": [plan.gramine.loader, plan.gramine.pal, "init", NAME],
        "Cmd": [],
        "Env": [f"{name}={value}" for name, value in variables.items()],
        "Labels": {**(labels if isinstance(labels, dict) else {}), MR_ENCLAVE: result.draft.sigstruct.mr_enclave.hex()},
    }


def assemble(
    config: JsonObject, lower: Sequence[Blob], plan: WrapPlan, result: WrapResult, sigstruct: SigStruct | None
) -> WrappedImage:
    """The whole image; without a SIGSTRUCT it cannot be started, until its signature is laid over it."""
    new = {"Gramine": result.gramine, "manifest": result.manifest}
    if sigstruct is not None:
        new["signature"] = signature_layer(sigstruct)
    return add_layers(config, lower, new, process(plan, result, at(config, "config", "Labels")))


def signature_layer(sigstruct: SigStruct) -> Blob:
    """The last layer."""
    return layer([LayerFile(path=SIGNATURE, content=sigstruct.raw)], ("/gramine", "/gramine/app_files"))
