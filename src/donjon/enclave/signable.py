"""Which SIGSTRUCT of a file is to be signed, what of it may change without a new measurement, and how it is put back.

Open Enclave's measured `.oeinfo` repeats some fields, so that they cannot be changed there by signing alone. Intel's SDK has
ATTRIBUTES a second time in metadata that are not measured: its loader starts the enclave with those, so they are changed along.
Sources: openenclave, `host/sgx/loadelf.c`, `include/openenclave/bits/sgx/sgxproperties.h`; intel/linux-sgx,
`psw/urts/enclave_creator_hw_com.cpp` (`get_misc_attr`), `common/inc/internal/metadata.h`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from donjon.enclave.open_enclave import SIGSTRUCT_AT, OeProperties
from donjon.enclave.search import Enclave, EnclaveFamily, enclaves
from donjon.enclave.signing import DEBUG, KSS, Draft, SigstructFields, blank, change, draft_of
from donjon.errors import Malformed, Misconfigured, Untrusted
from donjon.sgx.layout import Octets
from donjon.sgx.sigstruct import SigStruct

_SDK_ATTRIBUTES = slice(-16, 0)
_SDK_MISC_SELECT = slice(-32, -28)
"""Where the metadata of Intel's SDK have both, from its SIGSTRUCT on: they have it at 64, and these at 48 and 32."""
_REPEATED: Mapping[str, Octets] = {
    "product id": SigStruct.isv_prod_id,
    "SVN": SigStruct.isv_svn,
    "family id": SigStruct.isv_family_id,
    "extended product id": SigStruct.isv_ext_prod_id,
    "attributes (and debug)": SigStruct.attributes,
}
_OE_FLAGS_MASK = 0xFFFF_FFFF_FFFF_FF7B  # all but MODE64BIT and KSS; the latter too where the author asks for it
_OE_XFRM, _OE_XFRM_MASK = 0x3, 0xFFFF_FFFF_FFFF_FF1B  # all but AVX
_EXINFO = 1
"""As oesign signs: openenclave, `host/sgx/sgxsign.c`, `include/openenclave/bits/sgx/sgxtypes.h`."""
_UNMEASURED = frozenset({EnclaveFamily.INTEL_SDK, EnclaveFamily.EDP, EnclaveFamily.SIGNATURE})
"""Whose SIGSTRUCT stands apart from all that is measured; of others what Open Enclave repeats is not touched."""


@dataclass(frozen=True, slots=True)
class Signable:
    """The enclave of a file that is to be signed."""

    content: bytes
    enclave: Enclave

    @property
    def alone(self) -> bool:
        """Whether what comes out is a SIGSTRUCT in a file of its own, in place of one within the enclave's."""
        return self.enclave.family in {EnclaveFamily.EDP, EnclaveFamily.SIGNATURE}

    @property
    def mr_enclave(self) -> bytes:
        """What is signed."""
        draft = self.draft().sigstruct
        return draft.mr_enclave

    def draft(self) -> Draft:
        """The fields as they stand, or those of a new SIGSTRUCT: for a stream, and for a program of Open Enclave without one."""
        if self.enclave.sigstruct is not None:
            return draft_of(self.enclave.sigstruct)
        assert self.enclave.measurement is not None, "what has no SIGSTRUCT is measured, or it is not signed"
        fresh = blank(self.enclave.measurement)
        if self.enclave.family is EnclaveFamily.OPEN_ENCLAVE:
            raw = self.content[self.enclave.offset - SIGSTRUCT_AT :][: OeProperties.SIZE]
            return change(fresh, _properties(OeProperties(raw)))
        return fresh


def signable(content: bytes) -> Signable:
    """The one enclave of a file that can be signed.

    Raises `Malformed` DJ344 where there is none or it cannot be told which, and `Untrusted` DJ305 where it was changed since.
    """
    there = enclaves(content)
    if not there or (there[0].sigstruct is None and there[0].measurement is None):
        why = f" ({there[0].unmeasured})" if there else ""
        raise Malformed("DJ344", f"there is no SIGSTRUCT in it, and nothing to measure{why}; the SDK's own tool makes the first")
    enclave = there[0]
    if len(there) > 1 and enclave.family is EnclaveFamily.UNKNOWN:
        raise Malformed("DJ344", f"there are {len(there)} SIGSTRUCTs in it, and none in the place of an SDK")
    if enclave.sigstruct is not None and enclave.measurement not in {None, enclave.sigstruct.mr_enclave}:
        raise Untrusted(
            "DJ305",
            f"it is measured as {enclave.measurement.hex() if enclave.measurement else ''}, and its SIGSTRUCT says "
            f"{enclave.sigstruct.mr_enclave.hex()}: build it again, for no processor would start it",
        )
    return Signable(content, enclave)


