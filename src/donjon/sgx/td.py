"""What a processor says of a trust domain (TD): the bodies of a TDX quote.

Source: Intel TDX DCAP quoting library API, "TD Quote Body", versions 1.0 and 1.5; TDX module ABI specification, "ATTRIBUTES".
"""

from dataclasses import dataclass

from donjon.sgx.layout import Flag, Layout, Octets

_ATTRIBUTES = 120


@dataclass(frozen=True, slots=True)
class TdReport(Layout):
    """A TD's report body of TDX 1.0, 584 bytes; measurements are SHA-384."""

    SIZE = 584

    tee_tcb_svn = Octets(0, 16)  # byte 0: the module's SVN, byte 1: its major version
    mr_seam = Octets(16, 48)  # the TDX module
    mr_signer_seam = Octets(64, 48)  # zero where Intel signed the module
    seam_attributes = Octets(112, 8)
    td_attributes = Octets(_ATTRIBUTES, 8)
    xfam = Octets(128, 8)
    mr_td = Octets(136, 48)
    mr_config_id = Octets(184, 48)
    mr_owner = Octets(232, 48)
    mr_owner_config = Octets(280, 48)
    rtmr0 = Octets(328, 48)
    rtmr1 = Octets(376, 48)
    rtmr2 = Octets(424, 48)
    rtmr3 = Octets(472, 48)
    report_data = Octets(520, 64)

    sept_ve_disable = Flag(_ATTRIBUTES, 28)  # no #VE on pages that the host takes away
    migratable = Flag(_ATTRIBUTES, 29)
    protection_keys = Flag(_ATTRIBUTES, 30)
    key_locker = Flag(_ATTRIBUTES, 31)
    perfmon = Flag(_ATTRIBUTES, 63)

    @property
    def debug(self) -> bool:
        """Whether any bit of the group TUD ("TD under debug") is set: such a TD's memory is no secret."""
        return self.raw[_ATTRIBUTES] != 0


@dataclass(frozen=True, slots=True)
class TdReport15(TdReport):
    """A TD's report body of TDX 1.5, 648 bytes."""

    SIZE = 648

    tee_tcb_svn_2 = Octets(584, 16)  # as the module is now, where `tee_tcb_svn` is as it was when the TD was launched
    mr_service_td = Octets(600, 48)
