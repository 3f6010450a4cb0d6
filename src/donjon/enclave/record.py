"""What was found in an image, as a value and as the object that the replicas of the webhook share: EnclaveImage.

Whoever may write such an object may say what an image holds, so the chart lets nobody but the webhook's own account. MRENCLAVE
and MRSIGNER stand there for whoever reads it: they are taken from the SIGSTRUCT, and from nowhere else.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

from donjon.enclave.search import Enclave, EnclaveFamily
from donjon.errors import Malformed
from donjon.formats.json import Json, JsonObject, at, objects
from donjon.sgx.sigstruct import SigStruct

GROUP, VERSION, KIND, PLURAL = "donjon.dev", "v1alpha1", "EnclaveImage", "enclaveimages"
MAX_ENCLAVES_OF_IMAGE = 64
MAX_PATH = 1024  # characters of a file's place
MAX_FAULTS, MAX_FAULT = 16, 400  # faults that are kept of an image, characters of one
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEnclave:
    """An enclave, and the file that it stands in."""

    path: str
    enclave: Enclave


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectedImage:
    """All that was found in the files of one image."""

    digest: str
    enclaves: tuple[FileEnclave, ...]
    faults: tuple[str, ...] = ()  # files that may hold an enclave and cannot be read, each a sentence with its code


def object_name(digest: str) -> str:
    """The name of the object that speaks of that digest."""
    return digest.replace(":", "-")


def write_record(image: InspectedImage, reader: str) -> JsonObject:
    """The object that says what was found, and by which version of Donjon."""
    spec: JsonObject = {
        "digest": image.digest,
        "reader": reader,
        "enclaves": [_as_entry(each) for each in image.enclaves],
        "faults": [*image.faults],
    }
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": KIND, "metadata": {"name": object_name(image.digest)}, "spec": spec}


def read_record(record: JsonObject, reader: str) -> InspectedImage | None:
    """What such an object says; `None` of another version of Donjon, which may have looked for less.

    Raises `Malformed` DJ376 for one that is not what `write_record` makes.
    """
    spec = record.get("spec")
    if at(spec, "reader") != reader:
        return None
    digest = at(spec, "digest")
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest) or at(record, "metadata", "name") != object_name(digest):
        raise Malformed("DJ376", "EnclaveImage: its name is not that of its digest")
    entries = objects(at(spec, "enclaves"))
    if len(entries) > MAX_ENCLAVES_OF_IMAGE:
        raise Malformed("DJ376", f"EnclaveImage {digest}: {len(entries)} enclaves, expected at most {MAX_ENCLAVES_OF_IMAGE}")
    enclaves = tuple(_read(each, digest) for each in entries)
    return InspectedImage(digest=digest, enclaves=enclaves, faults=_texts(at(spec, "faults")))


def _as_entry(file: FileEnclave) -> Json:
    enclave, sigstruct = file.enclave, file.enclave.sigstruct
    identity: JsonObject = (
        {} if sigstruct is None else {"mrenclave": sigstruct.mr_enclave.hex(), "mrsigner": sigstruct.mr_signer.hex()}
    )
    return {
        "path": file.path,
        "family": enclave.family.value,
        "debugKey": enclave.uses_debug_key,
        "offset": enclave.offset,
        "sigstruct": "" if sigstruct is None else base64.b64encode(sigstruct.raw).decode(),
        "size": enclave.size,
        "threads": enclave.threads,
        "measurement": "" if enclave.measurement is None else enclave.measurement.hex(),
        "unmeasured": enclave.unmeasured,
        **identity,
    }


def _read(entry: JsonObject, digest: str) -> FileEnclave:
    try:
        raw = base64.b64decode(str(entry["sigstruct"]), validate=True)
        enclave = Enclave(
            family=EnclaveFamily(str(entry["family"])),
            sigstruct=SigStruct(raw) if raw else None,
            uses_debug_key=entry["debugKey"] is True,
            offset=_number(entry["offset"]) or 0,
            size=_number(entry["size"]),
            threads=_number(entry["threads"]),
            measurement=bytes.fromhex(str(entry["measurement"])) or None,
            unmeasured=str(entry["unmeasured"]),
        )
        return FileEnclave(path=str(entry["path"])[:MAX_PATH], enclave=enclave)
    except (KeyError, ValueError, Malformed, binascii.Error) as error:
        raise Malformed("DJ376", f"EnclaveImage {digest}: an enclave of it cannot be read: {error}") from error


def _number(value: Json) -> int | None:
    return value if isinstance(value, int) else None


def _texts(values: Json) -> tuple[str, ...]:
    entries: Sequence[Json] = values if isinstance(values, list) else ()
    return tuple(each[:MAX_PATH] for each in entries if isinstance(each, str))[:MAX_FAULTS]
