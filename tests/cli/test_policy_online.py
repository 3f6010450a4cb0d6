"""`donjon policy set`, `show`, `diff`, `reset` and `sign` as a security officer meets them, against the service over TLS."""

import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, update
from tests import pages
from tests.adapters import fakepccs
from tests.adapters.fakepccs import Pccs
from tests.attestation import recordings
from tests.attestation.recordings import text
from tests.cli.calling import call
from tests.cli.online import Here, instances
from tests.pki import certs
from tests.ports import free_port

from donjon.adapters import clock
from donjon.adapters.http.tls import context
from donjon.adapters.storage.database import Database
from donjon.adapters.storage.tables import INSTANCES, POLICIES
from donjon.errors import DonjonError, Malformed, Unavailable, Untrusted
from donjon.formats.json import JsonObject
from donjon.formats.strict_json import Members
from donjon.maa import answers, documents, policies
from donjon.maa.instances import Mode
from donjon.pki.serving import ServingCertificate, issue
from donjon.policy.forms import hash_of
from donjon.signing import jws

PAGE = Path(__file__).parents[2] / "docs" / "policies.md"
SHOWN = 15
POLICY = Path(__file__).parents[2] / "docs" / "examples" / "policies" / "enclave.policy"
HASH = hash_of(POLICY.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    with instances(tmp_path_factory.mktemp("online")) as here:
        yield here


@pytest.fixture
def fresh(here: Here) -> Here:
    """The same, and nobody has set a policy."""
    assert here.policy("reset", "--yes", "--token-file", here.token()).returncode == 0
    return here


def test_a_policy_is_shown_with_its_text_alone_on_standard_output(fresh: Here) -> None:
    done = fresh.policy("show")
    assert (done.returncode, done.stdout) == (0, f"{policies.SGX_DEFAULT}\n")
    hashed = "bROrN897ZfWmWY2V0FLUlu3uwk5xatGnKYHn3zBbSlw"  # as recorded of Microsoft's service
    assert done.stderr == f"SgxEnclave at {fresh.address}/aad: hash {hashed}, unsigned; the instance is of mode AAD\n"


def test_a_policy_is_shown_for_programs(fresh: Here) -> None:
    shown = json.loads(fresh.policy("show", "-o", "json", "--type", "tdxvm", "--api-version", "2025-06-01").stdout)
    assert (shown["type"], shown["mode"], shown["policy"]) == ("TdxVm", "AAD", policies.TDX_DEFAULT)
    assert shown["token"] == policies.unsecured_token(policies.TDX_DEFAULT)


@pytest.mark.parametrize("way", ["certificate", "oidc", "account"])
def test_whoever_may_sets_a_policy_and_reads_it_back(fresh: Here, way: str) -> None:
    account = fresh.folder / "account.jwt"
    account.write_text(fresh.oidc.token(iss="https://kubernetes.default.svc"))
    by = {
        "certificate": ("--certificate", fresh.folder / "officer.pem"),
        "oidc": ("--token-file", fresh.token()),
        "account": ("--token-file", account),
    }[way]
    done = fresh.policy("set", POLICY, "--yes", *by)
    assert done.returncode == 0, done.stderr
    assert '+    [type=="x-ms-sgx-is-debuggable", value==true] => deny();' in done.stdout.splitlines()
    assert done.stdout.splitlines()[-1] == f"SgxEnclave at {fresh.address}/aad: in force is hash {HASH}, unsigned"
    assert fresh.policy("show").stdout == POLICY.read_text(encoding="utf-8")
    same = fresh.policy("diff", POLICY)
    assert (same.returncode, same.stdout) == (0, "")
    again = fresh.policy("set", POLICY, "--yes", *by)
    assert again.stdout.splitlines()[0].endswith("the text is the same already")


def test_a_difference_is_told_line_by_line(fresh: Here) -> None:
    done = fresh.policy("diff", POLICY)
    assert done.returncode == 1
    assert done.stdout.splitlines()[:2] == [f"--- in force, SgxEnclave at {fresh.address}/aad", f"+++ {POLICY}"]


def test_who_may_not_hears_the_services_own_sentence(fresh: Here) -> None:
    nobody, stranger = (
        fresh.policy("set", POLICY, "--yes"),
        fresh.policy("set", POLICY, "--yes", "--token-file", fresh.token("mallory")),
    )
    assert (nobody.returncode, stranger.returncode) == (1, 1)
    assert "Unauthorized: no credentials" in nobody.stderr
    assert "--token-file or --certificate [DJ550] (donjon explain DJ550)" in nobody.stderr
    assert "Forbidden: " in stranger.stderr
    assert "say who you are" not in stranger.stderr
    assert stranger.stderr.endswith("(donjon explain DJ552)\n")


def test_a_faulty_policy_is_refused_before_anybody_is_asked(tmp_path: Path) -> None:
    (tmp_path / "wrong.policy").write_text("version=1.0;\nauthorizationrules\n{\n=> permit(;\n};")
    done = call("policy", "set", tmp_path / "wrong.policy", "--yes", "--server", "https://127.0.0.1:1")
    assert done.returncode == 2
    assert done.stderr.startswith(f"{tmp_path / 'wrong.policy'}:4:11: ")


def test_who_changes_without_asking_is_warned_all_the_same_and_a_pipeline_can_stop_at_that(fresh: Here) -> None:
    misspelt = fresh.folder / "misspelt.policy"
    misspelt.write_text(POLICY.read_text(encoding="utf-8").replace("x-ms-sgx-is-debuggable", "x-ms-sgx-is-debugable"))
    by = ("--yes", "--token-file", fresh.token())
    strict = fresh.policy("set", misspelt, "--strict", *by)
    assert strict.returncode == 1
    assert "[DJ425]" in strict.stderr
    assert strict.stderr.endswith("nothing was changed: the policy has warnings (--strict)\n")
    assert fresh.policy("show").stdout == f"{policies.SGX_DEFAULT}\n"
    loose = fresh.policy("set", misspelt, *by)
    assert loose.returncode == 0, loose.stderr
    assert "[DJ425]" in loose.stderr
    assert fresh.policy("set", POLICY, "--strict", *by).returncode == 0


def test_a_policy_of_a_trust_domain_is_not_set_for_enclaves_unseen(fresh: Here) -> None:
    (fresh.folder / "td.policy").write_text(
        f'version=1.2; authorizationrules {{ [type=="tdx_mrtd", value=="{"0" * 96}"] => permit(); }};'
    )
    strict = fresh.policy("set", fresh.folder / "td.policy", "--strict", "--yes", "--token-file", fresh.token())
    assert strict.returncode == 1
    assert "which no SgxEnclave has" in strict.stderr
    assert "did you mean --type TdxVm?" in strict.stderr
    td = ("--type", "TdxVm", "--yes", "--token-file", fresh.token())
    assert fresh.policy("set", fresh.folder / "td.policy", "--strict", *td).returncode == 0
    assert fresh.policy("reset", *td).returncode == 0


def test_nothing_is_changed_where_nobody_can_be_asked(fresh: Here) -> None:
    done = fresh.policy("set", POLICY, "--token-file", fresh.token())
    assert done.returncode == 2
    assert "say --yes" in done.stderr
    assert fresh.policy("show").stdout == f"{policies.SGX_DEFAULT}\n"


@pytest.mark.parametrize(("answer", "code"), [("n", 1), ("y", 0)])
def test_a_person_is_asked_whether_it_is_meant(fresh: Here, answer: str, code: int) -> None:
    command = (sys.executable, "-m", "donjon", "policy", "set", str(POLICY), "--token-file", str(fresh.token()))
    ours, theirs = pty.openpty()
    environment = {**os.environ, "DONJON_ATTESTATION": f"{fresh.address}/aad"}
    try:
        os.write(ours, f"{answer}\n".encode())
        trust = "--authority", str(fresh.folder / "authority.pem")
        done = subprocess.run(
            (*command, *trust), stdin=theirs, capture_output=True, text=True, env=environment, timeout=60, check=False
        )
    finally:
        os.close(theirs)
        os.close(ours)
    assert (done.returncode, "set this policy? [y/N]" in done.stderr) == (code, True), done.stderr
    assert fresh.policy("diff", POLICY).returncode == code


def test_a_reset_shows_what_comes_back_and_that_a_former_policy_can_be_had_instead(fresh: Here) -> None:
    bearer = ("--yes", "--token-file", fresh.token())
    already = fresh.policy("reset", *bearer)
    assert already.stdout.splitlines()[0].endswith("the default policy is in force already")
    assert fresh.policy("set", POLICY, *bearer).returncode == 0
    done = fresh.policy("reset", *bearer)
    assert f"+{policies.SGX_DEFAULT}" in done.stdout.splitlines()
    assert '-    [type=="x-ms-sgx-is-debuggable", value==true] => deny();' in done.stdout.splitlines()
    assert "the default policy permits whatever the operator's gate lets in" in done.stderr
    assert "donjon audit policy HASH" in done.stderr


def kept(here: Here, token: str) -> None:
    """As if that had been set while the instance was of another mode."""
    database = Database(f"sqlite:///{here.folder}/attestation.db")
    with database.changing() as connection:
        connection.execute(delete(POLICIES).where(POLICIES.c.instance == "iso"))
        connection.execute(insert(POLICIES).values(instance="iso", kind="SgxEnclave", token=token))
        connection.execute(update(INSTANCES).values(generation=INSTANCES.c.generation + 1))
    database.close()


@pytest.mark.parametrize("words", [("set", POLICY), ("reset",)], ids=["set", "reset"])
def test_a_policy_that_cannot_be_applied_any_more_is_replaced(here: Here, words: tuple[str | Path, ...]) -> None:
    by = "--yes", "--token-file", here.token(), "--signing-key", here.folder / "owner.pem"
    assert here.policy("set", POLICY, *by, instance="iso").returncode == 0
    kept(here, policies.unsecured_token(policies.TDX_DEFAULT))
    shown = here.policy("show", instance="iso")
    assert (shown.returncode != 0, "[DJ531]" in shown.stderr) == (True, True)
    done = here.policy(*words, *by, instance="iso")
    assert done.returncode == 0, done.stderr
    assert "what is in force cannot be shown, so nothing is compared" in done.stderr
    assert here.policy("show", instance="iso").returncode == 0


def test_an_isolated_instance_takes_what_its_owner_signs(here: Here) -> None:
    bearer, pair = ("--token-file", here.token()), ("--signing-key", here.folder / "owner.pem")
    unsigned = here.policy("set", POLICY, "--yes", *bearer, instance="iso")
    assert unsigned.returncode == 1
    assert "InvalidOperation: policy token: unsigned, and this instance takes none but signed ones [DJ442]" in unsigned.stderr
    done = here.policy("set", POLICY, "--yes", *bearer, *pair, instance="iso")
    assert done.returncode == 0, done.stderr
    assert f"hash {HASH}, signed by " in done.stdout
    assert "the instance is of mode Isolated" in here.policy("show", instance="iso").stderr
    assert here.policy("reset", "--yes", *bearer, *pair, instance="iso").returncode == 0
    assert here.policy("show", instance="iso").stdout == f"{policies.SGX_DEFAULT}\n"


def test_a_policy_that_was_signed_elsewhere_is_sent_as_it_is(here: Here) -> None:
    halves = "--signing-key", here.folder / "owner.key", "--signing-certificate", here.folder / "owner.crt"
    signed = here.policy("sign", POLICY, *halves)
    token = jws.parse(signed.stdout.strip(), "token")
    signer = jws.prove(token)
    assert (signed.returncode, token.algorithm, signer is not None) == (0, "RS256", True)
    (here.folder / "signed.jwt").write_text(signed.stdout)
    (here.folder / "signed.json").write_text(json.dumps({"token": signed.stdout.strip()}))
    for name in ("signed.json", "signed.jwt"):
        done = here.policy("set", here.folder / name, "--yes", "--token-file", here.token(), instance="iso")
        assert done.returncode == 0, done.stderr
    shown = json.loads(here.policy("show", "-o", "json", instance="iso").stdout)
    assert (shown["token"], shown["hash"]) == (signed.stdout.strip(), HASH)


def test_a_service_that_cannot_be_had_is_told_with_what_to_do(here: Here) -> None:
    (here.folder / "empty.pem").write_text("")
    trust = "--authority", here.folder / "authority.pem"
    nowhere = call("policy", "show", "--server", f"https://127.0.0.1:{free_port()}", *trust)
    stranger = call("policy", "show", "--server", here.address)
    plain, unreadable = (
        call("policy", "show", "--server", "http://127.0.0.1:1"),
        here.policy("show", "--certificate", here.folder / "empty.pem"),
    )
    misleading = call("policy", "show", "--server", "https://connect-mismatch.invalid", *trust)
    assert [each.returncode for each in (nowhere, stranger, plain, unreadable)] == [3, 3, 2, 2]
    assert "there is no such host" in " ".join(misleading.stderr.split())
    assert "nothing listens there" in nowhere.stderr
    assert "say so with --authority FILE [DJ580]" in stranger.stderr
    assert "expected https://HOST" in plain.stderr
    assert "expected a certificate and its key, without a password, in PEM [DJ592]" in unreadable.stderr


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("ended.pem", "ended.pem, which ended 2020-01-02T00:00:00Z: have a new one issued, or compare the clocks [DJ580]"),
        ("server.pem", "it is not for clients (extendedKeyUsage clientAuth); have one issued that is [DJ580]"),
        ("double.pem", "another authority of the same name has signed it; "),
        ("stranger.pem", "none of the authorities that it knows (client-ca) has signed it; show another one [DJ580]"),
    ],
)
def test_a_client_certificate_that_the_service_refuses_is_told_as_ones_own(here: Here, file: str, words: str) -> None:
    done = here.policy("show", "--certificate", here.folder / file)
    assert (done.returncode, done.stdout) == (3, "")
    assert f"the service refuses {here.folder / file}, which " in done.stderr
    assert words in done.stderr


