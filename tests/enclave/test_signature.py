"""Real SIGSTRUCTs are read to the byte, and every change of a signed byte is seen."""

import pytest
from tests.enclave.vectors import EDP, SAMPLE, changed

from donjon.enclave.signature import signature_faults
from donjon.sgx.sigstruct import HEADER, HEADER2, SigStruct


def test_fields_stand_where_intel_puts_them() -> None:
    assert (EDP.header, EDP.header2) == (HEADER, HEADER2)
    assert EDP.mr_enclave.hex().startswith("784acfd7")
    assert EDP.mr_signer.hex().startswith("fb4bab3d")
    assert SAMPLE.mr_signer.hex() == "83d719e77deaca1470f6baf62a4d774303c899db69020f9c70ee1dfc08c7ce9e"
    assert EDP.date.hex() == "14121620"
    assert (EDP.exponent, EDP.debug, EDP.masks_debug) == (3, False, False)


@pytest.mark.parametrize("whole", [EDP, SAMPLE])
def test_a_real_signature_is_true(whole: SigStruct) -> None:
    assert list(signature_faults(whole)) == []


@pytest.mark.parametrize("place", [0, 20, 43, 127, 900, 928, 944, 960, 991, 1008, 1024, 1026, 1027])
def test_a_signed_byte_that_is_changed_is_seen(place: int) -> None:
    assert list(signature_faults(changed(EDP, place, EDP.raw[place] ^ 1))) == ["its signature is not of its fields by its key"]


@pytest.mark.parametrize("place", [1040, 1423, 1424, 1807])
def test_a_wrong_quotient_is_seen(place: int) -> None:
    assert list(signature_faults(changed(EDP, place, EDP.raw[place] ^ 1))) == ["its Q1 or Q2 is not of its signature"]


def test_another_exponent_is_explained() -> None:
    assert list(signature_faults(changed(EDP, 514, 1))) == ["its exponent is 65539, and EINIT takes 3 alone"]


@pytest.mark.parametrize(("place", "words"), [(511, "no RSA modulus"), (128, "no RSA modulus")])
def test_a_modulus_that_is_none_is_seen_and_nothing_is_reckoned_with_it(place: int, words: str) -> None:
    broken = changed(EDP, place, 0 if place == 511 else EDP.raw[128] & 0xFE)
    (fault,) = signature_faults(broken)
    assert words in fault


def test_nothing_but_zeros_ends_nothing() -> None:
    assert len(list(signature_faults(SigStruct(bytes(SigStruct.SIZE))))) == 1
