"""A quote to be made, piece by piece, and the bytes it becomes.

Source: Intel SGX ECDSA Quote Library API, appendix A (version 3); Intel TDX DCAP Quoting Library API, appendix A (versions 4, 5).
"""

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from cryptography.hazmat.primitives.asymmetric import ec

from donjon.simulation.intel.certificates import SimulatedRole
from donjon.simulation.intel.keys import octets, private_key, raw_public, raw_signature
from donjon.simulation.intel.reports import INTEL_VENDOR, Body, EnclaveReport, TdReportFields

SGX, TDX = 0x00, 0x81
_BODY_TYPES = {384: 1, 584: 2, 648: 3}  # version 5: the body's size decides its type
_PPID_SIZES = {1: 16, 2: 256, 3: 384}  # plain, encrypted with RSA-2048, with RSA-3072
_PCK_LEAF, _PCK_CHAIN, _QE_REPORT = 4, 5, 6


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteFields:
    """A quote to be made; `overrides` puts bytes in the place of named pieces after everything is signed."""

    body: Body
    qe: EnclaveReport
    version: int = 3
    attestation_key_type: int = 2  # ECDSA-256 on P-256
    tee_type: int | None = None  # the body's
    qe_svn: int = 0
    pce_svn: int = 0
    vendor: bytes = INTEL_VENDOR
    user_data: bytes = bytes(20)
    body_type: int | None = None  # version 5; the body's
    attestation_key: str = "attestation key"
    signed_by: str | None = None  # the attestation key
    qe_signed_by: str = SimulatedRole.PCK.name
    qe_report_data: bytes | None = None  # the QE's report data; the hash of key and authentication data
    authentication_data: bytes = bytes(range(32))
    certification_type: int = _PCK_CHAIN
    chain: tuple[SimulatedRole, ...] = (SimulatedRole.PCK, SimulatedRole.PROCESSOR_CA, SimulatedRole.ROOT)
    certification: bytes | None = None  # what the type demands
    outer_type: int = _QE_REPORT  # versions 4 and 5
    trailing: bytes = b""
    overrides: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedQuote:
    """A quote's bytes and where in them each piece stands."""

    data: bytes
    pieces: Mapping[str, slice]


def encode(quote: QuoteFields, seed: bytes, pem: Mapping[SimulatedRole, bytes], tcb: bytes) -> EncodedQuote:
    """The quote, signed; `tcb` is what certification data of types 1 to 3 state of the platform (CPUSVN, PCESVN, PCE-ID)."""
    key = private_key(seed, quote.attestation_key)
    pieces = _signed_pieces(quote)
    signer = private_key(seed, quote.signed_by or quote.attestation_key)
    signature = raw_signature(signer, b"".join(pieces.values()))
    certification = _qe_pieces(quote, key, seed) | _certification(quote, seed, pem, tcb)
    if quote.version > 3:  # noqa: PLR2004 - from version 4 on, all of it is certification data of type 6
        inner = sum(map(len, certification.values()))
        certification = {
            "outer_type": struct.pack("<H", quote.outer_type),
            "outer_length": struct.pack("<I", inner),
        } | certification
    authentication = {"signature": signature, "key": raw_public(key)} | certification
    pieces["auth_length"] = struct.pack("<I", sum(map(len, authentication.values())))
    return _lay_out(pieces | authentication | {"trailing": quote.trailing} | dict(quote.overrides))


def _signed_pieces(quote: QuoteFields) -> dict[str, bytes]:
    """Header and body, and in version 5 what says of which type the body is."""
    tee = quote.tee_type if quote.tee_type is not None else TDX if isinstance(quote.body, TdReportFields) else SGX
    header = struct.pack("<HHIHH", quote.version, quote.attestation_key_type, tee, quote.qe_svn, quote.pce_svn)
    pieces = {"header": header + quote.vendor + quote.user_data}
    body = quote.body.encode()
    if quote.version > 4:  # noqa: PLR2004 - the format's own number
        kind = quote.body_type if quote.body_type is not None else _BODY_TYPES[len(body)]
        pieces |= {"body_type": struct.pack("<H", kind), "body_size": struct.pack("<I", len(body))}
    return pieces | {"body": body}


def _qe_pieces(quote: QuoteFields, key: ec.EllipticCurvePrivateKey, seed: bytes) -> dict[str, bytes]:
    """The quoting enclave's report, which binds the attestation key, and its signature."""
    digest = hashlib.sha256(raw_public(key) + quote.authentication_data).digest()
    report = replace(quote.qe, report_data=quote.qe_report_data or digest + bytes(32)).encode()
    return {
        "qe_report": report,
        "qe_signature": raw_signature(private_key(seed, quote.qe_signed_by), report),
        "authentication_length": struct.pack("<H", len(quote.authentication_data)),
        "authentication_data": quote.authentication_data,
    }


def _certification(quote: QuoteFields, seed: bytes, pem: Mapping[SimulatedRole, bytes], tcb: bytes) -> dict[str, bytes]:
    kind = quote.certification_type
    if quote.certification is not None:
        content = quote.certification
    elif kind in _PPID_SIZES:
        content = octets(seed, f"certified PPID {kind}", _PPID_SIZES[kind]) + tcb
    else:
        content = b"".join(pem[role] for role in quote.chain[: 1 if kind == _PCK_LEAF else None])
    return {
        "certification_type": struct.pack("<H", kind),
        "certification_length": struct.pack("<I", len(content)),
        "certification": content,
    }


def _lay_out(pieces: Mapping[str, bytes]) -> EncodedQuote:
    places, offset = {}, 0
    for name, piece in pieces.items():
        places[name] = slice(offset, offset + len(piece))
        offset += len(piece)
    return EncodedQuote(data=b"".join(pieces.values()), pieces=MappingProxyType(places))