@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        (certs.made(lifetime=certs.DAY), "its certificate is not valid now"),
        (certs.made(clock.moment() + 9 * certs.DAY), "its certificate is not valid now"),
        (issue(("other.example",), certs.fresh(), clock.moment(), certs.DAY), "its certificate is for other names"),
    ],
    ids=["ended", "not begun", "another name"],
)
def test_a_certificate_that_no_authority_helps_is_told_as_what_it_is(
    certificate: ServingCertificate, words: str, tmp_path: Path
) -> None:
    (tmp_path / "authority.pem").write_bytes(certificate.authority.pem)
    with fakepccs.serving(Pccs({}), context(certificate.certificate, certificate.key)) as server:
        done = call("policy", "show", "--server", server.address, "--authority", tmp_path / "authority.pem")
    assert done.returncode == 3
    assert words in " ".join(done.stderr.split())
    assert "--authority" not in done.stderr


def test_an_answer_of_another_issuer_or_time_is_not_believed() -> None:
    moment = clock.moment()
    now = int(moment.timestamp())
    good: JsonObject = {"iss": "https://a.example", "nbf": now, "exp": now + 60, "x-ms-policy-result": "Updated"}
    answers.check(good, "https://a.example", moment)
    for name, other in (("iss", "https://b.example"), ("exp", now - 3600), ("nbf", now + 3600)):
        with pytest.raises(Untrusted, match="DJ581"):
            answers.check({**good, name: other}, "https://a.example", moment)
    with pytest.raises(Malformed, match="DJ211"):
        answers.check({**good, "exp": 1 << 40}, "https://a.example", moment)
    with pytest.raises(Malformed, match="DJ440"):
        documents.read("e30.\ud800.")
    with pytest.raises(Untrusted, match="DJ583"):
        answers.check_change(Members("answer", good), "another token")
    with pytest.raises(Untrusted, match="DJ583"):
        answers.check_reset(Members("answer", good))