def _properties(properties: OeProperties) -> SigstructFields:
    """What the author of an enclave of Open Enclave wants in its SIGSTRUCT."""
    flags = properties.attributes
    ids = (properties.family_id, properties.ext_product_id) if flags & KSS else (None, None)
    return SigstructFields(
        product_id=properties.product_id,
        svn=properties.svn,
        family_id=ids[0],
        ext_product_id=ids[1],
        flags=flags,
        flags_mask=(_OE_FLAGS_MASK | flags & KSS) & ~(flags & DEBUG),
        xfrm=_OE_XFRM,
        xfrm_mask=_OE_XFRM_MASK,
        misc_mask=0xFFFF_FFFF & ~(_EXINFO * properties.captures_faults),
    )


def redraft(subject: Signable, fields: SigstructFields) -> Draft:
    """The fields that are to be signed; raises `Misconfigured` DJ345 for what is measured, and DJ342."""
    draft = change(subject.draft(), fields)
    check_measured(subject, draft)
    return draft


def check_measured(subject: Signable, draft: Draft) -> None:
    """Raises `Misconfigured` DJ345 where the draft is another enclave's, or would be that of another measurement."""
    before, after = subject.draft().sigstruct, draft.sigstruct
    if before.mr_enclave != after.mr_enclave:
        words = f"it is of MRENCLAVE {after.mr_enclave.hex()}, and the file's is {before.mr_enclave.hex()}"
        raise Misconfigured("DJ345", f"message: {words}: name the file of which it was written")
    if subject.enclave.family in _UNMEASURED:
        return
    others = [name for name, field in _REPEATED.items() if before.raw[field.place] != after.raw[field.place]]
    if others:
        words = "stands in what is measured, too, so that another one needs another MRENCLAVE: set it where the enclave is built"
        raise Misconfigured(
            "DJ345", f"{', '.join(others)}: {words} (Open Enclave: OE_SET_ENCLAVE_SGX, or oesign's configuration)"
        )


def put_back(subject: Signable, sigstruct: SigStruct) -> bytes:
    """What is to be written: the file with this SIGSTRUCT in it, or the SIGSTRUCT alone where it has a file of its own."""
    if subject.alone:
        return sigstruct.raw
    content = bytearray(subject.content)
    if subject.enclave.family is EnclaveFamily.INTEL_SDK:
        for at in _copies(subject):
            _put_metadata(content, at, subject.draft().sigstruct, sigstruct)
    else:
        content[subject.enclave.offset : subject.enclave.offset + SigStruct.SIZE] = sigstruct.raw
    return bytes(content)


def _copies(subject: Signable) -> Iterator[int]:
    """Where the SIGSTRUCT stands: Intel's SDK repeats its metadata for older versions of its loader."""
    assert subject.enclave.sigstruct is not None, "of what has no SIGSTRUCT, streams alone are signed"
    at = subject.content.find(subject.enclave.sigstruct.raw)
    while at >= 0:
        yield at
        at = subject.content.find(subject.enclave.sigstruct.raw, at + SigStruct.SIZE)


def _put_metadata(content: bytearray, at: int, before: SigStruct, after: SigStruct) -> None:
    """The SIGSTRUCT, and what the loader of Intel's SDK asks the processor for; DEBUG it sets as its caller wants it."""
    content[at : at + SigStruct.SIZE] = after.raw
    attributes, misc = (slice(at + each.start, at + each.stop) for each in (_SDK_ATTRIBUTES, _SDK_MISC_SELECT))
    if before.attributes != after.attributes:
        content[attributes] = after.attributes
    if before.misc_select != after.misc_select:
        content[misc] = bytes(wish & there for wish, there in zip(content[misc], after.misc_select, strict=True))
