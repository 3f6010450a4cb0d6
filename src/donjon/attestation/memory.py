"""What was proved once and need not be proved again, each fact by itself and by all that it depends on; bounded.

`verify` alone reads and writes it, and what is found here is what the same steps found before. Nothing that depends on the
moment, on a revocation list, or on the quote's own body is ever kept, so that it can turn no *no* into a *yes*.

One fact has one key, however its certificates are written down, so that nobody can make many of one; every entry of a table is of
one size, so that a bound of their number is one of bytes; and one platform's keys take no other's places.

| fact | depends on |
|---|---|
| `Certificate` of an authority | its DER and that of the root's certificate, the root |
| `CertifiedPlatform`: whose key a PCK certificate's is, and its window | the chain's text as it is usually written, the root |
| `PlatformBoundKey`: an attestation key is that platform's | all that vouches for the key, the quote's version, the root |
| the TCB's verdict | the platform's TCB, its quoting enclave, both documents; the TDX module's SVNs, signer, attributes |
"""

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Generic, TypeVar, cast

from donjon.attestation.tcb import TcbVerdict
from donjon.pki import p256
from donjon.pki.intel import Certificate
from donjon.pki.p256 import PublicKey
from donjon.pki.pck import PckPlatform

MAX_BYTES = 32 << 20
ENTRY = 3_300  # bytes that a platform and its key take at most
MAX_PLATFORMS = MAX_BYTES // ENTRY
MAX_OWN_KEYS = 8  # attestation keys of one platform: each kind of enclave that quotes has one, and after an update a new one
MAX_AUTHORITIES = 64  # Intel has two
MAX_VERDICTS = 10_000
MAX_KEYS = 100  # ready to verify with; each takes about 2 KiB

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class CertifiedPlatform:
    """Who certified the key that signed the quoting enclave's report, and for which platform."""

    key: bytes  # X ‖ Y of the PCK certificate
    serial: int
    begins: datetime  # of the window of the PCK certificate and everything above it
    ends: datetime
    ca: Certificate
    platform: PckPlatform = field(repr=False)


@dataclass(frozen=True, slots=True)
class PlatformBoundKey(PublicKey):
    """An attestation key that a certified platform's quoting enclave vouches for."""

    certified_platform: CertifiedPlatform
    judged_by: tuple[Hashable, ...] = field(repr=False)  # all of the platform and its quoting enclave that a verdict depends on


class BoundedTable(Generic[K, V]):
    """The newest facts of one kind; whoever comes when it is full takes the place of the oldest."""

    def __init__(self, bound: int) -> None:
        self._entries: dict[K, V] = {}
        self._bound = bound
        self.get = self._entries.get
        self.misses = 0  # how often something was kept that was not there

    def __len__(self) -> int:
        return len(self._entries)

    def values(self) -> list[V]:
        """All facts, the oldest first."""
        return list(self._entries.values())

    def keep(self, key: K, value: V) -> V:
        """Remember that, and return it."""
        self.misses += 1
        if self._bound <= 0:
            return value
        if key in self._entries:
            self._entries[key] = value
            return value
        try:
            while len(self._entries) >= self._bound:
                self._entries.pop(next(iter(self._entries)), None)
        except (RuntimeError, StopIteration):  # Another thread made room meanwhile.
            return value
        self._entries[key] = value
        return value

    def forget(self, key: K) -> None:
        """Let go of one, if it is there."""
        self._entries.pop(key, None)


class Memory:
    """What verifications of one process share. Safe for threads: a fact lost in a race is proved again."""

    def __init__(self, platforms: int = MAX_PLATFORMS) -> None:
        self.certified_platforms: BoundedTable[bytes, CertifiedPlatform] = BoundedTable(platforms)
        self.bound_keys: BoundedTable[bytes, PlatformBoundKey] = BoundedTable(platforms)
        self.verdicts: BoundedTable[Hashable, TcbVerdict] = BoundedTable(MAX_VERDICTS)
        self.authorities: BoundedTable[bytes, Certificate] = BoundedTable(min(platforms, MAX_AUTHORITIES))
        self._own: BoundedTable[bytes, tuple[bytes, ...]] = BoundedTable(platforms)  # the keys in `bound_keys` of each platform
        self._keys: BoundedTable[bytes, PublicKey] = BoundedTable(min(platforms, MAX_KEYS))
        self._family: BoundedTable[object, object] = BoundedTable(MAX_VERDICTS)

    def keep_platform(self, key: bytes, certified_platform: CertifiedPlatform) -> CertifiedPlatform:
        """Remember that platform; what it has in common with others of its family is kept once."""
        of, same = certified_platform.platform, self._same
        platform = replace(
            of,
            components=same(of.components),
            cpu_svn=same(of.cpu_svn),
            pce_id=same(of.pce_id),
            fmspc=same(of.fmspc),
            flags=same(of.flags),
        )
        return self.certified_platforms.keep(key, replace(certified_platform, platform=platform))

    def key_of(self, certified_platform: CertifiedPlatform) -> PublicKey:
        """The key of that PCK certificate, ready to verify with; of the platforms met last, it is so already."""
        raw = certified_platform.key
        return self._keys.get(raw) or self._keys.keep(raw, p256.parse(raw))

    def keep_bound_key(self, key: bytes, bound_key: PlatformBoundKey) -> PlatformBoundKey:
        """Remember that key, in place of the platform's own oldest where it has many; what others are judged by is kept once."""
        own = self._own.get(bound_key.certified_platform.key, ())
        if len(own) >= MAX_OWN_KEYS:
            self.bound_keys.forget(own[0])
        self._own.keep(bound_key.certified_platform.key, (*own[-MAX_OWN_KEYS + 1 :], key))
        return self.bound_keys.keep(
            key, PlatformBoundKey(bound_key.handle, bound_key.certified_platform, self._same(bound_key.judged_by))
        )

    def _same(self, value: V) -> V:
        return cast("V", self._family.get(value) or self._family.keep(value, value))


def digest(root: bytes, version: int, first: bytes, second: bytes = b"") -> bytes:
    """A key that stands for a root (by its digest), a version, and two texts."""
    return hashlib.sha256(root + version.to_bytes(2, "big") + len(first).to_bytes(4, "big") + first + second).digest()
