"""What an enclave held when it was quoted: bound or refused, read as it says, and told in the token's claims."""

import base64
import hashlib
import json
from collections.abc import Callable

import pytest
from tests.attestation.worlds import verified

from donjon.attestation import binding, claims
from donjon.attestation.acceptance import Acceptance, AcceptedQuote, accept
from donjon.attestation.binding import Data, HeldData
from donjon.attestation.claims import ClaimSet
from donjon.errors import Malformed, Untrusted
from donjon.simulation.intel.reports import TEE_TCB_SVN

DATA = b'{"key": {"kty": "EC"}, "level": 1.5}'
KSS = 0x85
STRICT = Acceptance()
EAT = {"attester_tcb_status": "UpToDate", "dbgstat": "disabled", "intuse": "generic", "x-ms-attestation-type": "tdxvm"}


def accepted(kind: str = "v3 SGX", gate: Acceptance = STRICT, /, **changes: object) -> AcceptedQuote:
    answer = accept(verified(kind, {f"quote.body.{name}": value for name, value in changes.items()}), gate)
    assert isinstance(answer, AcceptedQuote)
    return answer


def hashed(data: bytes = DATA, rest: bytes = bytes(32)) -> bytes:
    return hashlib.sha256(data).digest() + rest


def stated(quote: AcceptedQuote, held: HeldData) -> ClaimSet:
    return claims.derive(binding.bind(quote, held), quote.verified_quote.quote.raw)


def runtime(data: Data) -> HeldData:
    return HeldData(runtime=data)


@pytest.mark.parametrize("kind", ["v3 SGX", "v4 TDX 1.0", "v5 TDX 1.5"])
@pytest.mark.parametrize("rest", [bytes(32), b"\x01" * 32], ids=["zeros", "the enclave's own"])
def test_runtime_data_are_bound_by_the_first_half_of_the_report_data(kind: str, rest: bytes) -> None:
    stated(accepted(kind, report_data=hashed(rest=rest)), runtime(binding.binary(DATA, "runtime data")))


@pytest.mark.parametrize("kind", ["v3 SGX", "v4 TDX 1.0"])
@pytest.mark.parametrize(
    "report_data",
    [bytes(64), bytes(32) + hashed()[:32], hashed(DATA + b" "), hashed()[:31] + bytes(33)],
    ids=["none", "second half", "other data", "a byte short"],
)
def test_data_that_the_enclave_does_not_hold_are_refused(kind: str, report_data: bytes) -> None:
    with pytest.raises(Untrusted) as refused:
        binding.bind(accepted(kind, report_data=report_data), runtime(binding.binary(DATA, "runtime data")))
    assert refused.value.code == "DJ430"


def test_binary_data_are_told_as_they_came_and_json_as_an_object() -> None:
    quote = accepted(report_data=hashed())
    opaque = stated(quote, runtime(binding.binary(DATA, "runtime data"))).token_claims
    parsed = stated(quote, runtime(binding.json(DATA, "runtime data"))).token_claims
    for name in ("x-ms-sgx-ehd", "maa-ehd", "aas-ehd"):
        assert opaque[name] == base64.urlsafe_b64encode(DATA).decode().rstrip("=")
        assert name not in parsed
    assert parsed["x-ms-runtime"] == json.loads(DATA)
    assert "x-ms-runtime" not in opaque


def test_a_policy_sees_bound_json_as_its_text() -> None:
    found = stated(accepted(report_data=hashed()), runtime(binding.json(DATA, "runtime data"))).incoming
    (value,) = (claim.value for claim in found if claim.type == "x-ms-runtime")
    assert json.loads(str(value)) == json.loads(DATA)


def test_data_of_initialisation_are_bound_by_configid_of_an_enclave_with_kss() -> None:
    quote = accepted(flags=KSS, config_id=hashed())
    assert stated(quote, HeldData(initial=binding.json(DATA, "init-time data"))).token_claims["x-ms-inittime"] == json.loads(DATA)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("v3 SGX", {"flags": KSS}),
        ("v3 SGX", {"config_id": hashed()}),  # without KSS the field says nothing
        ("v4 TDX 1.0", {}),
    ],
)
def test_data_of_initialisation_that_nothing_binds_are_refused(kind: str, changes: dict[str, object]) -> None:
    with pytest.raises(Untrusted) as refused:
        binding.bind(accepted(kind, **changes), HeldData(initial=binding.json(DATA, "init-time data")))
    assert refused.value.code == "DJ431"


