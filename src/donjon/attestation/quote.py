"""A quote from its bytes: versions 3, 4 and 5, every byte accounted for, nothing believed.

Source: Intel SGX ECDSA quote library reference, appendix A (version 3); Intel TDX DCAP quoting library API, appendix A (4 and 5).
"""

from dataclasses import dataclass, field
from struct import Struct

from donjon.attestation import certification
from donjon.attestation.certification import QE_REPORT, Certification, CertificationKind
from donjon.errors import Malformed
from donjon.pki import p256, pck, pem
from donjon.sgx.layout import Layout, Number, Octets
from donjon.sgx.platform import Platform, Tee
from donjon.sgx.report import ReportBody
from donjon.sgx.td import TdReport, TdReport15

MAX_QUOTE = 64 << 10  # bytes; with a chain of three a quote has 5 KiB
INTEL_QE = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
ECDSA_P256 = 2

V3, V4, V5 = 3, 4, 5

_CHAIN = 3  # PCK certificate, its CA, the root

_TEES = {0x00: Tee.SGX, 0x81: Tee.TDX}
_BODIES: dict[Tee, type[ReportBody | TdReport]] = {Tee.SGX: ReportBody, Tee.TDX: TdReport}
_BODY_TYPES: dict[int, tuple[Tee, type[ReportBody | TdReport]]] = {
    1: (Tee.SGX, ReportBody),
    2: (Tee.TDX, TdReport),
    3: (Tee.TDX, TdReport15),
}
"""Of version 5, where the body says what it is."""

_HEAD = Struct("<HHI")  # version, attestation key type, TEE type
_VENDOR = slice(12, 28)
_PART = Struct("<HI")  # type and size, of certification data and of version 5's body
_SIZE16, _SIZE32 = Struct("<H"), Struct("<I")
_ENCLAVE = ReportBody.SIZE + p256.SIGNATURE  # the quoting enclave's report and the platform's signature over it


@dataclass(frozen=True, slots=True)
class Header(Layout):
    """The first 48 bytes of a quote: its version, what signed it, and who made it."""

    SIZE = 48

    version = Number(0, 2)
    attestation_key_type = Number(2, 2)
    tee_type = Number(4, 4)
    qe_svn = Number(8, 2)  # of version 3; reserved in 4 and 5
    pce_svn = Number(10, 2)  # 〃
    qe_vendor = Octets(12, 16)
    user_data = Octets(28, 20)


@dataclass(frozen=True, slots=True)
class Quote:
    """A well-formed quote; nothing of it is true yet. Its parts are cut out of its bytes when they are asked for."""

    raw: bytes = field(repr=False)  # exactly the quote, without what came behind it
    trailing: int  # bytes that came behind it: read over, and no part of what the quote is
    version: int  # 3, 4 or 5
    tee: Tee
    _layout: type[ReportBody | TdReport] = field(repr=False)
    _signed_end: int = field(repr=False)  # where header and body end
    _enclave: int = field(repr=False)  # where the quoting enclave's report begins
    _kind: CertificationKind
    _content: int = field(repr=False)  # where the content of the certification data begins

    @property
    def header(self) -> Header:
        """Version, key type, TEE type and vendor: the first 48 bytes."""
        return Header(self.raw[: Header.SIZE])

    @property
    def body(self) -> ReportBody | TdReport:
        """The report of the enclave or TD that was quoted."""
        return self._layout(self.raw[self._signed_end - self._layout.SIZE : self._signed_end])

    @property
    def signed_data(self) -> bytes:
        """Header and body: the bytes that the attestation key signs."""
        return self.raw[: self._signed_end]

    @property
    def signature(self) -> bytes:
        """Over `signed_data`, r ‖ s."""
        start = self._signed_end + _SIZE32.size
        return self.raw[start : start + p256.SIGNATURE]

    @property
    def attestation_key(self) -> bytes:
        """The public key that made the signature, X ‖ Y."""
        start = self._signed_end + _SIZE32.size + p256.SIGNATURE
        return self.raw[start : start + p256.KEY]

    @property
    def endorsement(self) -> bytes:
        """Everything that vouches for the signature: the key and all behind it."""
        return self.raw[self._signed_end + _SIZE32.size + p256.SIGNATURE :]

    @property
    def qe_identity(self) -> bytes:
        """All by which the quoting enclave is judged: MISCSELECT, ATTRIBUTES, MRSIGNER, ISVPRODID and ISVSVN of its report."""
        raw, at = self.raw, self._enclave
        return raw[at + 16 : at + 20] + raw[at + 48 : at + 64] + raw[at + 128 : at + 160] + raw[at + 256 : at + 260]

    @property
    def td_identity(self) -> bytes:
        """All by which a TDX module is judged: version, size, TEE_TCB_SVN, MRSIGNERSEAM, SEAMATTRIBUTES and TEE_TCB_SVN2."""
        if self.tee is Tee.SGX:
            return b""
        body = self.raw[self._signed_end - self._layout.SIZE : self._signed_end]
        return bytes([self.version]) + len(body).to_bytes(2, "big") + body[:16] + body[64:120] + body[584:600]

    @property
    def qe_report(self) -> ReportBody:
        """The report by which the quoting enclave vouches for the attestation key."""
        return ReportBody(self.raw[self._enclave : self._enclave + ReportBody.SIZE])

    @property
    def qe_report_signature(self) -> bytes:
        """Over the quoting enclave's report, by the PCK key: r ‖ s."""
        start = self._enclave + ReportBody.SIZE
        return self.raw[start : start + p256.SIGNATURE]

    @property
    def qe_authentication_data(self) -> bytes:
        """Hashed together with the attestation key into the report data of the quoting enclave."""
        return self.raw[self._enclave + _ENCLAVE + _SIZE16.size : self._content - _PART.size]

    @property
    def carries_chain(self) -> bool:
        """Whether the whole chain of the PCK certificate is in it; otherwise someone else has to have it."""
        return self._kind is CertificationKind.PCK_CHAIN

    @property
    def certification(self) -> Certification:
        """The data that says who certified the platform: a chain, or what a certificate can be fetched by."""
        return Certification(kind=self._kind, content=self.raw[self._content :])


