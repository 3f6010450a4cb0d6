"""What a PCK certificate says about its platform, and the X.509 extension that carries it.

Source: Intel SGX PCK Certificate and CRL Profile Specification, 1.3.5 (object identifiers below 1.2.840.113741.1.13.1).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.hazmat import asn1
from cryptography.x509 import ObjectIdentifier

ARC = "1.2.840.113741.1.13.1"
_SEQUENCE, _OCTETS, _ENUMERATED, _LONG_FORM = 0x30, 0x04, 0x0A, 0x80


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The three flags that only the Platform CA states; the defaults are those of most multi-package machines."""

    dynamic_platform: bool = True
    cached_keys: bool = True
    smt: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PckExtension:
    """What Intel would have certified of one platform at one TCB."""

    ppid: bytes  # 16 bytes
    components: tuple[int, ...]  # 16 SVNs
    pce_svn: int
    pce_id: bytes = bytes(2)
    fmspc: bytes = bytes.fromhex("D0D0D0000000")  # one that Intel has not given away in public data
    sgx_type: int = 0
    cpu_svn: bytes | None = None  # 16 bytes; the components' unless told otherwise, as in Intel's
    platform_instance_id: bytes | None = None  # 16 bytes: the Platform CA's seven elements
    configuration: Configuration | None = None

    def encode(self) -> bytes:
        """The extension's value in DER: five elements, or seven for the Platform CA."""
        elements = [
            _element("1", tlv(_OCTETS, self.ppid)),
            _element("2", self._tcb()),
            _element("3", tlv(_OCTETS, self.pce_id)),
            _element("4", tlv(_OCTETS, self.fmspc)),
            _element("5", tlv(_ENUMERATED, bytes([self.sgx_type]))),
        ]
        if self.platform_instance_id is not None:
            elements.append(_element("6", tlv(_OCTETS, self.platform_instance_id)))
        if (flags := self.configuration) is not None:
            numbered_flags = enumerate((flags.dynamic_platform, flags.cached_keys, flags.smt), start=1)
            elements.append(
                _element("7", _sequence(_element(f"7.{number}", asn1.encode_der(flag)) for number, flag in numbered_flags))
            )
        return _sequence(elements)

    def _tcb(self) -> bytes:
        numbers = (*self.components, self.pce_svn)
        svns = [_element(f"2.{place}", asn1.encode_der(svn)) for place, svn in enumerate(numbers, start=1)]
        return _sequence([*svns, _element("2.18", tlv(_OCTETS, self.cpu_svn or bytes(self.components)))])


def tlv(tag: int, content: bytes) -> bytes:
    """One DER element of that tag (X.690, 8.1)."""
    size = len(content)
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    length = bytes([size]) if size < _LONG_FORM else bytes([_LONG_FORM | len(octets)]) + octets
    return bytes([tag]) + length + content


def _sequence(elements: Iterable[bytes]) -> bytes:
    return tlv(_SEQUENCE, b"".join(elements))


def _element(below: str, value: bytes) -> bytes:
    return _sequence([asn1.encode_der(ObjectIdentifier(f"{ARC}.{below}")), value])
