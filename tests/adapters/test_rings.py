"""Rings of signing keys: read, read again, and refused with the last good one kept."""

import asyncio
import base64
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from tests.attestation.signers import MADE, REAL

from donjon.adapters.keys import rings, signing
from donjon.adapters.keys.folder import Folder
from donjon.adapters.keys.rings import Ring
from donjon.errors import DonjonError, Misconfigured, Unavailable
from donjon.pki import pem
from donjon.signing.ring import MAX_KEYS
from donjon.signing.signer import Algorithm

HOUR, YEAR = timedelta(hours=1), timedelta(days=365)
NOW = MADE + timedelta(days=1)


def file(begins: timedelta = -HOUR, algorithm: Algorithm = Algorithm.ES256, key: bytes | None = None) -> bytes:
    """A key and its certificate, which begins that long after now."""
    key = key or signing.fresh_key(algorithm)
    return key + pem.encode((signing.self_signed(key, REAL, NOW + begins + HOUR, YEAR),))


PRESENT, NEXT, RSA = file(), file(HOUR), file(algorithm=Algorithm.RS256)


@dataclass
class World:
    """A folder, a clock, and what was told."""

    folder: Path
    moment: datetime = NOW
    told: list[str | None] = field(default_factory=list)

    def write(self, **files: bytes) -> "World":
        for name, text in files.items():
            (self.folder / f"{name}.pem").write_bytes(text)
        return self

    def opened(self) -> Ring:
        return asyncio.run(rings.open_ring(Folder(self.folder), lambda: self.moment, self._tell))

    def _tell(self, error: DonjonError | None) -> None:
        self.told.append(None if error is None else error.code)


def kids(ring: Ring) -> list[str]:
    return [each.kid for each in ring.published()]


def kid(text: bytes) -> str:
    return signing.parse_key_file("", text).signer.kid


def test_the_key_of_the_moment_signs_and_the_next_is_published(tmp_path: Path) -> None:
    world = World(tmp_path).write(a=NEXT, b=PRESENT)
    ring = world.opened()
    assert (ring.signer().kid, kids(ring)) == (kid(PRESENT), [kid(PRESENT), kid(NEXT)])
    world.moment += HOUR
    assert ring.signer().kid == kid(NEXT)


@pytest.mark.parametrize(("text", "algorithm"), [(PRESENT, Algorithm.ES256), (RSA, Algorithm.RS256)])
def test_the_key_says_the_algorithm(tmp_path: Path, text: bytes, algorithm: Algorithm) -> None:
    assert World(tmp_path).write(a=text).opened().signer().algorithm is algorithm


def test_certificate_and_key_stand_in_any_order_and_among_other_text(tmp_path: Path) -> None:
    at = PRESENT.index(b"-----BEGIN CERTIFICATE")
    world = World(tmp_path).write(a=b"Bag Attributes\n" + PRESENT[at:] + b"\nelse\n" + PRESENT[:at].rstrip())
    assert world.opened().signer().kid == kid(PRESENT)


def test_new_files_are_taken_and_what_has_not_changed_is_not_told(tmp_path: Path) -> None:
    world = World(tmp_path).write(a=PRESENT)
    ring = world.opened()
    asyncio.run(ring.look())
    assert world.told == []
    world.write(b=NEXT)
    asyncio.run(ring.look())
    assert (world.told, kids(ring)) == ([None], [kid(PRESENT), kid(NEXT)])


def test_a_mounted_secret_that_is_switched_is_taken(tmp_path: Path) -> None:
    for name, text in (("..1", PRESENT), ("..2", NEXT)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.pem").write_bytes(text)
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "a.pem").symlink_to("..data/a.pem")
    world = World(tmp_path)
    ring = world.opened()
    (tmp_path / "new").symlink_to("..2")
    (tmp_path / "new").replace(tmp_path / "..data")
    world.moment += HOUR
    asyncio.run(ring.look())
    assert (world.told, ring.signer().kid) == ([None], kid(NEXT))


def private(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, password: bytes | None = None) -> bytes:
    how = NoEncryption() if password is None else BestAvailableEncryption(password)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)


P256 = ec.generate_private_key(ec.SECP256R1())
CERTIFICATE = PRESENT[PRESENT.index(b"-----BEGIN CERTIFICATE") :]
WRONG = {
    "nothing of a key": (b"hello", "DJ540"),
    "an empty file": (b"", "DJ540"),
    "a key without certificate": (private(P256), "DJ540"),
    "a certificate without key": (CERTIFICATE, "DJ540"),
    "two keys": (PRESENT + private(P256), "DJ540"),
    "a chain": (PRESENT + CERTIFICATE, "DJ540"),
    "another key's certificate": (private(P256) + CERTIFICATE, "DJ437"),
    "a key with a password": (private(P256, b"x") + CERTIFICATE, "DJ437"),
    "P-384": (private(ec.generate_private_key(ec.SECP384R1())) + CERTIFICATE, "DJ437"),
    "secp256k1": (private(ec.generate_private_key(ec.SECP256K1())) + CERTIFICATE, "DJ437"),
    "RSA of 1024 bits": (private(rsa.generate_private_key(65537, 1024)) + CERTIFICATE, "DJ437"),  # noqa: S505 - weak on purpose.
    "a certificate that is none": (PRESENT.replace(CERTIFICATE, pem.encode((b"hello",))), "DJ437"),
    "a certificate cut short": (PRESENT.replace(CERTIFICATE, CERTIFICATE[:90] + CERTIFICATE[-26:]), "DJ204"),
    "much too much": (PRESENT + bytes(signing.MAX_PEM), "DJ540"),
}


