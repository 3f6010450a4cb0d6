"""What an enclave's author signs: SIGSTRUCT, which EINIT takes.

Source: Intel SDM, volume 3D, "Enclave Signature Structure (SIGSTRUCT)"; its fields and sizes also in Linux,
`arch/x86/include/asm/sgx.h`.
"""

import hashlib
from dataclasses import dataclass

from donjon.sgx.layout import Flag, Layout, Number, Octets

HEADER = bytes.fromhex("06000000e100000000000100")
"""The first twelve bytes of each; the next four are the type, of which the highest bit says that it is for debugging."""
HEADER2 = bytes.fromhex("01010000600000006000000001000000")
HEADER2_AT = 24
EXPONENT = 3
"""The only one that EINIT takes."""
MODULUS_SIZE = 384  # bytes: RSA with 3072 bits

_ATTRIBUTES, _MASK = 928, 944


@dataclass(frozen=True, slots=True)
class SigStruct(Layout):
    """A SIGSTRUCT. Numbers are little-endian, of the modulus and the signature too."""

    SIZE = 1808

    header = Octets(0, 12)
    type = Number(12, 4)
    vendor = Number(16, 4)  # 0, or 0x8086 for Intel
    date = Octets(20, 4)  # year, month and day as decimal digits, the day first
    header2 = Octets(HEADER2_AT, 16)
    software_defined = Number(40, 4)
    modulus = Octets(128, MODULUS_SIZE)
    exponent = Number(512, 4)
    signature = Octets(516, MODULUS_SIZE)
    misc_select = Octets(900, 4)
    misc_mask = Octets(904, 4)
    cet_attributes = Number(908, 1)
    cet_attributes_mask = Number(909, 1)
    isv_family_id = Octets(912, 16)  # zero without KSS
    attributes = Octets(_ATTRIBUTES, 16)  # FLAGS and XFRM, 8 bytes each
    attribute_mask = Octets(_MASK, 16)
    mr_enclave = Octets(960, 32)
    isv_ext_prod_id = Octets(1008, 16)  # zero without KSS
    isv_prod_id = Number(1024, 2)
    isv_svn = Number(1026, 2)
    q1 = Number(1040, MODULUS_SIZE)
    q2 = Number(1424, MODULUS_SIZE)

    debug_type = Flag(12, 31)  # of the type
    debug = Flag(_ATTRIBUTES, 1)
    provision_key = Flag(_ATTRIBUTES, 4)
    einittoken_key = Flag(_ATTRIBUTES, 5)
    kss = Flag(_ATTRIBUTES, 7)
    masks_debug = Flag(_MASK, 1)  # DEBUG is held to what stands here; else whoever loads it chooses

    @property
    def message(self) -> bytes:
        """The bytes that are signed: all fields but modulus, exponent, signature, Q1, Q2 and what is reserved beside them."""
        return self.raw[:128] + self.raw[900:1028]

    @property
    def reserved(self) -> bytes:
        """What must be zero."""
        return self.raw[44:128] + self.raw[910:912] + self.raw[992:1008] + self.raw[1028:1040]

    @property
    def mr_signer(self) -> bytes:
        """The SHA-256 of the modulus as it stands here."""
        return hashlib.sha256(self.modulus).digest()