def parse(raw: bytes) -> Quote:
    """The quote that these bytes begin with; raises `Malformed` DJ200, DJ201 or DJ202."""
    if len(raw) > MAX_QUOTE:
        raise Malformed("DJ200", f"quote: {len(raw)} bytes, expected at most {MAX_QUOTE}")
    _need(raw, Header.SIZE, len(raw), "header")
    version, tee = _check(raw)
    layout, signed_end = _body(raw, version, tee)
    # The signature section: signature, attestation key, and what vouches for the key; version 3 has no head around that.
    end = _part(raw, _SIZE32, signed_end, len(raw), "signature section")
    enclave = signed_end + _SIZE32.size + p256.SIGNATURE + p256.KEY
    if version != V3:
        _need(raw, enclave + _PART.size, end, "certification data")
        enclave = _outer(raw, enclave, end)
    _need(raw, enclave + _ENCLAVE, end, "QE report and its signature")
    kind_at = _part(raw, _SIZE16, enclave + _ENCLAVE, end, "QE authentication data")
    _need(raw, kind_at + _PART.size, end, "certification data")
    kind, length = _PART.unpack_from(raw, kind_at)
    content = kind_at + _PART.size
    if content + length != end:
        raise Malformed("DJ200", f"certification data: {length} bytes, but {end - content} are left")
    return Quote(
        raw[:end], len(raw) - end, version, tee, layout, signed_end, enclave, certification.kind_of(kind, length), content
    )


def read_platform(quote: Quote, chain: bytes) -> Platform:
    """Which platform that chain of PCK certificates, in PEM, claims to be of: enough to fetch its collateral, nothing to believe.

    Raises `Malformed` DJ204 to DJ208.
    """
    leaf = pck.parse_unverified(pem.parse(chain, _CHAIN)[0])
    return Platform(fmspc=leaf.fmspc, ca=leaf.ca, tee=quote.tee)


def _check(raw: bytes) -> tuple[int, Tee]:
    version, key_type, tee_type = _HEAD.unpack_from(raw)
    if version not in {V3, V4, V5}:
        raise Malformed("DJ201", f"quote: version {version}, expected 3, 4 or 5")
    if key_type != ECDSA_P256:
        raise Malformed("DJ201", f"quote: attestation key type {key_type}, expected 2 (ECDSA with P-256)")
    if raw[_VENDOR] != INTEL_QE:
        raise Malformed("DJ201", f"quote: quoting enclave of vendor {raw[_VENDOR].hex()}, expected Intel's {INTEL_QE.hex()}")
    if tee_type not in _TEES or (version == V3 and tee_type):
        raise Malformed(
            "DJ201", f"quote: TEE type {tee_type:#x} in version {version}: expected 0 (SGX) or, from 4 on, 0x81 (TDX)"
        )
    return version, _TEES[tee_type]


def _body(raw: bytes, version: int, tee: Tee) -> tuple[type[ReportBody | TdReport], int]:
    """What the body is, and where it ends."""
    layout, start = _BODIES[tee], Header.SIZE
    if version == V5:
        _need(raw, start + _PART.size, len(raw), "body")
        kind, size = _PART.unpack_from(raw, start)
        body_tee, layout = _BODY_TYPES.get(kind, (None, ReportBody))
        if body_tee is not tee or size != layout.SIZE:
            expected = "1 (384, SGX), 2 (584, TDX) or 3 (648, TDX)"
            raise Malformed("DJ201", f"quote: body type {kind} of {size} bytes for {tee}: expected {expected}")
        start += _PART.size
    _need(raw, start + layout.SIZE, len(raw), "body")
    return layout, start + layout.SIZE


def _outer(raw: bytes, start: int, end: int) -> int:
    """Where the quoting enclave's report begins in versions 4 and 5, where it stands in certification data of its own."""
    kind, length = _PART.unpack_from(raw, start)
    if kind != QE_REPORT:
        raise Malformed("DJ202", f"certification data: outer type {kind}, expected {QE_REPORT}")
    if start + _PART.size + length != end:
        raise Malformed("DJ200", f"QE report certification data: {length} bytes, but {end - start - _PART.size} are left")
    return start + _PART.size


def _part(raw: bytes, size: Struct, start: int, end: int, name: str) -> int:
    """Where the part ends that begins there with its own size."""
    _need(raw, start + size.size, end, name)
    length: int = size.unpack_from(raw, start)[0]
    stop = start + size.size + length
    _need(raw, stop, end, name)
    return stop


def _need(raw: bytes, stop: int, end: int, name: str) -> None:
    if stop > end:
        raise Malformed(
            "DJ200", f"quote: {name} ends {stop - end} bytes behind the end of what holds it, {len(raw)} bytes in all"
        )