NUMBERS = rsa.generate_private_key(65537, 2048).private_numbers()
HALVES = {
    "another private half": ({name: getattr(NUMBERS, name) + 2 for name in ("d", "dmp1", "dmq1")}, "do not belong together"),
    "a public exponent of 1": ({"e": 1, "d": 1, "dmp1": 1, "dmq1": 1}, "public exponent 1, expected 3 or more"),
}


def pkcs1(changes: dict[str, int]) -> bytes:
    """That key with other numbers, in PEM: the library itself writes none that it knows for wrong (RFC 8017, A.1.2)."""
    own = {name: getattr(NUMBERS, name) for name in ("p", "q", "d", "dmp1", "dmq1", "iqmp")}
    numbers = {"n": NUMBERS.public_numbers.n, "e": NUMBERS.public_numbers.e, **own, **changes}
    values = [0, *(numbers[name] for name in ("n", "e", "d", "p", "q", "dmp1", "dmq1", "iqmp"))]
    sequence = der(0x30, b"".join(der(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big")) for value in values))
    return b"-----BEGIN RSA PRIVATE KEY-----\n" + base64.encodebytes(sequence) + b"-----END RSA PRIVATE KEY-----\n"


def der(tag: int, content: bytes) -> bytes:
    """Long lengths have their own length before them (X.690, 8.1.3)."""
    size = len(content)
    octets = size.to_bytes((size.bit_length() + 7) // 8 or 1, "big")
    return bytes([tag]) + (b"" if size < 128 else bytes([0x80 | len(octets)])) + octets + content


@pytest.mark.parametrize(("changes", "words"), HALVES.values(), ids=HALVES)
def test_a_key_that_proves_nothing_is_refused(changes: dict[str, int], words: str) -> None:
    certificate = signing.self_signed(pkcs1({}), "x", MADE, YEAR)
    assert signing.parse_signer(pkcs1({}), certificate).algorithm is Algorithm.RS256
    with pytest.raises(Misconfigured, match=words) as refused:
        signing.parse_signer(pkcs1(changes), certificate)
    assert refused.value.code == "DJ437"


@pytest.mark.parametrize(("text", "code"), WRONG.values(), ids=WRONG)
def test_a_file_that_does_not_fit_is_told_and_the_last_good_ring_signs_on(tmp_path: Path, text: bytes, code: str) -> None:
    world = World(tmp_path).write(a=PRESENT)
    ring = world.opened()
    world.write(b=text)
    asyncio.run(ring.look())
    assert (world.told, kids(ring)) == ([code], [kid(PRESENT)])
    with pytest.raises(Misconfigured, match=r"b\.pem: ") as told:
        world.opened()
    assert told.value.code == code
    world.write(b=NEXT)
    asyncio.run(ring.look())
    assert (world.told, kids(ring)) == ([code, None], [kid(PRESENT), kid(NEXT)])


def test_a_folder_that_is_emptied_or_goes_away_changes_nothing(tmp_path: Path) -> None:
    world = World(tmp_path / "keys")
    world.folder.mkdir()
    ring = world.write(a=PRESENT).opened()
    (world.folder / "a.pem").unlink()
    asyncio.run(ring.look())
    world.folder.rmdir()
    asyncio.run(ring.look())
    assert (world.told, ring.signer().kid) == (["DJ540", "DJ542"], kid(PRESENT))


@pytest.mark.parametrize(
    ("files", "family", "code"),
    [
        ({}, Misconfigured, "DJ540"),
        ({"a": NEXT}, Unavailable, "DJ541"),
        ({"a": PRESENT, "b": PRESENT}, Misconfigured, "DJ540"),
        ({str(number): PRESENT for number in range(MAX_KEYS + 1)}, Misconfigured, "DJ540"),
    ],
)
def test_a_ring_that_cannot_sign_does_not_open(
    tmp_path: Path, files: dict[str, bytes], family: type[DonjonError], code: str
) -> None:
    with pytest.raises(family) as told:
        World(tmp_path).write(**files).opened()
    assert told.value.code == code


def test_a_folder_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as told:
        World(tmp_path / "none").opened()
    assert told.value.code == "DJ542"