@pytest.mark.parametrize(
    ("status", "body", "family", "code"),
    [
        (400, b'{"error":{"code":"InvalidOperation","message":"no [DJ442]"}}', Untrusted, "DJ442"),
        (404, b"<html>", Untrusted, "DJ582"),
        (429, b'{"error":{"code":"TooManyRequests","message":"later"}}', Unavailable, "DJ582"),
        (503, b"", Unavailable, "DJ582"),
        (302, b"", Unavailable, "DJ582"),
    ],
)
def test_a_refusal_is_the_services_own_words(status: int, body: bytes, family: type[DonjonError], code: str) -> None:
    error = answers.refusal(status, body, "https://attest.example")
    assert (type(error), error.code) == (family, code)


def test_what_microsofts_service_answered_is_read() -> None:
    """Recorded: policies shown, set and reset, and the certificates of an instance."""
    seen = set()
    for each in recordings.exchanges():
        if not each.path.startswith("/policies/") and (each.method, each.path) != ("GET", "/certificates"):
            continue
        issued = each.payload["iat"]
        assert isinstance(issued, int)
        answer = answers.check(each.payload, text(each.payload["iss"]), datetime.fromtimestamp(issued, UTC))
        match each.method, each.path.partition(":")[2]:
            case "PUT", _:
                answers.check_change(answer, each.body)
            case "POST", "reset":
                answers.check_reset(answer)
            case _ if each.path == "/certificates":
                assert answers.mode(answer) is Mode.AAD
            case _:
                document = documents.read(answer.text("x-ms-policy"))
                assert (document.signature, document.text.startswith("version")) == ("unsigned", True), each.name
        seen.add((each.method, each.path))
    assert {method for method, _ in seen} == {"GET", "PUT", "POST"}


def test_every_command_that_the_page_shows_is_run_as_it_stands(
    fresh: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for the address, its authority, the owner, whom the instance has already, and that nobody is there to be asked."""
    lines = pages.shown("policies.md", __file__)
    assert len(lines) == SHOWN
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").symlink_to(PAGE.parent)
    for name in ("owner.key", "owner.crt"):
        shutil.copy(fresh.folder / name, tmp_path)
    (tmp_path / "token").write_text(fresh.token().read_text())
    for line in lines:
        command, _, target = line.partition(" > ")
        words = command.split()
        if words[0] == "openssl" and "owner.key" not in words:
            subprocess.run(words, check=True, capture_output=True)
        elif words[0] == "donjon":
            instance = "iso" if "signers" in words or "--signing-key" in words or "signed.jwt" in words else "aad"
            done = fresh.policy(*words[2:], *(["--yes"] if {*words} & {"set", "add", "remove"} else []), instance=instance)
            assert done.returncode == (1 if words[2] == "diff" else 0), done.stderr
            if target:
                (tmp_path / target).write_text(done.stdout)
    assert "signed by" in fresh.policy("show", instance="iso").stderr
    assert fresh.policy("signers", "show", instance="iso").stdout.count("\n") == len(("owner", "next"))
