"""The versions of the REST API, and in what they differ. Source: Azure REST API specifications, "attestation", data plane."""

from enum import StrEnum

from donjon.errors import Malformed
from donjon.formats.words import excerpt, one_of
from donjon.maa.names import choice


class ApiVersion(StrEnum):
    """What `api-version` can be."""

    V2020_10_01 = "2020-10-01"
    V2022_08_01 = "2022-08-01"
    V2022_09_01_PREVIEW = "2022-09-01-preview"
    V2023_04_01_PREVIEW = "2023-04-01-preview"  # in no specification; Azure's own client of confidential VMs asks for it
    V2025_06_01 = "2025-06-01"


class AttestationType(StrEnum):
    """What can be attested, or have a policy."""

    SGX_ENCLAVE = "SgxEnclave"
    OPEN_ENCLAVE = "OpenEnclave"
    TPM = "Tpm"
    SEV_SNP_VM = "SevSnpVm"
    TDX_VM = "TdxVm"
    AZURE_GUEST = "AzureGuest"


ATTESTED = frozenset({AttestationType.SGX_ENCLAVE, AttestationType.OPEN_ENCLAVE, AttestationType.TDX_VM})
"""What is attested here; the others can have policies."""

_FIRST = frozenset({AttestationType.SGX_ENCLAVE, AttestationType.OPEN_ENCLAVE, AttestationType.TPM})
TYPES = {
    ApiVersion.V2020_10_01: _FIRST,
    ApiVersion.V2022_08_01: _FIRST | {AttestationType.SEV_SNP_VM},
    ApiVersion.V2022_09_01_PREVIEW: _FIRST | {AttestationType.SEV_SNP_VM, AttestationType.TDX_VM},
    ApiVersion.V2023_04_01_PREVIEW: _FIRST | {AttestationType.SEV_SNP_VM, AttestationType.TDX_VM},
    ApiVersion.V2025_06_01: frozenset(AttestationType),
}
"""What each version knows."""

TCB_BASELINES = frozenset({ApiVersion.V2025_06_01})
"""The versions with /tcbbaselines."""

CERTIFICATE_OBJECTS = frozenset({ApiVersion.V2025_06_01})
"""The versions in which a certificate token stands in an object; in the others the body is one JSON string."""


def parse(text: str | None) -> ApiVersion:
    """The version that a request asks for; raises `Malformed` DJ451."""
    if text is None or text not in tuple(ApiVersion):
        actual = "missing" if text is None else excerpt(text)
        raise Malformed("DJ451", f"api-version: {actual}, expected {one_of(tuple(ApiVersion), text or '')}")
    return ApiVersion(text)


def attestation_type(text: str, version: ApiVersion) -> AttestationType:
    """The type that a path names, in any case; raises `Malformed` DJ452 for one that the version does not know."""
    types = tuple(sorted(TYPES[version]))
    kind = choice(text, AttestationType)
    if kind not in types:
        raise Malformed("DJ452", f"attestation type: {excerpt(text)} in {version}, expected {one_of(types, text)}")
    return kind
