"""Microsoft's Java client, sync and async, and its JavaScript client, unmodified, over TLS: every call of theirs but Tpm's.

The quote, the moment and the gate are those of `test_azure_client`. Each client checks signatures and issuers itself.
"""

import base64
import hashlib
import json
from collections.abc import Iterator

import pytest
from tests.conformance.foreign import FORMS, POLICY, Lines, java, javascript, story
from tests.conformance.test_azure_client import GATE, JSON_DATA, QUOTE, REPORT
from tests.services.attesting import REAL_HOST, Service, instance, isolated, real

from donjon.maa import policies

EVIDENCE = {"sgx": QUOTE, "openEnclave": REPORT}
KINDS = ("SgxEnclave", "OpenEnclave")
HELD = base64.b64encode(JSON_DATA).decode()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    with real(folder, instance(folder, "aad", gate=GATE) + isolated(folder, gate=GATE)) as running:
        yield running


INSTANCES = ("aad", "iso")


@pytest.fixture(scope="module")
def by_java(service: Service, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Lines]:
    """What the Java client says in each of its forms of each instance."""
    told = {(form, name): {**story(service, name, EVIDENCE, JSON_DATA), "form": form} for name in INSTANCES for form in FORMS}
    said = java(list(told.values()), service, tmp_path_factory.mktemp("java"))
    return dict(zip(told, said, strict=True))


@pytest.fixture(scope="module", params=INSTANCES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=["java sync", "java async", "javascript"])
def said(request: pytest.FixtureRequest, service: Service, name: str, tmp_path_factory: pytest.TempPathFactory) -> Lines:
    """What that client says of that instance."""
    if request.param == "javascript":
        return javascript(story(service, name, EVIDENCE, JSON_DATA), service, tmp_path_factory.mktemp("client"))
    found: dict[tuple[str, str], Lines] = request.getfixturevalue("by_java")
    return found[request.param.partition(" ")[2], name]


def test_metadata_and_signers(said: Lines, name: str) -> None:
    assert said["metadata"] == {"issuer": f"{REAL_HOST}/{name}"}
    assert said["signers"] == {"count": 1}


@pytest.mark.parametrize("kind", KINDS)
def test_attest(said: Lines, name: str, kind: str) -> None:
    """Data as bytes and as JSON, none, and by a policy of the caller's own."""
    for step, held, claims in (
        ("binary", HELD, None),
        ("json", None, json.loads(JSON_DATA)),
        ("bare", None, None),
    ):
        found = said[f"attest {kind} {step}"]
        assert (found.get("error"), found["issuer"]) == (None, f"{REAL_HOST}/{name}"), step
        assert (found["held"] or None, found["claims"]) == (held, claims), step
        assert found["enclave"] == QUOTE[112:144].hex()
    draft = said[f"attest {kind} draft"]
    assert (draft.get("error"), draft["held"]) == (None, HELD)


@pytest.mark.parametrize("kind", KINDS)
def test_refusals_are_read_with_their_status_and_our_code(said: Lines, kind: str) -> None:
    for step, words in (("denied", "A Deny claim was issued"), ("other", "DJ430")):
        found = said[f"attest {kind} {step}"]
        assert found["status"] == 400
        assert words in found["error"]


@pytest.mark.parametrize("kind", [*KINDS, "Tpm"])
def test_policies_are_read_set_and_reset(said: Lines, name: str, kind: str) -> None:
    before = policies.NOTHING_PERMITTED if kind == "Tpm" else policies.SGX_DEFAULT
    assert said[f"policy {kind} before"] == {"policy": before}
    changed = said[f"policy {kind} set"]
    assert (changed.get("error"), changed["resolution"]) == (None, "Updated")
    assert changed["signers"] == (name == "iso")
    assert len(base64.b64decode(changed["hash"])) == hashlib.sha256().digest_size
    assert said[f"policy {kind} after"] == {"policy": POLICY}
    reset = said[f"policy {kind} reset"]
    assert (reset.get("error"), reset["resolution"]) == (None, "Removed")


def test_policy_management_certificates(said: Lines, name: str) -> None:
    if name == "aad":
        assert "certificates before" not in said
        return
    assert said["certificates before"] == {"count": 1}
    assert said["certificates add"] == {"resolution": "IsPresent"}
    assert said["certificates after"] == {"count": 2}
    assert said["certificates remove"] == {"resolution": "IsAbsent"}
