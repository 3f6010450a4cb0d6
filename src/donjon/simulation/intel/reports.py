"""The bodies that a quote carries: an enclave's report and a trust domain's, as values and as bytes.

Source: Intel SDM volume 3D, table 39-21 (REPORT); Intel TDX DCAP Quoting Library API, A.3.2 and A.3.3 (TD report bodies).
"""

import struct
from dataclasses import dataclass

INTEL_VENDOR = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
INIT_AND_MODE64 = 0x05
DEBUG = 0x02
SEPT_VE_DISABLE = 1 << 28
XFRM_LEGACY = 0x03
TEE_TCB_SVN = bytes([5, 1, 3]) + bytes(13)
"""The module's SVN, the module's version, the late microcode's SVN."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnclaveReport:
    """An SGX report body, 384 bytes; the defaults are an enclave without anything special."""

    mr_enclave: bytes
    mr_signer: bytes
    report_data: bytes = bytes(64)
    cpu_svn: bytes = bytes([1] * 16)
    misc_select: int = 0
    isv_ext_prod_id: bytes = bytes(16)
    flags: int = INIT_AND_MODE64
    xfrm: int = XFRM_LEGACY
    config_id: bytes = bytes(64)
    isv_prod_id: int = 1
    isv_svn: int = 1
    config_svn: int = 0
    isv_family_id: bytes = bytes(16)

    def encode(self) -> bytes:
        """The body as EREPORT leaves it."""
        return b"".join(
            (
                self.cpu_svn,  # 0
                struct.pack("<I12x", self.misc_select),  # 16
                self.isv_ext_prod_id,  # 32
                struct.pack("<QQ", self.flags, self.xfrm),  # 48
                self.mr_enclave,  # 64
                bytes(32),  # 96
                self.mr_signer,  # 128
                bytes(32),  # 160
                self.config_id,  # 192
                struct.pack("<HHH42x", self.isv_prod_id, self.isv_svn, self.config_svn),  # 256
                self.isv_family_id,  # 304
                self.report_data,  # 320
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TdReportFields:
    """A trust domain's body: 584 bytes as of TDX 1.0, 648 where the two fields of TDX 1.5 are there."""

    mr_td: bytes
    report_data: bytes = bytes(64)
    tee_tcb_svn: bytes = TEE_TCB_SVN
    mr_seam: bytes = bytes(48)
    mr_signer_seam: bytes = bytes(48)
    seam_attributes: bytes = bytes(8)
    attributes: int = SEPT_VE_DISABLE
    xfam: int = 0x61AE7
    mr_config_id: bytes = bytes(48)
    mr_owner: bytes = bytes(48)
    mr_owner_config: bytes = bytes(48)
    rtmrs: tuple[bytes, bytes, bytes, bytes] = (bytes(48), bytes(48), bytes(48), bytes(48))
    tee_tcb_svn_2: bytes | None = None  # TDX 1.5
    mr_service_td: bytes = bytes(48)

    def encode(self) -> bytes:
        """The body as the TDX module leaves it."""
        plain = b"".join(
            (
                self.tee_tcb_svn,  # 0
                self.mr_seam,  # 16
                self.mr_signer_seam,  # 64
                self.seam_attributes,  # 112
                struct.pack("<QQ", self.attributes, self.xfam),  # 120
                self.mr_td,  # 136
                self.mr_config_id,  # 184
                self.mr_owner,  # 232
                self.mr_owner_config,  # 280
                *self.rtmrs,  # 328
                self.report_data,  # 520
            )
        )
        return plain if self.tee_tcb_svn_2 is None else plain + self.tee_tcb_svn_2 + self.mr_service_td


Body = EnclaveReport | TdReportFields
