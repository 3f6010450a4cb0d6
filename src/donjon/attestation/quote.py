"""A quote from its bytes: versions 3, 4 and 5, every byte accounted for, nothing believed.

Source: Intel SGX ECDSA quote library reference, appendix A (version 3); Intel TDX DCAP quoting library API, appendix A (4 and 5).
"""

from dataclasses import dataclass, field
from struct import Struct

from donjon.attestation import certification
from donjon.attestation.certification import QE_REPORT, Certification
from donjon.errors import Malformed
from donjon.pki import p256
from donjon.sgx.layout import Layout, Number, Octets
from donjon.sgx.platform import Tee
from donjon.sgx.report import ReportBody
from donjon.sgx.td import TdReport, TdReport15

MAX_QUOTE = 64 << 10  # bytes; with a chain of three a quote has 5 KiB
INTEL_QE = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
ECDSA_P256 = 2

V3, V4, V5 = 3, 4, 5

_TEES = {0x00: Tee.SGX, 0x81: Tee.TDX}
_BODIES: dict[Tee, type[ReportBody | TdReport]] = {Tee.SGX: ReportBody, Tee.TDX: TdReport}
_BODY_TYPES: dict[int, tuple[Tee, type[ReportBody | TdReport]]] = {
    1: (Tee.SGX, ReportBody),
    2: (Tee.TDX, TdReport),
    3: (Tee.TDX, TdReport15),
}
"""Of version 5, where the body says what it is."""

_BODY_HEAD = Struct("<HI")  # type, size
_SIZE16, _SIZE32 = Struct("<H"), Struct("<I")


@dataclass(frozen=True, slots=True)
class Header(Layout):
    """The first 48 bytes."""

    SIZE = 48

    version = Number(0, 2)
    attestation_key_type = Number(2, 2)
    tee_type = Number(4, 4)
    qe_svn = Number(8, 2)  # of version 3; reserved in 4 and 5
    pce_svn = Number(10, 2)  # 〃
    qe_vendor = Octets(12, 16)
    user_data = Octets(28, 20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A well-formed quote; nothing of it is true yet."""

    raw: bytes = field(repr=False)  # exactly the quote, without what came behind it
    trailing: int  # bytes that came behind it: read over, and no part of what the quote is
    header: Header
    tee: Tee
    body: ReportBody | TdReport
    signed: bytes = field(repr=False)  # header and body
    signature: bytes = field(repr=False)  # r ‖ s over `signed`
    attestation_key: bytes  # X ‖ Y
    qe_report: ReportBody = field(repr=False)
    qe_report_signature: bytes = field(repr=False)  # r ‖ s
    qe_authentication_data: bytes
    certification: Certification

    @property
    def version(self) -> int:
        """3, 4 or 5."""
        return self.header.version


def parse(raw: bytes) -> Quote:
    """The quote that these bytes begin with; raises `Malformed` DJ200, DJ201 or DJ202."""
    if len(raw) > MAX_QUOTE:
        raise Malformed("DJ200", f"quote: {len(raw)} bytes, expected at most {MAX_QUOTE}")
    reader = _Reader(raw, 0, len(raw), "quote")
    header = Header(reader.take(Header.SIZE))
    _check(header)
    tee, body = _body(reader, header)
    signed = raw[: reader.position]
    section = reader.part(_SIZE32, "signature section")
    signature, key = section.take(p256.SIGNATURE), section.take(p256.KEY)
    holder = section if header.version == V3 else _outer(section)
    qe_report, qe_signature = ReportBody(holder.take(ReportBody.SIZE)), holder.take(p256.SIGNATURE)
    authentication = holder.part(_SIZE16, "QE authentication data")
    kind = _SIZE16.unpack(holder.take(_SIZE16.size))[0]
    content = holder.part(_SIZE32, "certification data")
    holder.finish()
    section.finish()
    return Quote(
        raw=raw[: reader.position],
        trailing=len(raw) - reader.position,
        header=header,
        tee=tee,
        body=body,
        signed=signed,
        signature=signature,
        attestation_key=key,
        qe_report=qe_report,
        qe_report_signature=qe_signature,
        qe_authentication_data=authentication.rest(),
        certification=certification.parse(kind, content.rest()),
    )


def _check(header: Header) -> None:
    if header.version not in {V3, V4, V5}:
        raise Malformed("DJ201", f"quote: version {header.version}, expected 3, 4 or 5")
    if header.attestation_key_type != ECDSA_P256:
        raise Malformed("DJ201", f"quote: attestation key type {header.attestation_key_type}, expected 2 (ECDSA with P-256)")
    if header.qe_vendor != INTEL_QE:
        raise Malformed("DJ201", f"quote: quoting enclave of vendor {header.qe_vendor.hex()}, expected Intel's {INTEL_QE.hex()}")
    if header.tee_type not in _TEES or (header.version == V3 and header.tee_type):
        raise Malformed(
            "DJ201",
            f"quote: TEE type {header.tee_type:#x} in version {header.version}, expected 0 (SGX) or, from 4 on, 0x81 (TDX)",
        )


def _body(reader: "_Reader", header: Header) -> tuple[Tee, ReportBody | TdReport]:
    tee = _TEES[header.tee_type]
    if header.version != V5:
        layout = _BODIES[tee]
        return tee, layout(reader.take(layout.SIZE))
    kind, size = _BODY_HEAD.unpack(reader.take(_BODY_HEAD.size))
    of, layout = _BODY_TYPES.get(kind, (None, ReportBody))
    if of is not tee or size != layout.SIZE:
        raise Malformed(
            "DJ201", f"quote: body type {kind} of {size} bytes for {tee}: expected 1 (384, SGX), 2 (584, TDX) or 3 (648, TDX)"
        )
    return tee, layout(reader.take(size))


def _outer(section: "_Reader") -> "_Reader":
    kind = _SIZE16.unpack(section.take(_SIZE16.size))[0]
    if kind != QE_REPORT:
        raise Malformed("DJ202", f"certification data: outer type {kind}, expected {QE_REPORT}")
    return section.part(_SIZE32, "QE report certification data")


class _Reader:
    """What is still to be read of a part of the quote."""

    __slots__ = ("_end", "_name", "_raw", "position")

    def __init__(self, raw: bytes, start: int, end: int, name: str) -> None:
        self._raw, self.position, self._end, self._name = raw, start, end, name

    def take(self, size: int) -> bytes:
        """That many bytes."""
        start, stop = self.position, self.position + size
        if stop > self._end:
            raise Malformed("DJ200", f"{self._name}: ends {stop - self._end} bytes early")
        self.position = stop
        return self._raw[start:stop]

    def part(self, size: Struct, name: str) -> "_Reader":
        """The part that begins with its own size."""
        length: int = size.unpack(self.take(size.size))[0]
        start = self.position
        if start + length > self._end:
            raise Malformed("DJ200", f"{name}: {length} bytes, but {self._end - start} are left")
        self.position = start + length
        return _Reader(self._raw, start, self.position, name)

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(self._end - self.position)

    def finish(self) -> None:
        """Raises `Malformed` DJ200 unless all was read."""
        if self.position != self._end:
            raise Malformed("DJ200", f"{self._name}: {self._end - self.position} bytes that belong to nothing")
