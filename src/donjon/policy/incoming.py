"""The types of claims that a service of the field states to policies, and the one that was probably meant by another name.

Sources: "Claim sets" of Azure Attestation's documentation, and tokens as recorded; those of the TPM's attestation are left out.
"""

from donjon.formats.words import VERY_LIKE, nearest

_SGX = ("is-debuggable", "product-id", "svn", "mrsigner", "mrenclave", "report-data", "config-id", "config-svn")
_OLDER = ("is-debuggable", "product-id", "sgx-mrsigner", "sgx-mrenclave", "svn", "tee")
_TDX = (
    *("mrconfigid", "mrowner", "mrownerconfig", "mrseam", "mrservicetd", "mrsignerseam", "mrtd", "report_data"),
    *("rtmr0", "rtmr1", "rtmr2", "rtmr3", "seam_attributes", "seamsvn", "td_attributes", "tee_tcb_svn", "tee_tcb_svn_2", "xfam"),
)
_TD_ATTRIBUTES = (
    *("debug", "hgs_plus_prof", "icssd", "key_locker", "lass", "migratable", "perf_prof", "perfmon", "pmt_prof"),
    *("protection_keys", "septve_disable", "servtd_ext", "tpa"),
)

INCOMING = frozenset(
    (
        *(f"x-ms-sgx-{name}" for name in (*_SGX, "isv-extended-product-id", "isv-family-id", "tcbidentifier")),
        *(f"${name}" for name in _OLDER),
        *(f"tdx_{name}" for name in _TDX),
        *(f"tdx_td_attributes_{name}" for name in _TD_ATTRIBUTES),
        *("x-ms-attestation-type", "x-ms-compliance-status", "x-ms-runtime", "x-ms-inittime", "x-ms-ver"),
        *("attester_tcb_status", "dbgstat", "eat_profile", "intuse"),
        *("x-donjon-sgx-attributes", "x-donjon-sgx-einittoken-key", "x-donjon-sgx-provision-key", "x-donjon-simulated"),
    )
)
"""What policies may ask for, of SGX enclaves and TDX trust domains."""

CLOSED = ("x-ms-sgx-", "x-donjon-", "tdx_", "$")
"""How names begin that are all in the list."""

_OF_ENCLAVES = ("x-ms-sgx-", "x-donjon-sgx-", "$")
_OF_DOMAINS = ("tdx_", "attester_tcb_status", "dbgstat", "eat_profile", "intuse")
_FOREIGN = {"SgxEnclave": ("TdxVm", _OF_DOMAINS), "OpenEnclave": ("TdxVm", _OF_DOMAINS), "TdxVm": ("SgxEnclave", _OF_ENCLAVES)}
"""By the attestation type: whose claims it never has, and how their names begin."""

_SHORTEST = 6  # letters; what is shorter is like too much


def other_kind(claim_type: str, kind: str) -> str:
    """The attestation type of which that claim is stated, where it never is of this one; else nothing."""
    other, beginnings = _FOREIGN.get(kind, ("", ()))
    return other if claim_type in INCOMING and claim_type.startswith(beginnings) else ""


def intended(claim_type: str) -> str | None:
    """What may have been meant by a type that no service states: one of those, or nothing ("") where none is like it.

    `None` for a type that is stated, or of which nothing is known here.
    """
    if claim_type in INCOMING:
        return None
    near = nearest(claim_type.casefold(), INCOMING, VERY_LIKE) if len(claim_type) >= _SHORTEST else ""
    return near if near or claim_type.startswith(CLOSED) else None
