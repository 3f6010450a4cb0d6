"""A serving certificate with an authority of its own."""

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from tests.pki.certs import DAY, LIFETIME, NAMES, START, fresh, made

from donjon.errors import Malformed
from donjon.pki.serving import BACKDATE, MAX_PEM, ServingCertificate, issue, parse

SERVING = made()


def verified(serving: ServingCertificate, name: str, *, later: timedelta = DAY) -> None:
    """What a client does; raises where it would refuse."""
    store = Store([x509.load_pem_x509_certificate(serving.authority.pem)])
    client = PolicyBuilder().store(store).time(START + later).build_server_verifier(x509.DNSName(name))
    client.verify(x509.load_pem_x509_certificate(serving.certificate), [])


def test_a_client_that_trusts_the_authority_takes_the_certificate_for_its_name_alone() -> None:
    verified(SERVING, NAMES[0])
    with pytest.raises(VerificationError):
        verified(SERVING, "donjon-webhook.other.svc")


@pytest.mark.parametrize("later", [-BACKDATE - DAY, LIFETIME + timedelta(seconds=1)])
def test_a_client_takes_it_from_an_hour_before_to_its_end(later: timedelta) -> None:
    verified(SERVING, NAMES[0], later=-BACKDATE)
    verified(SERVING, NAMES[0], later=LIFETIME)
    with pytest.raises(VerificationError):
        verified(SERVING, NAMES[0], later=later)


def test_another_authority_is_not_trusted_though_it_bears_the_same_name() -> None:
    other = issue(NAMES, fresh(), START, LIFETIME)
    with pytest.raises(VerificationError):
        verified(replace(SERVING, authority=other.authority), NAMES[0])


def test_the_authority_can_sign_certificates_and_the_certificate_can_not() -> None:
    for pem, signs in ((SERVING.authority.pem, True), (SERVING.certificate, False)):
        extensions = x509.load_pem_x509_certificate(pem).extensions
        assert extensions.get_extension_for_class(x509.BasicConstraints).value.ca is signs
        assert extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign is signs


def test_what_was_issued_reads_back_as_it_was() -> None:
    assert parse(SERVING.certificate, SERVING.key, SERVING.authority.pem, NAMES) == SERVING


def rsa_key() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def locked_key() -> bytes:
    locked = serialization.BestAvailableEncryption(b"password")
    return fresh().key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)


OTHER = made()


@pytest.mark.parametrize(
    ("certificate", "key", "authority", "words"),
    [
        (b"", SERVING.key, SERVING.authority.pem, "expected one in PEM"),
        (b"\xff" * 100, SERVING.key, SERVING.authority.pem, "expected one in PEM"),
        (SERVING.certificate, SERVING.key, b"", "expected one in PEM"),
        (SERVING.certificate * 2, SERVING.key, SERVING.authority.pem, "expected one in PEM"),
        (SERVING.certificate[:-200] + b"\n-----END CERTIFICATE-----\n", SERVING.key, SERVING.authority.pem, "in PEM"),
        (SERVING.certificate, b"", SERVING.authority.pem, "key: expected one in PEM"),
        (SERVING.certificate, locked_key(), SERVING.authority.pem, "without a password"),
        (SERVING.certificate, rsa_key(), SERVING.authority.pem, "elliptic curve"),
        (SERVING.certificate, OTHER.key, SERVING.authority.pem, "the key is another one's"),
        (SERVING.certificate, SERVING.key, OTHER.authority.pem, "did not sign it"),
        (OTHER.certificate, OTHER.key, SERVING.authority.pem, "did not sign it"),
        (SERVING.certificate, SERVING.key, b" " * (MAX_PEM + 1), "at most"),
    ],
    ids=range(12),
)
def test_parts_that_do_not_belong_together_are_refused(certificate: bytes, key: bytes, authority: bytes, words: str) -> None:
    with pytest.raises(Malformed, match=words) as caught:
        parse(certificate, key, authority, NAMES)
    assert caught.value.code == "DJ146"


def test_a_certificate_for_other_names_is_refused_and_says_which() -> None:
    with pytest.raises(Malformed, match=r"it is not for donjon-webhook\.elsewhere\.svc"):
        parse(SERVING.certificate, SERVING.key, SERVING.authority.pem, ("donjon-webhook.elsewhere.svc",))


def test_the_largest_serial_numbers_there_are_make_a_certificate() -> None:
    verified(issue(NAMES, replace(fresh(), authority_serial=(1 << 159) - 1, serial=(1 << 159) - 2), START, LIFETIME), NAMES[0])
