"""Platforms as they are registered with a cache, and as it keeps them with their PCK certificates.

Source: intel/confidential-computing.tee.dcap.pccs, service/services/pccs_schemas.js; tools/PCKRetrievalTool, which sends them.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from donjon.collateral.pck_certificates import PckCertificates
from donjon.collateral.selection import Tcb
from donjon.errors import Malformed
from donjon.formats import strict_json
from donjon.formats.json import JsonObject
from donjon.formats.strict_json import Members

ENCRYPTED_PPID, CPU_SVN, PCE_SVN, PCE_ID = 384, 16, 2, 2  # bytes
MAX_QE_ID = 260  # characters; Intel's library sends 32 hexadecimal digits, its tool whatever its user says
MAX_MANIFEST = 53_000  # bytes (dcap, qcnl_def.h)
MAX_REGISTRATION = 128 << 10  # bytes of JSON
MAX_VALUES = 1_000  # in those; a registration has less than ten members


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformName:
    """Which platform, to a cache: its quoting enclave and the provisioning enclave that certifies that."""

    qe_id: str  # upper case
    pce_id: bytes  # 2 bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What a platform says of itself, so that PCK certificates can be had for it."""

    name: PlatformName
    tcb: Tcb | None  # as it is now
    encrypted_ppid: bytes | None = field(repr=False)  # 384 bytes, which only Intel can read
    manifest: bytes | None = field(repr=False)  # of platforms with several packages

    @property
    def can_be_asked_for(self) -> bool:
        """Whether Intel's service could tell which machine it is."""
        return self.encrypted_ppid is not None or self.manifest is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPlatform:
    """A platform with its PCK certificates, as they were stored; nothing of it is proved."""

    registration: Registration
    certificates: tuple[bytes, ...] = field(repr=False)  # PEM
    chain: bytes = field(repr=False)  # PEM: the CA, the root
    fetched_at: datetime
    unavailable: int  # certificates that Intel did not have then
    whole: bool  # all that Intel has of it, and not only those that were asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPlatform:
    """A stored platform, and what its PCK certificates were proved to say."""

    stored_platform: StoredPlatform
    pck_certificates: PckCertificates


def parse(text: bytes) -> Registration:
    """The platform in the body of `POST platforms`; raises `Malformed` DJ210 or DJ211."""
    platform = registration(strict_json.parse(text, "platform", MAX_REGISTRATION, values=MAX_VALUES))
    if platform.manifest is None and (platform.tcb is None or platform.encrypted_ppid is None):
        raise Malformed("DJ211", "platform: expected platform_manifest, or cpu_svn, pce_svn and an enc_ppid that is not zero")
    return platform


def registration(entry: Members) -> Registration:
    """The platform of an entry, empty members taken for missing ones; raises `Malformed` DJ211."""
    cpu_svn, pce_svn = (_optional(entry, "cpu_svn", CPU_SVN), _optional(entry, "pce_svn", PCE_SVN))
    return Registration(
        name=PlatformName(qe_id=qe_id(entry.text("qe_id")), pce_id=entry.octets("pce_id", PCE_ID)),
        tcb=None if cpu_svn is None or pce_svn is None else tcb(cpu_svn, pce_svn),
        encrypted_ppid=encrypted_ppid(_optional(entry, "enc_ppid", ENCRYPTED_PPID)),
        manifest=_manifest(entry),
    )


def qe_id(text: str) -> str:
    """A quoting enclave's id in the one way in which it is kept; raises `Malformed` DJ211."""
    if not 0 < len(text) <= MAX_QE_ID or not text.isascii() or not text.isprintable():
        raise Malformed("DJ211", f"platform: qe_id: expected 1 to {MAX_QE_ID} printable characters")
    return text.upper()


def tcb(cpu_svn: bytes, pce_svn: bytes) -> Tcb:
    """A raw TCB; PCESVN in two bytes, little-endian."""
    return Tcb(components=cpu_svn, pce_svn=int.from_bytes(pce_svn, "little"))


def encrypted_ppid(value: bytes | None) -> bytes | None:
    """None for zeros, which Intel's library sends where it has none."""
    return value if value is not None and any(value) else None


def encode(platforms: Iterable[Registration]) -> bytes:
    """The list that `GET platforms` answers, as Intel's administration tool reads it."""
    return json.dumps([entry(each) for each in platforms]).encode()


def entry(platform: Registration) -> JsonObject:
    """The registration as the JSON object that `registration` reads."""
    tcb = platform.tcb
    return {
        "qe_id": platform.name.qe_id,
        "pce_id": platform.name.pce_id.hex().upper(),
        "cpu_svn": "" if tcb is None else tcb.components.hex().upper(),
        "pce_svn": "" if tcb is None else tcb.pce_svn.to_bytes(PCE_SVN, "little").hex().upper(),
        "enc_ppid": (platform.encrypted_ppid or b"").hex(),
        "platform_manifest": (platform.manifest or b"").hex(),
    }


def _optional(entry: Members, name: str, length: int) -> bytes | None:
    return entry.octets(name, length) if _has_value(entry, name) else None


def _has_value(entry: Members, name: str) -> bool:
    value = entry.content.get(name)
    return value is not None and value != ""


def _manifest(entry: Members) -> bytes | None:
    if not _has_value(entry, "platform_manifest"):
        return None
    length = (len(entry.text("platform_manifest")) + 1) // 2
    if length > MAX_MANIFEST:
        raise Malformed("DJ211", f"{entry.subject}: platform_manifest: {length} bytes, expected at most {MAX_MANIFEST}")
    return entry.octets("platform_manifest", length)