def test_a_nonce_comes_back_as_it_was_sent() -> None:
    assert stated(accepted(), HeldData(nonce="5 – fünf")).token_claims["nonce"] == "5 – fünf"
    assert "nonce" not in stated(accepted(), HeldData()).token_claims


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: binding.binary(bytes(binding.MAX_DATA + 1), "data"), "DJ432"),
        (lambda: binding.json(b'{"a": 1, "a": 2}', "data"), "DJ210"),
        (lambda: binding.json(b"[1]", "data"), "DJ210"),
        (lambda: binding.json(b"", "data"), "DJ210"),
        (lambda: binding.json(b"\xff", "data"), "DJ210"),
        (lambda: binding.json(b'{"a": NaN}', "data"), "DJ210"),
        (lambda: binding.json(b'{"a": 1e999}', "data"), "DJ210"),
        (lambda: binding.json(b'{"a": 1' + b"0" * 5000 + b"}", "data"), "DJ210"),
        (lambda: binding.json(b'{"a":' + b"[" * 30_000 + b"]" * 30_000 + b"}", "data"), "DJ210"),
        (lambda: binding.json(b'{"a":' * 33 + b"1" + b"}" * 33, "data"), "DJ432"),
        (lambda: binding.json(rb'{"a": "\ud800"}', "data"), "DJ432"),
        (lambda: HeldData(nonce="x" * (binding.MAX_NONCE + 1)), "DJ432"),
        (lambda: HeldData(nonce="\ud800"), "DJ432"),
    ],
    ids=[
        *("too long", "a key twice", "no object", "empty", "no UTF-8", "NaN", "infinite", "a huge number", "bottomless"),
        *("nested", "half a pair", "a long nonce", "half a pair as nonce"),
    ],
)
def test_data_that_two_readers_could_read_differently_are_refused(make: Callable[[], object], code: str) -> None:
    with pytest.raises(Malformed) as refused:
        make()
    assert refused.value.code == code


def test_data_of_many_values_are_refused_before_they_are_read() -> None:
    """20,000, by docs/limits.md; an object and its name are two of them."""
    assert binding.json(b'{"a":[' + b"1," * 19_990 + b"1]}", "data").content is not None
    with pytest.raises(Malformed, match="more values and names than the 20000") as refused:
        binding.json(b'{"a":[' + b"1," * 20_000 + b"1]}", "data")
    assert refused.value.code == "DJ210"


def test_data_nested_as_deep_as_allowed_are_read() -> None:
    depth = binding.MAX_NESTING
    assert binding.json(b'{"a":' * depth + b"1" + b"}" * depth, "data").content is not None


def test_an_enclave_with_kss_says_how_it_was_configured() -> None:
    plain, kss = (
        stated(accepted(), HeldData()).token_claims,
        stated(accepted(flags=KSS, config_id=hashed()), HeldData()).token_claims,
    )
    assert kss["x-ms-sgx-config-id"] == hashed().hex()
    assert kss["x-ms-sgx-config-svn"] == 0
    assert {name: len(str(kss[name])) for name in kss.keys() - plain.keys() - {"x-ms-sgx-config-svn"}} == {
        "x-ms-sgx-config-id": 128,
        "x-ms-sgx-isv-extended-product-id": 32,
        "x-ms-sgx-isv-family-id": 32,
    }


def test_a_trust_domain_is_told_by_the_profile() -> None:
    found = stated(accepted("v4 TDX 1.0"), HeldData()).token_claims
    assert {name: found[name] for name in EAT} == EAT
    lengths = {name: len(value) for name, value in found.items() if isinstance(value, str) and name.startswith("tdx_")}
    assert lengths == {
        **dict.fromkeys(("tdx_mrconfigid", "tdx_mrowner", "tdx_mrownerconfig", "tdx_mrseam", "tdx_mrsignerseam", "tdx_mrtd"), 96),
        **dict.fromkeys(("tdx_rtmr0", "tdx_rtmr1", "tdx_rtmr2", "tdx_rtmr3"), 96),
        **dict.fromkeys(("tdx_seam_attributes", "tdx_td_attributes", "tdx_xfam"), 16),
        "tdx_report_data": 128,
        "tdx_tee_tcb_svn": 32,
    }
    assert {name for name, value in found.items() if value is False} == {
        f"tdx_td_attributes_{name}"
        for name in (
            *("debug", "hgs_plus_prof", "icssd", "key_locker", "lass", "migratable", "perf_prof", "perfmon", "pmt_prof"),
            *("protection_keys", "servtd_ext", "tpa"),
        )
    }
    assert found["tdx_td_attributes_septve_disable"] is True


