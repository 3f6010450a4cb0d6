"""What a processor says of a trust domain (TD): the bodies of a TDX quote.

Source: Intel TDX DCAP quoting library API, "TD Quote Body", versions 1.0 and 1.5; TDX module ABI specification (348551-007),
table 3.22, "ATTRIBUTES".
"""

import re
from dataclasses import dataclass

from donjon.sgx.layout import Flag, Layout, Octets

_ATTRIBUTES = 120
_SERVICE_TD = re.compile(r"[0-9A-Fa-f]{96}", re.ASCII)


@dataclass(frozen=True, slots=True)
class TdReport(Layout):
    """A TD's report body of TDX 1.0, 584 bytes; measurements are SHA-384."""

    SIZE = 584

    tee_tcb_svn = Octets(0, 16)  # byte 0: the module's SVN, byte 1: its major version
    mr_seam = Octets(16, 48)  # the TDX module
    mr_signer_seam = Octets(64, 48)  # zero where Intel signed the module
    seam_attributes = Octets(112, 8)
    td_attributes = Octets(_ATTRIBUTES, 8)
    xfam = Octets(128, 8)  # eXtended Features Available Mask
    mr_td = Octets(136, 48)
    mr_config_id = Octets(184, 48)
    mr_owner = Octets(232, 48)
    mr_owner_config = Octets(280, 48)
    rtmr0 = Octets(328, 48)
    rtmr1 = Octets(376, 48)
    rtmr2 = Octets(424, 48)
    rtmr3 = Octets(472, 48)
    report_data = Octets(520, 64)

    hgs_plus_prof = Flag(_ATTRIBUTES, 4)  # profiled with its machine, by HGS+
    perf_prof = Flag(_ATTRIBUTES, 5)  # 〃, by counters of performance
    pmt_prof = Flag(_ATTRIBUTES, 6)  # 〃, by telemetry of the core
    icssd = Flag(_ATTRIBUTES, 16)  # the module defends it against single-stepping by counting instructions
    servtd_ext = Flag(_ATTRIBUTES, 17)  # its reports say more of its service TD
    lass = Flag(_ATTRIBUTES, 27)  # linear address space separation
    sept_ve_disable = Flag(_ATTRIBUTES, 28)  # no #VE on pages that the host takes away
    migratable = Flag(_ATTRIBUTES, 29)  # its memory may be exported to another machine, by a service TD
    protection_keys = Flag(_ATTRIBUTES, 30)
    key_locker = Flag(_ATTRIBUTES, 31)
    tpa = Flag(_ATTRIBUTES, 62)  # it sets up devices for others: TDX Connect provisioning agent
    perfmon = Flag(_ATTRIBUTES, 63)

    @property
    def debug(self) -> bool:
        """Whether any bit of the lowest byte is set: under debug its memory is no secret, profiled its course is none.

        TDX 1.0 calls all eight bits TUD ("TD under debug"); 1.5 has split off profiling (TUP), from bit 4 on.
        """
        return self.raw[_ATTRIBUTES] != 0


@dataclass(frozen=True, slots=True)
class TdReport15(TdReport):
    """A TD's report body of TDX 1.5, 648 bytes."""

    SIZE = 648

    tee_tcb_svn_2 = Octets(584, 16)  # as the module is now, where `tee_tcb_svn` is as it was when the TD was launched
    mr_service_td = Octets(600, 48)  # what the service TDs are that are bound to it; zero where none is


def service_td(text: str) -> bytes:
    """The measurement of a service TD that a text states; raises `ValueError`."""
    if not _SERVICE_TD.fullmatch(text):
        raise ValueError("the measurement of a service TD, 96 hexadecimal digits")
    return bytes.fromhex(text)
