"""An image's config written down again, and a signature that was made elsewhere laid over an image wrapped without one."""

from collections.abc import Sequence

from donjon.enclave.signature import signature_faults
from donjon.errors import Malformed, Misconfigured, Untrusted
from donjon.formats.json import Json, JsonObject
from donjon.images.image import ImageConfig
from donjon.sgx.sigstruct import SigStruct
from donjon.wrapping.building import MR_ENCLAVE, signature_layer
from donjon.wrapping.layers import Blob, WrappedImage, add_layers
from donjon.wrapping.manifest import SIGNATURE
from donjon.wrapping.tree import FileTree


def image_config(config: ImageConfig) -> JsonObject:
    """What a config says that a runtime acts on, and its labels; when it was made, and how, is left out."""
    process: dict[str, Json] = {
        "Entrypoint": list(config.entrypoint),
        "Cmd": list(config.command),
        "Env": list(config.environment),
        "WorkingDir": config.working_dir,
        "User": config.user,
        "Labels": dict(config.labels),
        "ExposedPorts": {port: {} for port in config.exposed_ports},
        "Volumes": {path: {} for path in config.volumes},
        "StopSignal": config.stop_signal,
    }
    return {
        "architecture": config.architecture,
        "os": config.system,
        "config": {name: value for name, value in process.items() if value},
        "rootfs": {"type": "layers", "diff_ids": list(config.diff_ids)},
    }


def lay_signature(config: ImageConfig, tree: FileTree, lower: Sequence[Blob], sigstruct: SigStruct) -> WrappedImage:
    """The image with the signature as its last layer.

    Raises `Misconfigured` DJ390 where the image was not wrapped, or is signed, and `Untrusted` DJ343 for a signature of another.
    """
    check_wrapped(config, tree)
    for fault in signature_faults(sigstruct):
        raise Untrusted("DJ343", f"signature: {fault}")
    if sigstruct.mr_enclave.hex() != config.labels[MR_ENCLAVE]:
        own = config.labels[MR_ENCLAVE]
        raise Untrusted("DJ343", f"signature: of MRENCLAVE {sigstruct.mr_enclave.hex()}, and the image was measured as {own}")
    return add_layers(image_config(config), lower, {"signature": signature_layer(sigstruct)}, {})


def check_wrapped(config: ImageConfig, tree: FileTree) -> None:
    """Raises `Misconfigured` DJ390 for an image that `donjon wrap` did not make, or that has a signature."""
    if MR_ENCLAVE not in config.labels:
        raise Misconfigured("DJ390", f"the image has no label {MR_ENCLAVE}: donjon wrap --unsigned did not make it")
    if tree.at(SIGNATURE) is not None:
        raise Misconfigured("DJ390", f"the image has {SIGNATURE} already: it is signed")


def parse_sigstruct(octets: bytes) -> SigStruct:
    """A signature's file; raises `Malformed` DJ392 where it has another length."""
    if len(octets) != SigStruct.SIZE:
        raise Malformed("DJ392", f"signature: {len(octets)} bytes, expected the {SigStruct.SIZE} of a SIGSTRUCT")
    return SigStruct(octets)
