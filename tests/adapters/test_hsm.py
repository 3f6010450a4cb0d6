"""Signing keys in a PKCS#11 token, of SoftHSM: they sign there, and never leave it."""

import asyncio
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pkcs11
import pytest
from cryptography import x509
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey, import_key
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
from pkcs11.util.rsa import encode_rsa_public_key
from tests.adapters.softhsm import MODULE, PIN, SoftHsm
from tests.attestation.signers import MADE, REAL

from donjon.adapters import clock
from donjon.adapters.keys import rings, signing
from donjon.adapters.keys.hsm import HsmStore
from donjon.adapters.keys.rings import Ring
from donjon.errors import DonjonError, Misconfigured, Unavailable
from donjon.signing import selfsigned
from donjon.signing.ring import Order
from donjon.signing.signer import Algorithm, Signer, serialize

HOUR, YEAR = timedelta(hours=1), timedelta(days=365)
NOW = MADE + timedelta(days=1)


def order(begins: timedelta = -HOUR, algorithm: Algorithm = Algorithm.ES256) -> Order:
    return Order(algorithm=algorithm, issuer=REAL, begins=NOW + begins, ends=NOW + begins + YEAR)


def opened(store: HsmStore, told: list[DonjonError | None] | None = None) -> Ring:
    return asyncio.run(rings.open_ring(store, lambda: NOW, (told if told is not None else []).append))


def made(hsm: SoftHsm, *orders: Order) -> HsmStore:
    store = hsm.store()
    for each in orders:
        asyncio.run(store.make(each))
    return store


def proves(signer: Signer) -> None:
    """A relying party that has the published key alone takes what it signs."""
    token = serialize(b'{"alg":"%s"}' % signer.algorithm.encode(), b"said", signer)
    jwk: dict[str, Any] = dict(signer.jwk())
    key = import_key({name: jwk[name] for name in ("kty", "n", "e", "crv", "x", "y") if name in jwk})
    assert isinstance(key, RSAKey | ECKey)
    assert jws.deserialize_compact(token, key, [str(signer.algorithm)]).payload == b"said"


@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_key_that_was_made_in_the_token_signs_there(hsm: SoftHsm, algorithm: Algorithm) -> None:
    ring = opened(made(hsm, order(algorithm=algorithm)))
    assert ring.signer().algorithm is algorithm
    proves(ring.signer())


@pytest.mark.parametrize("algorithm", Algorithm)
def test_its_certificate_is_in_the_issuers_name_and_signed_by_itself(hsm: SoftHsm, algorithm: Algorithm) -> None:
    store = made(hsm, order(algorithm=algorithm))
    asyncio.run(store.read_all())
    certificate = x509.load_der_x509_certificate(values(store, Attribute.VALUE, ObjectClass.CERTIFICATE)[0])
    certificate.verify_directly_issued_by(certificate)
    assert REAL in str(certificate.subject)
    assert certificate.not_valid_before_utc == NOW - HOUR


def values(store: HsmStore, attribute: Attribute, kind: ObjectClass) -> list[Any]:
    session = store._session
    assert session is not None
    wanted = {Attribute.CLASS: kind, Attribute.LABEL: store._place.ring}
    return [each[attribute] for each in session.get_objects(wanted)]


@pytest.mark.parametrize(
    ("algorithm", "secret"), [(Algorithm.RS256, Attribute.PRIVATE_EXPONENT), (Algorithm.ES256, Attribute.VALUE)]
)
def test_the_private_key_cannot_be_read(hsm: SoftHsm, algorithm: Algorithm, secret: Attribute) -> None:
    store = made(hsm, order(algorithm=algorithm))
    assert values(store, Attribute.EXTRACTABLE, ObjectClass.PRIVATE_KEY) == [False]
    assert values(store, Attribute.SENSITIVE, ObjectClass.PRIVATE_KEY) == [True]
    with pytest.raises(pkcs11.AttributeSensitive):
        values(store, secret, ObjectClass.PRIVATE_KEY)


def test_the_next_key_that_another_process_makes_is_taken_and_does_not_sign_yet(hsm: SoftHsm) -> None:
    told: list[DonjonError | None] = []
    store = hsm.store("shared")
    now = clock.moment()
    mine = asyncio.run(store.make(Order(algorithm=Algorithm.ES256, issuer=REAL, begins=now - HOUR, ends=now + YEAR)))
    ring = asyncio.run(rings.open_ring(store, clock.moment, told.append))
    new = [
        sys.executable,
        "-m",
        "donjon",
        "attestation",
        "keys",
        "new",
        hsm.text("shared"),
        "--issuer",
        REAL,
        "--algorithm",
        "ES256",
    ]
    said = subprocess.run(new, check=True, capture_output=True, text=True).stdout
    asyncio.run(ring.look())
    assert (told, ring.signer().kid, len(ring.published())) == ([None], mine.signer.kid, 2)
    assert any(each.name in said for each in asyncio.run(store.read_all()))


