"""Which enclaves a policy admits, what it says of the others, and how several policies go together."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.enclave.signers import enclave, sign, spoil
from tests.enclave.vectors import EDP, SAMPLE

from donjon.enclave.samples import DEBUG_LOADER
from donjon.enclave.search import Enclave
from donjon.enclave.trust import (
    ContainerKey,
    DebugRule,
    EnclaveTrust,
    TrustAnswer,
    TrustMeasurement,
    TrustMode,
    TrustSigner,
    matches,
)
from donjon.enclave.trust_advice import advice
from donjon.enclave.trust_judgement import TrustVerdict, judge_all, judge_enclaves, judge_unseen
from donjon.enclave.trust_scope import EnclavePolicy, LabelRule, NamespaceSelector, SelectorOperator, trusts_in
from donjon.errors import DonjonError, Malformed, Unavailable, Untrusted
from donjon.findings import Severity

IMAGE = "registry.example/team/app:1"
OURS = TrustSigner(name="ours", mr_signer=sign("ours").mr_signer, product_id=1, min_svn=3)
TRUST = EnclaveTrust(name="EnclavePolicy team/ours", mode=TrustMode.ENFORCE, signers=(OURS,))
INTEL_SAMPLE = "Intel SDK's sample key"


def codes(verdict: TrustVerdict) -> list[tuple[str, str]]:
    return [(each.code, str(each.severity)) for each in verdict.findings]


def judge(*enclaves: Enclave, **changes: Any) -> TrustVerdict:
    return judge_enclaves(replace(TRUST, **changes), IMAGE, enclaves)


def test_an_enclave_of_a_listed_signer_is_admitted_without_a_word() -> None:
    assert judge(enclave(sign("ours", svn=3))) == TrustVerdict(grounds=("signer ours",))


def test_an_unlisted_signer_is_refused_with_all_that_is_needed_to_list_it() -> None:
    verdict = judge(enclave(sign("another", svn=3)))
    assert (verdict.admits, codes(verdict)) == (False, [("DJ370", "error")])
    (finding,) = verdict.findings
    assert finding.sentence() == (
        f"{IMAGE}: enclave 784acfd7d5096a8f…: is of no signer of the policy, and no measurement of it: "
        f"MRSIGNER {sign('another').mr_signer.hex()}, product 1, SVN 3: nobody vouches for it; "
        "EnclavePolicy team/ours refuses it [DJ370]; "
        "if it is to be trusted, list it in the policy: donjon policy from-enclave prints how"
    )


@pytest.mark.parametrize(("answer", "severity"), [("allow", "info"), ("warn", "warning")])
def test_what_becomes_of_an_unlisted_signer_is_the_policys_to_say(answer: str, severity: str) -> None:
    verdict = judge(enclave(sign("another")), unknown=TrustAnswer(answer))
    assert (verdict.admits, codes(verdict)) == (True, [("DJ370", severity)])


def test_another_product_of_a_listed_signer_is_unlisted() -> None:
    verdict = judge(enclave(sign("ours", product=2, svn=9)), unknown=TrustAnswer.WARN)
    assert codes(verdict) == [("DJ370", "warning")]
    assert "product 2 of signer ours, of which the policy takes others" in verdict.findings[0].observation


def test_an_older_version_of_a_listed_signer_is_refused_whatever_is_said_of_unknown_ones() -> None:
    verdict = judge(enclave(sign("ours", svn=2)), unknown=TrustAnswer.ALLOW)
    assert (verdict.admits, codes(verdict)) == (False, [("DJ371", "error")])
    assert "with SVN 2, expected SVN 3 or higher" in verdict.findings[0].observation


def test_a_listed_measurement_is_admitted_whoever_signed_it_and_however_old_it_is() -> None:
    listed = (TrustMeasurement(name="v1", mr_enclave=EDP.mr_enclave),)
    for each in (sign("ours", svn=2), sign("another")):
        assert judge(enclave(each), measurements=listed) == TrustVerdict(grounds=("measurement v1",))


@pytest.mark.parametrize(
    "places", [{"signers": (OURS,)}, {"measurements": (TrustMeasurement(name="v", mr_enclave=EDP.mr_enclave),)}]
)
@pytest.mark.parametrize("answer", list(TrustAnswer))
def test_a_signature_that_is_not_valid_is_refused_whatever_the_policy_says(places: dict[str, Any], answer: TrustAnswer) -> None:
    answers = {"unknown": answer, "unsigned": answer, "no_enclave": answer}
    verdict = judge(enclave(spoil(sign("ours", svn=4))), **places, **answers)
    assert (verdict.admits, codes(verdict), verdict.grounds) == (False, [("DJ366", "error")], ())


def test_a_sample_key_is_refused_by_its_name_even_where_it_is_listed() -> None:
    listed = (TrustSigner(name="oops", mr_signer=SAMPLE.mr_signer),)
    verdict = judge(enclave(SAMPLE), signers=listed, unknown=TrustAnswer.ALLOW)
    assert not verdict.admits
    (finding,) = (each for each in verdict.findings if each.code == "DJ368")
    assert INTEL_SAMPLE in finding.observation
    assert "intel/linux-sgx" in finding.why


def test_a_sample_key_that_is_an_exception_is_admitted_and_labelled() -> None:
    verdict = judge(enclave(SAMPLE), sample_keys=frozenset({SAMPLE.mr_signer}))
    assert (verdict.admits, verdict.grounds) == (True, (INTEL_SAMPLE,))
    assert [each.code for each in verdict.findings if each.severity is Severity.WARNING] == ["DJ369", "DJ368"][::-1]
    assert INTEL_SAMPLE in verdict.findings[0].observation


def test_an_exception_of_a_key_that_is_no_sample_trusts_nobody() -> None:
    assert not judge(enclave(sign("another")), sample_keys=frozenset({sign("another").mr_signer})).admits


def test_an_enclave_for_debugging_runs_only_where_the_policy_says_here() -> None:
    debug = enclave(sign("ours", svn=3, debug=True))
    verdict = judge(debug)
    assert (verdict.admits, codes(verdict)) == (False, [("DJ369", "error")])
    verdict = judge(debug, debug=DebugRule.HERE)
    assert (verdict.admits, codes(verdict)) == (True, [("DJ369", "warning")])


def test_an_enclave_that_can_be_started_for_debugging_is_warned_of() -> None:
    verdict = judge(enclave(sign("ours", svn=3, masks=False)))
    assert (verdict.admits, codes(verdict)) == (True, [("DJ369", "warning")])
    assert "can be started for debugging" in verdict.findings[0].observation


def test_an_enclave_without_signature_is_refused_unless_it_is_allowed_and_listed() -> None:
    stream, listed = enclave(None, b"m" * 32), (TrustMeasurement(name="v1", mr_enclave=b"m" * 32),)
    assert codes(judge(stream)) == [("DJ367", "error"), ("DJ370", "error")]
    assert not judge(stream, measurements=listed).admits
    assert not judge(stream, unsigned=TrustAnswer.ALLOW).admits
    assert judge(stream, unsigned=TrustAnswer.ALLOW, measurements=listed).admits
    assert not judge(enclave(None), unsigned=TrustAnswer.ALLOW, measurements=listed).admits


def test_a_stream_whose_signature_is_another_file_of_the_image_is_judged_by_that() -> None:
    stream, signature = enclave(None, EDP.mr_enclave), sign("ours", svn=3)
    assert judge(stream, enclave(signature)) == TrustVerdict(grounds=("signer ours",))
    assert {code for code, _ in codes(judge(stream, enclave(spoil(signature))))} == {"DJ366", "DJ367", "DJ370"}
    assert not judge(enclave(None, b"m" * 32), enclave(signature)).admits


def test_an_image_without_an_enclave_is_up_to_the_policy_where_one_is_needed() -> None:
    assert codes(judge()) == [("DJ372", "error")]
    assert codes(judge(unknown=TrustAnswer.WARN)) == [("DJ372", "warning")]
    assert codes(judge(unknown=TrustAnswer.WARN, no_enclave=TrustAnswer.REFUSE)) == [("DJ372", "error")]
    assert judge_enclaves(TRUST, IMAGE, (), needs_enclave=False) == TrustVerdict()


def test_a_file_that_measures_otherwise_than_it_is_signed_is_warned_of() -> None:
    verdict = judge(enclave(sign("ours", svn=3), b"m" * 32))
    assert (verdict.admits, codes(verdict)) == (True, [("DJ305", "warning")])


@pytest.mark.parametrize(
    ("error", "answer", "admits"),
    [
        (Unavailable("DJ330", "it is away"), TrustAnswer.REFUSE, False),
        (Unavailable("DJ330", "it is away"), TrustAnswer.WARN, True),
        (Unavailable("DJ330", "it is away"), TrustAnswer.ALLOW, True),
        (Untrusted("DJ331", "another digest"), TrustAnswer.ALLOW, False),
        (Malformed("DJ332", "a bomb"), TrustAnswer.ALLOW, False),
    ],
)
def test_an_image_that_cannot_be_reached_is_up_to_the_policy_and_a_broken_one_is_not(
    error: DonjonError, answer: TrustAnswer, *, admits: bool
) -> None:
    verdict = judge_unseen(replace(TRUST, unreachable=answer), IMAGE, error)
    assert (verdict.admits, verdict.findings[0].code) == (admits, "DJ373")
    assert f"{error.message} [{error.code}]" in verdict.findings[0].observation


def test_a_policy_that_warns_admits_all_and_says_what_it_would_refuse() -> None:
    verdict = judge(enclave(SAMPLE), mode=TrustMode.WARN)
    assert (verdict.admits, verdict.would_admit) == (True, False)
    assert {each.severity for each in verdict.findings} == {Severity.WARNING}
    assert "EnclavePolicy team/ours refuses it, once it enforces" in verdict.findings[0].sentence()


@pytest.mark.parametrize(
    ("patterns", "image", "covers"),
    [
        ((), "anything", True),
        (("registry.example/team/*",), "registry.example/team/app:1", True),
        (("registry.example/team/*",), "registry.example/team/deep/app@sha256:00", True),
        (("registry.example/team/*",), "registry.example/other/app", False),
        (("registry.example/team/*",), "REGISTRY.example:443/team/app", True),
        (("registry.example/team/app",), "registry.example/team/app:v1@sha256:00", True),
        (("registry.example:5000/*",), "registry.example:5000/app:1", True),
        (("registry.example/*",), "registry.example:5000/app:1", False),
        (("*",), "docker.io/library/app", True),
        (("a", "*/app"), "docker.io/library/app", True),
    ],
)
def test_images_are_covered_by_registry_and_repository(patterns: tuple[str, ...], image: str, *, covers: bool) -> None:
    assert matches(patterns, image) is covers


def test_a_policy_has_no_say_on_an_image_that_it_does_not_cover() -> None:
    trust = replace(TRUST, images=("elsewhere.example/*",))
    assert (
        judge_enclaves(trust, IMAGE, (enclave(SAMPLE),))
        == judge_unseen(trust, IMAGE, Malformed("DJ332", "a bomb"))
        == TrustVerdict()
    )


def test_keys_of_containers_are_those_of_the_images_patterns() -> None:
    first, second = ContainerKey(name="all", key="K"), ContainerKey(name="team", key="K", images=("registry.example/team/*",))
    trust = replace(TRUST, container_keys=(first, second))
    assert trust.keys_for(IMAGE) == (first, second)
    assert trust.keys_for("registry.example/other") == (first,)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"signers": (TrustSigner(name="oops", mr_signer=SAMPLE.mr_signer),)}, "signer oops is Intel SDK's sample key"),
        ({"sample_keys": frozenset({EDP.mr_signer})}, f"sampleKeys has {EDP.mr_signer.hex()}, which is no sample key"),
        ({"signers": ()}, "lists no signer and no measurement"),
        ({"signers": (replace(OURS, product_id=None),)}, "signer ours has minSvn and no productId"),
    ],
)
def test_what_a_policy_hardly_means_is_told(changes: dict[str, Any], words: str) -> None:
    (finding,) = advice(replace(TRUST, **changes))
    assert (finding.code, finding.severity) == ("DJ374", Severity.WARNING)
    assert finding.observation.startswith(words)


def test_a_policy_that_means_what_it_says_has_no_advice() -> None:
    assert advice(TRUST) == advice(replace(TRUST, signers=(), unknown=TrustAnswer.ALLOW)) == ()


# Several policies.

DEV = {"env": "dev"}
EVERYWHERE = EnclavePolicy(name="base", trust=replace(TRUST, name="base", unknown=TrustAnswer.ALLOW))
OF_TEAM = EnclavePolicy(name="ours", namespace="team", trust=TRUST)
OF_DEV = EnclavePolicy(
    name="dev",
    selector=NamespaceSelector(labels=DEV, rules=(LabelRule(key="env", operator=SelectorOperator.NOT_IN, values=("prod",)),)),
    trust=replace(TRUST, name="dev", debug=DebugRule.HERE),
)


def test_a_namespace_has_the_clusters_policies_that_select_it_and_its_own() -> None:
    all_of_them = (OF_TEAM, OF_DEV, EVERYWHERE)
    assert trusts_in(all_of_them, "team", {}) == (EVERYWHERE.trust, OF_TEAM.trust)
    assert trusts_in(all_of_them, "team", DEV) == (EVERYWHERE.trust, OF_DEV.trust, OF_TEAM.trust)
    assert trusts_in(all_of_them, "other", {}) == (EVERYWHERE.trust,)
    assert trusts_in((OF_TEAM, OF_DEV), "other", {}) == ()


def test_a_namespace_cannot_have_debugging_that_the_cluster_forbids() -> None:
    debug = (enclave(sign("ours", svn=3, debug=True)),)
    own = replace(TRUST, debug=DebugRule.HERE)
    assert judge_enclaves(own, IMAGE, debug).admits
    together = judge_all(judge_enclaves(each, IMAGE, debug) for each in (EVERYWHERE.trust, own))
    assert not together.admits
    assert codes(together) == [("DJ369", "error")]
    assert "base refuses it" in together.findings[0].why


def test_what_several_policies_find_is_told_once_by_the_one_that_weighs_most() -> None:
    unlisted = (enclave(sign("another")),)
    together = judge_all(judge_enclaves(each, IMAGE, unlisted) for each in (EVERYWHERE.trust, TRUST))
    assert codes(together) == [("DJ370", "error")]
    assert judge_all(()) == TrustVerdict()


# Whatever is found.

VALID = (sign("ours", svn=3), sign("ours", svn=2), sign("ours", product=2, svn=5), sign("another", svn=9), SAMPLE, EDP)
SIGNATURES = st.sampled_from((*VALID, *map(spoil, VALID), sign("ours", svn=4, debug=True), None))
MEASUREMENTS = st.sampled_from((None, EDP.mr_enclave, b"m" * 32))
FOUND = st.lists(st.builds(enclave, SIGNATURES, MEASUREMENTS), max_size=6)
ANSWERS = st.sampled_from(TrustAnswer)
OF_SAMPLE = TrustMeasurement(name="of a sample key", mr_enclave=SAMPLE.mr_enclave)
TRUSTS = st.builds(
    EnclaveTrust,
    mode=st.sampled_from(TrustMode),
    signers=st.sets(st.sampled_from((OURS, TrustSigner(name="sample", mr_signer=SAMPLE.mr_signer)))).map(tuple),
    measurements=st.sets(st.sampled_from((TrustMeasurement(name="v1", mr_enclave=EDP.mr_enclave), OF_SAMPLE))).map(tuple),
    sample_keys=st.sampled_from((frozenset(), frozenset({SAMPLE.mr_signer}))),
    debug=st.sampled_from(DebugRule),
    unsigned=ANSWERS,
    unknown=ANSWERS,
    no_enclave=st.none() | ANSWERS,
)


@given(found=FOUND, trust=TRUSTS)
@settings(deadline=None)
def test_nothing_that_is_not_valid_or_not_listed_is_ever_admitted_by_a_policy_that_enforces_and_refuses_the_unknown(
    found: list[Enclave], trust: EnclaveTrust
) -> None:
    strict = replace(trust, mode=TrustMode.ENFORCE, unknown=TrustAnswer.REFUSE)
    if not judge_enclaves(strict, IMAGE, found).admits:
        return
    listed = {each.mr_enclave for each in strict.measurements}
    keys = {each.mr_signer for each in strict.signers} | strict.sample_keys
    for each in found:
        if each.sigstruct is None:
            of_signature = {other.sigstruct.mr_enclave for other in found if other.sigstruct is not None}
            assert each.measurement in listed | of_signature
            continue
        assert each.sigstruct in {*VALID, sign("ours", svn=4, debug=True)}
        assert each.sigstruct.mr_signer in keys or each.sigstruct.mr_enclave in listed
        assert each.sigstruct != SAMPLE or SAMPLE.mr_signer in strict.sample_keys
        assert not each.sigstruct.debug or strict.debug is DebugRule.HERE


@given(found=FOUND, trusts=st.lists(TRUSTS, max_size=4), more=TRUSTS)
@settings(deadline=None)
def test_one_more_policy_never_admits_what_the_others_refuse(
    found: list[Enclave], trusts: list[EnclaveTrust], more: EnclaveTrust
) -> None:
    before = judge_all(judge_enclaves(each, IMAGE, found) for each in trusts)
    after = judge_all(judge_enclaves(each, IMAGE, found) for each in (*trusts, more))
    assert after.admits == (before.admits and judge_enclaves(more, IMAGE, found).admits)
    assert not after.would_admit or before.would_admit
    assert after.admits is not any(each.severity is Severity.ERROR for each in after.findings)


def test_an_enclave_that_its_loader_signs_with_a_public_key_is_refused_whatever_its_measurement_is() -> None:
    loaded = replace(enclave(None, EDP.mr_enclave), uses_debug_key=True)
    listed = (TrustMeasurement(name="v1", mr_enclave=EDP.mr_enclave),)
    refusals = [("DJ368", "error"), ("DJ369", "error")]
    assert codes(judge(loaded, measurements=listed, unsigned=TrustAnswer.ALLOW)) == refusals
    assert codes(judge(loaded, enclave(sign("ours", svn=3)))) == refusals  # The same enclave, signed in another file.
    excepted = {"sample_keys": (bytes.fromhex(DEBUG_LOADER),), "debug": DebugRule.HERE}
    assert codes(judge(loaded, **excepted)) == [("DJ368", "warning"), ("DJ369", "warning")]
