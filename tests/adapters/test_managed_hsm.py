"""A key that signs enclaves, in a Managed HSM of Azure: Azure's own library, and below it one that really signs."""

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.adapters.fakehsm import HOST, FakeHsm, SignedIn
from tests.enclave.vectors import EDP

from donjon.adapters import clock
from donjon.adapters.azure.managed_hsm import ManagedHsm
from donjon.adapters.azure.transport import BoundedTransport
from donjon.enclave.signature import signature_faults
from donjon.enclave.signing import draft_of, sign
from donjon.errors import DonjonError, Misconfigured, Unavailable, Untrusted

KEY = f"https://{HOST}/keys/release"


def hsm(fake: FakeHsm, key: str = KEY) -> ManagedHsm:
    transport = BoundedTransport(f"https://{fake.host}", clock.pause)
    transport.open()
    transport.session.mount("https://", fake)
    return ManagedHsm(key, clock.pause, SignedIn(), transport)


def test_a_key_that_was_made_there_has_the_exponent_3_and_signs_an_enclave_there() -> None:
    fake = FakeHsm()
    made = hsm(fake).make()
    whole = sign(draft_of(EDP), hsm(fake).open())
    assert (list(signature_faults(whole)), int.from_bytes(whole.modulus, "little")) == ([], made.modulus)
    assert [call.partition(" ")[0] for call in fake.calls] == ["GET", "POST", "GET", "POST"]
    assert fake.calls[-1].endswith("/0123456789abcdef0123456789abcdef/sign")


def test_a_key_that_is_there_is_not_made_again() -> None:
    fake = FakeHsm()
    hsm(fake).make()
    with pytest.raises(Misconfigured, match="left as it is"):
        hsm(fake).make()


def test_a_key_of_the_usual_exponent_is_refused_with_what_to_do() -> None:
    with pytest.raises(Misconfigured, match="exponent is 65537"):
        hsm(FakeHsm(keys={"release": rsa.generate_private_key(65537, 3072)})).open()


def test_a_vault_that_is_no_managed_hsm_is_told_before_a_key_is_made() -> None:
    fake = FakeHsm(host="team.vault.azure.net")
    with pytest.raises(Misconfigured, match="a Managed HSM does"):
        hsm(fake, "https://team.vault.azure.net/keys/release").make()
    assert fake.calls == []


def test_a_signature_that_is_wrong_is_not_taken() -> None:
    fake = FakeHsm()
    hsm(fake).make()
    fake.spoils = True
    with pytest.raises(Untrusted, match="signature"):
        sign(draft_of(EDP), hsm(fake).open())


@pytest.mark.parametrize("ask", [lambda one: one.open(), lambda one: one.make()])
def test_who_may_not_is_told(ask: Callable[[ManagedHsm], object]) -> None:
    with pytest.raises(Unavailable, match=r"403.*not you"):
        ask(hsm(FakeHsm(status=403)))


def test_a_key_that_is_not_there_is_told() -> None:
    with pytest.raises(Unavailable, match="no such key"):
        hsm(FakeHsm()).open()


def test_another_domain_gets_no_token() -> None:
    with pytest.raises(DonjonError, match="does not match the requested domain"):
        hsm(FakeHsm(host="team.elsewhere.example"), "https://team.elsewhere.example/keys/release").open()


@pytest.mark.parametrize(
    "name", ["https://", f"https://{HOST}", f"https://{HOST}/secrets/x", f"https://{HOST}/keys/a/b/c", f"https://{HOST}:x/keys/a"]
)
def test_what_names_no_key_is_refused(name: str) -> None:
    with pytest.raises(Misconfigured, match="expected https://NAME"):
        ManagedHsm(name, clock.pause, SignedIn())