def test_what_has_not_changed_is_not_told_and_a_key_that_was_dropped_is_gone(hsm: SoftHsm) -> None:
    told: list[DonjonError | None] = []
    store = made(hsm, order(-2 * HOUR), order())
    ring = opened(store, told)
    asyncio.run(ring.look())
    assert told == []
    gone = asyncio.run(store.read_all())[0].name
    asyncio.run(store.drop(gone))
    asyncio.run(ring.look())
    assert (told, len(ring.published())) == ([None], 1)
    assert values(store, Attribute.ID, ObjectClass.PRIVATE_KEY) != [bytes.fromhex(gone)]


def test_rings_of_one_token_are_apart(hsm: SoftHsm) -> None:
    one, other = made(hsm, order()), made(hsm, order())
    assert {each.kid for each in opened(one).published()}.isdisjoint(each.kid for each in opened(other).published())
    proves(opened(one).signer())
    proves(opened(other).signer())


def test_a_session_that_broke_is_opened_again(hsm: SoftHsm) -> None:
    store = made(hsm, order())
    signer = opened(store).signer()
    assert store._session is not None
    store._session.close()
    proves(signer)


def test_a_token_that_signs_no_more_is_unavailable_and_signs_when_it_is_back(hsm: SoftHsm) -> None:
    store = made(hsm, order())
    signer = opened(store).signer()
    store._close()
    pin = hsm.folder / "pin"
    pin.unlink()
    with pytest.raises(Unavailable, match="DJ542"):
        signer.sign(b"x")
    pin.write_text(PIN)
    proves(signer)


def test_a_key_that_is_destroyed_while_it_signs_is_a_coded_error(hsm: SoftHsm) -> None:
    store = made(hsm, order())
    signer = opened(store).signer()
    asyncio.run(store.drop(asyncio.run(store.read_all())[0].name))
    with pytest.raises(DonjonError, match="DJ540"):
        signer.sign(b"x")


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"token": "nobody's"}, "DJ542"),
        ({"module": "/nowhere.so"}, "DJ542"),
        ({"module": "/dev/null"}, "DJ542"),
        ({"pin": "/nowhere"}, "DJ542"),
    ],
)
def test_a_token_that_cannot_be_reached_is_unavailable(hsm: SoftHsm, changed: dict[str, str], code: str) -> None:
    with pytest.raises(Unavailable) as told:
        opened(HsmStore(hsm.place(**changed)))
    assert told.value.code == code


def test_a_wrong_pin_is_tried_once_so_that_the_token_does_not_lock_itself(hsm: SoftHsm, tmp_path: Path) -> None:
    pkcs11.lib(MODULE).reinitialize()  # Who is logged in already is not asked for a PIN.
    (tmp_path / "pin").write_text("1234")
    store = HsmStore(hsm.place(pin=str(tmp_path / "pin")))
    for words in ("PinIncorrect", "was refused", "was refused"):
        with pytest.raises(Unavailable, match=words):
            asyncio.run(store.read())
    (tmp_path / "pin").write_text(PIN)
    assert asyncio.run(store.read()) == ()


def pair(store: HsmStore, key: bytes, bits: int = 2048) -> Any:
    """A pair of RSA keys that somebody else has made in the token."""
    asyncio.run(store.read_all())
    session = store._session
    assert session is not None
    return session.generate_keypair(KeyType.RSA, bits, id=key, label=store._place.ring, store=True)


def certify(store: HsmStore, key: bytes, certificate: bytes) -> None:
    assert store._session is not None
    store._session.create_object(
        {
            Attribute.CLASS: ObjectClass.CERTIFICATE,
            Attribute.CERTIFICATE_TYPE: pkcs11.CertificateType.X_509,
            Attribute.TOKEN: True,
            Attribute.ID: key,
            Attribute.LABEL: store._place.ring,
            Attribute.SUBJECT: b"",
            Attribute.VALUE: certificate,
        }
    )


def refused(store: HsmStore) -> str:
    with pytest.raises(Misconfigured) as told:
        opened(store)
    return told.value.code


def test_keys_that_do_not_fit_are_refused(hsm: SoftHsm) -> None:
    fresh = signing.fresh_key(Algorithm.RS256)
    another = signing.self_signed(fresh, REAL, NOW, YEAR)
    store = hsm.store()
    pair(store, b"1")
    assert refused(store) == "DJ540"  # A key without certificate is none yet.
    certify(store, b"1", another)
    assert refused(store) == "DJ437"
    absent = hsm.store()
    asyncio.run(absent.read_all())
    certify(absent, b"2", another)
    assert refused(absent) == "DJ540"
    nonsense = hsm.store()
    pair(nonsense, b"3")
    certify(nonsense, b"3", b"no certificate")
    assert refused(nonsense) == "DJ437"


def test_a_weak_key_is_refused(hsm: SoftHsm) -> None:
    from cryptography.hazmat.primitives.serialization import load_der_public_key  # noqa: PLC0415 - for this one alone.

    from donjon.adapters.keys.absent import AbsentRsa  # noqa: PLC0415 - for this one alone.

    store = hsm.store()
    public, private = pair(store, b"weak", 1024)
    key: Any = load_der_public_key(encode_rsa_public_key(public))
    absent = AbsentRsa(key, lambda data: private.sign(data, mechanism=Mechanism.SHA256_RSA_PKCS))
    certify(store, b"weak", selfsigned.certificate(absent, REAL, 1, NOW, YEAR))
    assert refused(store) == "DJ437"