def test_each_measurement_of_a_trust_domain_stands_under_its_own_name() -> None:
    fields = {
        "mr_td": "mrtd",
        "mr_seam": "mrseam",
        "mr_config_id": "mrconfigid",
        "mr_owner": "mrowner",
        "mr_owner_config": "mrownerconfig",
    }
    values = {field: bytes([number]) * 48 for number, field in enumerate(fields, 1)}
    rtmrs = tuple(bytes([number]) * 48 for number in range(0xA0, 0xA4))
    found = stated(accepted("v4 TDX 1.0", rtmrs=rtmrs, report_data=hashed(), **values), HeldData()).token_claims
    assert {field: found[f"tdx_{name}"] for field, name in fields.items()} == {
        field: value.hex() for field, value in values.items()
    }
    assert [found[f"tdx_rtmr{number}"] for number in range(4)] == [value.hex() for value in rtmrs]
    assert found["tdx_report_data"] == hashed().hex()


def test_a_migratable_trust_domain_and_its_service_td_are_told_to_tokens_and_policies() -> None:
    service = b"\x66" * 48
    gate = Acceptance(allow_migratable=True, service_tds=frozenset({service}))
    found = stated(accepted("v5 TDX 1.5", gate, attributes=1 << 28 | 1 << 29, mr_service_td=service), HeldData())
    assert (found.token_claims["tdx_td_attributes_migratable"], found.token_claims["tdx_mrservicetd"]) == (True, service.hex())
    seen = {claim.type: claim.value for claim in found.incoming}
    assert (seen["tdx_td_attributes_migratable"], seen["tdx_mrservicetd"]) == (True, service.hex())


def test_a_trust_domain_of_tdx_1_5_says_that_it_has_no_service_td() -> None:
    found = stated(accepted("v5 TDX 1.5"), HeldData()).token_claims
    assert (found["tdx_td_attributes_migratable"], found["tdx_mrservicetd"]) == (False, "00" * 48)
    assert found["tdx_tee_tcb_svn_2"] == TEE_TCB_SVN.hex()


def test_every_bit_of_a_trust_domains_attributes_that_has_a_name_is_told_by_it() -> None:
    bits = {"icssd": 16, "servtd_ext": 17, "lass": 27, "protection_keys": 30, "key_locker": 31, "tpa": 62, "perfmon": 63}
    profiled = {"hgs_plus_prof": 4, "perf_prof": 5, "pmt_prof": 6}
    for name, bit in {**bits, **profiled}.items():
        gate = Acceptance(allow_debug=True, allow_attributes=1 << bit)
        found = stated(accepted("v5 TDX 1.5", gate, attributes=1 << 28 | 1 << bit), HeldData()).token_claims
        true = {claim for claim, value in found.items() if value is True and claim.startswith("tdx_")}
        debug = {"tdx_td_attributes_debug"} if name in profiled else set()
        assert true == {f"tdx_td_attributes_{name}", "tdx_td_attributes_septve_disable", *debug}


def test_policies_see_every_enclaves_attributes_and_tokens_say_what_an_operator_allowed_by_name() -> None:
    names = {"x-donjon-sgx-attributes", "x-donjon-sgx-einittoken-key", "x-donjon-sgx-provision-key"}
    plain = stated(accepted(), HeldData())
    assert {claim.type: claim.value for claim in plain.incoming if claim.type in names} == {
        "x-donjon-sgx-attributes": "05000000000000000300000000000000",
        "x-donjon-sgx-einittoken-key": False,
        "x-donjon-sgx-provision-key": False,
    }
    assert not names & plain.token_claims.keys()
    gate = Acceptance(allow_einittoken_key=True, allow_provision_key=True, allow_attributes=8, allow_features=1 << 19)
    for changes in ({"flags": 0x25}, {"flags": 0x15}, {"flags": 0xD}, {"xfrm": 0x80003}):
        said = stated(accepted("v3 SGX", gate, **changes), HeldData()).token_claims
        assert names <= said.keys()
        assert said["x-donjon-sgx-einittoken-key"] is (changes.get("flags") == 0x25)


@pytest.mark.parametrize(("tee_tcb_svn", "expected"), [("0501", 0x0105), ("0d01", 269)])
def test_the_modules_svn_is_both_its_numbers(tee_tcb_svn: str, expected: int) -> None:
    """As Intel's own tokens have it: 0d01… is 269."""
    svn = bytes.fromhex(tee_tcb_svn) + TEE_TCB_SVN[2:]
    assert stated(accepted("v4 TDX 1.0", tee_tcb_svn=svn), HeldData()).token_claims["tdx_seamsvn"] == expected


def test_collateral_is_named_by_what_the_quote_was_judged_by() -> None:
    quote = accepted()
    found = stated(quote, HeldData()).token_claims["x-ms-sgx-collateral"]
    assert isinstance(found, dict)
    assert found["quotehash"] == hashlib.sha256(quote.verified_quote.quote.raw).hexdigest()
    assert found["tcbinfohash"] != found["qeidhash"]
    assert {len(str(value)) for value in found.values()} == {64}
