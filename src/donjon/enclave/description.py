"""What is said of an enclave, for people in lines and for programs as JSON."""

from collections.abc import Iterator

from donjon.enclave.lint import day_of
from donjon.enclave.samples import SAMPLE_KEYS
from donjon.enclave.search import Enclave
from donjon.enclave.signature import signature_faults
from donjon.formats.json import JsonObject
from donjon.sgx.sigstruct import SigStruct

_MIB = 1 << 20


def document(enclave: Enclave) -> JsonObject:
    """As JSON; `mrenclave` is that of the signature, `measured` the one that was worked out of the file, where it can be."""
    members: JsonObject = {
        "family": str(enclave.family),
        "offset": enclave.offset,
        "enclave_size": enclave.size,
        "threads": enclave.threads,
        "measured": None if enclave.measurement is None else enclave.measurement.hex(),
        "not_measured_because": enclave.unmeasured or None,
    }
    if enclave.sigstruct is None:
        return {**members, "mrenclave": members["measured"], "signature_valid": None}
    return {**members, **_signature(enclave.sigstruct)}


def _signature(sigstruct: SigStruct) -> JsonObject:
    sample, day = SAMPLE_KEYS.get(sigstruct.mr_signer.hex()), day_of(sigstruct)
    return {
        "mrenclave": sigstruct.mr_enclave.hex(),
        "mrsigner": sigstruct.mr_signer.hex(),
        "sample_key": None if sample is None else sample.key,
        "product_id": sigstruct.isv_prod_id,
        "svn": sigstruct.isv_svn,
        "date": None if day is None else day.isoformat(),
        "debug": sigstruct.debug,
        "debug_masked": sigstruct.masks_debug,
        "attributes": sigstruct.attributes.hex(),
        "attribute_mask": sigstruct.attribute_mask.hex(),
        "misc_select": sigstruct.misc_select.hex(),
        "misc_mask": sigstruct.misc_mask.hex(),
        "kss": sigstruct.kss,
        "family_id": sigstruct.isv_family_id.hex(),
        "extended_product_id": sigstruct.isv_ext_prod_id.hex(),
        "signature_valid": not any(signature_faults(sigstruct)),
    }


def lines(enclave: Enclave) -> Iterator[tuple[str, str]]:
    """A label and its value each."""
    if enclave.sigstruct is not None:
        yield from _of_signature(enclave.sigstruct, enclave.offset)
    yield (
        "measured",
        f"not, for {enclave.unmeasured}" if enclave.measurement is None else _measurement(enclave, enclave.measurement),
    )
    if enclave.size is not None:
        threads = "" if enclave.threads is None else f", {enclave.threads} thread{'' if enclave.threads == 1 else 's'}"
        yield "addresses", f"{enclave.size / _MIB:,g} MiB{threads}"


def _measurement(enclave: Enclave, measurement: bytes) -> str:
    if enclave.sigstruct is None:
        return f"{measurement.hex()}; this file has no signature"
    if measurement == enclave.sigstruct.mr_enclave:
        return "out of the file: the same MRENCLAVE"
    return f"{measurement.hex()}: not the MRENCLAVE that was signed"


def _of_signature(sigstruct: SigStruct, offset: int) -> Iterator[tuple[str, str]]:
    sample, day = SAMPLE_KEYS.get(sigstruct.mr_signer.hex()), day_of(sigstruct)
    faults = tuple(signature_faults(sigstruct))
    yield "MRENCLAVE", sigstruct.mr_enclave.hex()
    yield "MRSIGNER", sigstruct.mr_signer.hex() + (f" ({sample.key})" if sample else "")
    yield "product id", f"{sigstruct.isv_prod_id}, SVN {sigstruct.isv_svn}, signed {day or 'on a day that is none'}"
    yield (
        "debug",
        ("yes" if sigstruct.debug else "no") + ("" if sigstruct.masks_debug else ", and whoever loads it may change that"),
    )
    yield "attributes", f"{sigstruct.attributes.hex()}, mask {sigstruct.attribute_mask.hex()}"
    yield "MISCSELECT", f"{sigstruct.misc_select.hex()}, mask {sigstruct.misc_mask.hex()}"
    if sigstruct.kss:
        yield "KSS", f"family {sigstruct.isv_family_id.hex()}, extended product id {sigstruct.isv_ext_prod_id.hex()}"
    yield "signature", f"at byte {offset}: " + ("; ".join(faults) if faults else "valid, Q1 and Q2 too")
