"""`donjon policy from-enclave` as a security officer meets it."""

import json
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from tests.cli.calling import call
from tests.enclave.signers import sign
from tests.enclave.trust_documents import HASH, SIGNER, policy
from tests.enclave.vectors import EDP, FOLDER, SAMPLE
from tests.images.made import MadeImage, layer, write_layout
from tests.pages import Terminal

from donjon.admission.manifests.documents import MAX_SIZE
from donjon.enclave.trust_reading import read_policy

DCAP = FOLDER.parent / "dcap-qvl"
OF_QUOTE = (
    "--quote",
    DCAP / "quotes" / "f8b81014b6e4_v3_sgx_00a067110000.bin",
    "--collateral",
    DCAP / "sgx_quote_collateral.json",
)
AT = ("--at", "2025-06-20T00:00:00Z")
QUOTES_SIGNER = "815f42f11cf64430c30bab7816ba596a1da0130c3b028b673133a66cf9a3e0e6"


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    (tmp_path / "ours.sig").write_bytes(sign("ours", product=2, svn=3).raw)
    return tmp_path / "ours.sig"


def test_a_signed_enclave_makes_an_attestation_policy_that_check_takes(ours: Path, tmp_path: Path) -> None:
    done = call("policy", "from-enclave", ours)
    assert (done.returncode, done.stderr) == (0, "")
    assert f'[type=="x-ms-sgx-mrsigner", value=="{sign("ours").mr_signer.hex()}"]' in done.stdout
    assert '&& [type=="x-ms-sgx-product-id", value==2] && [type=="x-ms-sgx-svn", value>=3]' in " ".join(done.stdout.split())
    (tmp_path / "p.policy").write_text(done.stdout)
    assert call("policy", "check", "--strict", tmp_path / "p.policy").returncode == 0


@pytest.mark.parametrize("kind", ["EnclavePolicy", "ClusterEnclavePolicy"])
def test_the_same_enclave_makes_a_policy_for_admission(ours: Path, kind: str) -> None:
    done = call("policy", "from-enclave", ours, "--kind", kind, "--name", "team", "--by", "measurement")
    assert done.returncode == 0
    document = YAML(typ="safe").load(done.stdout)
    assert (document["kind"], document["metadata"]) == (kind, {"name": "team"})
    assert [each.mr_enclave for each in read_policy(document).trust.measurements] == [EDP.mr_enclave]


@pytest.mark.parametrize(("signer", "code"), [(QUOTES_SIGNER, 0), (HASH, 1)])
def test_a_policy_for_admission_decides_on_a_real_quote_as_it_does_on_an_image(signer: str, code: int, tmp_path: Path) -> None:
    admission, attestation = tmp_path / "ours.yaml", tmp_path / "ours.policy"
    admission.write_text(json.dumps(policy("EnclavePolicy", {"signers": [{**SIGNER, "mrSigner": signer}]})))
    done = call("policy", "from-enclave", admission)
    assert done.returncode == 0
    attestation.write_text(done.stdout)
    assert call("policy", "explain", attestation, *OF_QUOTE, *AT).returncode == code


def test_an_image_is_listed_by_the_enclaves_in_its_files(tmp_path: Path) -> None:
    files = {
        "opt/app.sig": sign("ours", product=2, svn=3).raw,
        "opt/beside.sig": sign("another", svn=7).raw,
        "bin/sh": b"#!" * 2000,
    }
    write_layout(tmp_path / "app", MadeImage(layer(files)))
    done = call("policy", "from-enclave", f"oci:{tmp_path / 'app'}", "--kind", "EnclavePolicy")
    assert done.returncode == 0, done.stderr
    signers = read_policy(YAML(typ="safe").load(done.stdout)).trust.signers
    assert {(each.name, each.product_id, each.min_svn) for each in signers} == {("app.sig", 2, 3), ("beside.sig", 1, 7)}
    write_layout(tmp_path / "none", MadeImage(layer({"bin/sh": b"#!" * 2000})))
    done = call("policy", "from-enclave", f"oci:{tmp_path / 'none'}")
    assert (done.returncode, "[DJ300]" in done.stderr) == (2, True)


def test_a_sample_key_makes_no_policy_but_for_development(tmp_path: Path) -> None:
    (tmp_path / "sample.sig").write_bytes(SAMPLE.raw)
    done = call("policy", "from-enclave", tmp_path / "sample.sig")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Intel SDK's sample key" in done.stderr
    assert "[DJ368]" in done.stderr
    done = call("policy", "from-enclave", tmp_path / "sample.sig", "--development", "--kind", "EnclavePolicy")
    assert done.returncode == 0
    assert read_policy(YAML(typ="safe").load(done.stdout)).trust.sample_keys == {SAMPLE.mr_signer}


def test_what_is_no_enclave_and_what_is_no_single_policy_ends_with_2(tmp_path: Path) -> None:
    (tmp_path / "none").write_bytes(b"x" * 4096)
    done = call("policy", "from-enclave", tmp_path / "none")
    assert (done.returncode, "[DJ300]" in done.stderr) == (2, True)
    (tmp_path / "two.yaml").write_text(
        json.dumps({"kind": "List", "items": [policy("EnclavePolicy", {}), policy("EnclavePolicy", {})]})
    )
    done = call("policy", "from-enclave", tmp_path / "two.yaml")
    assert (done.returncode, "2 policies on enclaves: expected one" in done.stderr) == (2, True)
    (tmp_path / "one.yaml").write_text(json.dumps(policy("EnclavePolicy", {"signers": [SIGNER]})))
    for more in (("--kind", "EnclavePolicy"), ("oci:/nowhere",)):
        done = call("policy", "from-enclave", tmp_path / "one.yaml", *more)
        assert (done.returncode, "expected one alone" in done.stderr) == (2, True)
    (tmp_path / "large.yaml").write_text("#" * (MAX_SIZE + 1))
    done = call("policy", "from-enclave", tmp_path / "large.yaml")
    assert (done.returncode, "[DJ931]" in done.stderr) == (2, True)
    (tmp_path / "wrong.yaml").write_text(json.dumps(policy("EnclavePolicy", {"debug": "yes"})))
    done = call("policy", "from-enclave", tmp_path / "wrong.yaml")
    assert (done.returncode, "[DJ365]" in done.stderr) == (2, True)


def test_a_policy_may_come_from_kubectl_by_standard_input(tmp_path: Path) -> None:
    kept = policy("EnclavePolicy", {"signers": [SIGNER], "mode": "enforce"}) | {"status": {"signers": 1, "conditions": []}}
    (tmp_path / "kept").write_text(json.dumps(kept))
    said = Terminal(folder=tmp_path, environment={}, instead={}).run("cat kept | donjon policy from-enclave -")
    assert said.startswith("// What EnclavePolicy default/p lists;")
    assert HASH in said


def test_a_policy_that_lists_nobody_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "nobody.yaml").write_text(json.dumps(policy("EnclavePolicy", {"unknown": "allow"})))
    done = call("policy", "from-enclave", tmp_path / "nobody.yaml")
    assert (done.returncode, "[DJ421]" in done.stderr) == (0, True)
