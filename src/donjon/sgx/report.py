"""What a processor says of an enclave: the body of an SGX REPORT.

Source: Intel SDM, volume 3D, "EREPORT" (REPORT structure) and "ATTRIBUTES".
"""

from dataclasses import dataclass

from donjon.sgx.layout import Flag, Layout, Number, Octets

_ATTRIBUTES = 48


@dataclass(frozen=True, slots=True)
class ReportBody(Layout):
    """An SGX REPORT without its key id and MAC, 384 bytes."""

    SIZE = 384

    cpu_svn = Octets(0, 16)
    misc_select = Octets(16, 4)
    isv_ext_prod_id = Octets(32, 16)  # zero without KSS
    attributes = Octets(_ATTRIBUTES, 16)  # FLAGS and XFRM, 8 bytes each
    mr_enclave = Octets(64, 32)
    mr_signer = Octets(128, 32)
    config_id = Octets(192, 64)  # zero without KSS
    isv_prod_id = Number(256, 2)
    isv_svn = Number(258, 2)
    config_svn = Number(260, 2)  # zero without KSS
    isv_family_id = Octets(304, 16)  # zero without KSS
    report_data = Octets(320, 64)

    initialised = Flag(_ATTRIBUTES, 0)  # INIT
    debug = Flag(_ATTRIBUTES, 1)  # DEBUG: its memory can be read and written from outside
    mode64bit = Flag(_ATTRIBUTES, 2)
    provision_key = Flag(_ATTRIBUTES, 4)  # PROVISIONKEY: it can derive a key that names the platform for ever
    einittoken_key = Flag(_ATTRIBUTES, 5)  # EINITTOKENKEY: it can let enclaves be launched
    cet = Flag(_ATTRIBUTES, 6)  # control-flow enforcement
    kss = Flag(_ATTRIBUTES, 7)  # key separation and sharing
    aex_notify = Flag(_ATTRIBUTES, 10)  # told of asynchronous exits
