"""The identity of a quoting enclave (QE, or TD_QE for TDX): what its report must look like, and the levels of its SVN.

Source: Intel SGX and TDX PCS API v4, "Get Quoting Enclave Identity".
"""

from dataclasses import dataclass, field
from datetime import datetime

from donjon.collateral import levels
from donjon.collateral.levels import SvnLevel
from donjon.collateral.tcb_info import MAX_EVALUATION
from donjon.errors import Malformed
from donjon.formats import strict_json
from donjon.sgx.platform import Tee

_VERSION = 2
_IDS = {"QE": Tee.SGX, "TD_QE": Tee.TDX}


@dataclass(frozen=True, slots=True, kw_only=True)
class QeIdentity:
    """What Intel states about the quoting enclave of one kind of trusted execution."""

    tee: Tee
    misc_select: bytes  # 4 bytes, under the mask
    misc_select_mask: bytes
    attributes: bytes  # 16 bytes, under the mask
    attributes_mask: bytes
    mr_signer: bytes
    isv_prod_id: int
    issue_date: datetime
    next_update: datetime
    evaluation_number: int
    levels: tuple[SvnLevel, ...] = field(repr=False)  # the highest first


def parse(text: bytes) -> QeIdentity:
    """The identity that a signed text holds; raises `Malformed` DJ210 or DJ212."""
    identity = strict_json.parse(text, "enclaveIdentity")
    tee = _IDS.get(identity.text("id"))
    if tee is None or identity.number("version", 0xFFFF) != _VERSION:
        raise Malformed("DJ212", f"enclaveIdentity: {identity.text('id')[:20]!r}: expected QE or TD_QE in version {_VERSION}")
    return QeIdentity(
        tee=tee,
        # In the order of the report's bytes, as the verification library of Intel reads them, too.
        misc_select=identity.octets("miscselect", 4),
        misc_select_mask=identity.octets("miscselectMask", 4),
        attributes=identity.octets("attributes", 16),
        attributes_mask=identity.octets("attributesMask", 16),
        mr_signer=identity.octets("mrsigner", 32),
        isv_prod_id=identity.number("isvprodid", 0xFFFF),
        issue_date=identity.date("issueDate"),
        next_update=identity.date("nextUpdate"),
        evaluation_number=identity.number("tcbEvaluationDataNumber", MAX_EVALUATION),
        levels=levels.svn_levels(identity),
    )
