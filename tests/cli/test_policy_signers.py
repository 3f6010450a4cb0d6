"""`donjon policy signers`: the rotation of an owner's certificate, as an owner meets it."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.cli.calling import call
from tests.cli.online import Here, instances
from tests.maa import attackers
from tests.services.attesting import owner

from donjon.adapters import clock
from donjon.adapters.keys import signing
from donjon.errors import Malformed, Untrusted
from donjon.formats.json import JsonObject
from donjon.formats.strict_json import Members
from donjon.maa import answers, certificates
from donjon.maa.requests import Change
from donjon.pki import pem
from donjon.signing import jws, signer_certificate
from donjon.signing.signer import Algorithm
from donjon.signing.signer_certificate import SignerCertificate

OLDEST = ("--api-version", "2020-10-01")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    with instances(tmp_path_factory.mktemp("signers")) as here:
        for name, content in zip(("heir.key", "heir.crt"), owner("heir"), strict=True):
            (here.folder / name).write_text(content)
        (here.folder / "heir.pem").write_text("".join(owner("heir")))
        yield here


def thumbprint(name: str) -> str:
    return of(owner(name)[1].encode()).thumbprint()


def of(text: bytes) -> SignerCertificate:
    return signer_certificate.parse(*pem.parse(text, 1))


def signers(here: Here) -> list[str]:
    """The thumbprints of those that count."""
    return [line.split()[0] for line in here.policy("signers", "show", instance="iso").stdout.splitlines()]


@pytest.mark.parametrize("version", [(), OLDEST], ids=["newest", "oldest"])
def test_an_owner_hands_over_to_an_heir_and_back(here: Here, version: tuple[str, ...]) -> None:
    folder = here.folder
    bearer: tuple[str | Path, ...] = ("--yes", "--token-file", here.token(), *version)
    added = here.policy("signers", "add", folder / "heir.crt", *bearer, "--signing-key", folder / "owner.pem", instance="iso")
    assert added.returncode == 0, added.stderr
    assert added.stdout.startswith(f"+ {thumbprint('heir')}  good from ")
    assert signers(here) == [thumbprint("owner"), thumbprint("heir")]
    again = here.policy("signers", "add", folder / "heir.crt", *bearer, "--signing-key", folder / "owner.pem", instance="iso")
    assert (again.returncode, "that is so already" in again.stdout) == (0, True)
    removed = here.policy(
        "signers", "remove", folder / "owner.crt", *bearer, "--signing-key", folder / "heir.pem", instance="iso"
    )
    assert removed.returncode == 0, removed.stderr
    assert removed.stdout.startswith(f"- {thumbprint('owner')}  good from ")
    assert signers(here) == [thumbprint("heir")]
    last = here.policy("signers", "remove", folder / "heir.crt", *bearer, "--signing-key", folder / "heir.pem", instance="iso")
    assert (last.returncode, "[DJ447]" in last.stderr) == (1, True)
    for verb, name, by in (("add", "owner", "heir"), ("remove", "heir", "owner")):
        halves = "--signing-key", folder / f"{by}.key", "--signing-certificate", folder / f"{by}.crt"
        (folder / "change.jwt").write_text(here.policy("signers", "sign", folder / f"{name}.crt", *halves).stdout)
        done = here.policy("signers", verb, folder / "change.jwt", *bearer, instance="iso")
        assert done.returncode == 0, done.stderr
    assert signers(here) == [thumbprint("owner")]


def test_a_lost_certificate_is_had_from_the_instance(here: Here) -> None:
    shown = json.loads(here.policy("signers", "show", "-o", "json", instance="iso").stdout)
    (entry,) = shown["certificates"]
    assert (shown["mode"], entry["thumbprint"], entry["pem"]) == ("Isolated", thumbprint("owner"), owner()[1])


def test_a_signer_that_has_ended_or_soon_will_is_marked_and_one_that_has_ended_is_not_added(here: Here) -> None:
    now, by = clock.moment(), ("--yes", "--token-file", here.token(), "--signing-key", here.folder / "owner.pem")
    for name, ends in (("ended", -timedelta(days=1)), ("ending", timedelta(days=9, hours=1))):
        begins = now - timedelta(days=30)
        der = signing.self_signed(attackers.key(name, Algorithm.ES256), f"https://{name}.example", begins, now + ends - begins)
        (here.folder / f"{name}.crt").write_bytes(pem.encode((der,)))
    refused = here.policy("signers", "add", here.folder / "ended.crt", *by, instance="iso")
    assert (refused.returncode, "(ENDED): " in refused.stdout, "[DJ447]" in refused.stderr) == (1, True, True)
    assert "which ended" in refused.stderr
    added = here.policy("signers", "add", here.folder / "ending.crt", *by, instance="iso")
    assert (added.returncode, "(ends in 9 days): " in added.stdout) == (0, True), added.stderr
    assert here.policy("signers", "remove", here.folder / "ending.crt", *by, instance="iso").returncode == 0


def test_an_instance_of_mode_aad_has_no_signers(here: Here) -> None:
    none = here.policy("signers", "show")
    assert (none.returncode, "mode AAD, where policies need no signature" in none.stdout) == (0, True)
    halves = "--signing-key", here.folder / "owner.pem"
    refused = here.policy("signers", "add", here.folder / "heir.crt", "--yes", "--token-file", here.token(), *halves)
    assert (refused.returncode, "[DJ447]" in refused.stderr) == (1, True)


def test_a_stranger_hears_the_services_own_sentence(here: Here) -> None:
    halves = "--signing-key", here.folder / "heir.pem"
    for caller, code in (((), "[DJ550]"), (("--token-file", here.token()), "[DJ445]")):
        refused = here.policy("signers", "add", here.folder / "heir.crt", "--yes", *caller, *halves, instance="iso")
        assert (refused.returncode, code in refused.stderr) == (1, True), refused.stderr
    assert signers(here) == [thumbprint("owner")]


def test_nothing_is_changed_where_nobody_can_be_asked_or_nobody_signs(here: Here) -> None:
    bearer, halves = ("--token-file", here.token()), ("--signing-key", here.folder / "owner.pem")
    unasked = here.policy("signers", "add", here.folder / "heir.crt", *bearer, *halves, instance="iso")
    assert (unasked.returncode, "say --yes" in unasked.stderr) == (2, True)
    unsigned = here.policy("signers", "add", here.folder / "heir.crt", "--yes", *bearer, instance="iso")
    assert (unsigned.returncode, "say --signing-key" in unsigned.stderr) == (2, True)
    assert call("policy", "signers", "sign", here.folder / "heir.crt").returncode == unsigned.returncode
    alone = call("policy", "signers", "sign", here.folder / "heir.crt", "--signing-key", here.folder / "owner.key")
    assert alone.stderr.startswith(
        f"donjon: signing key: {here.folder / 'owner.key'}: 1 private keys and 0 certificates, expected"
    )
    assert "--signing-certificate [DJ540]" in alone.stderr
    assert signers(here) == [thumbprint("owner")]


@pytest.mark.parametrize(
    ("content", "code"),
    [("".join(owner("heir")), "DJ204"), (owner()[1] * 2, "DJ204"), ("hello", "DJ440"), (attackers.token(), "DJ446")],
    ids=["a key beside it", "two", "neither", "a policy"],
)
def test_what_is_neither_certificate_nor_token_is_refused_before_anybody_is_called(
    tmp_path: Path, content: str, code: str
) -> None:
    (tmp_path / "owner.pem").write_text("".join(owner()))
    (tmp_path / "wrong").write_text(content)
    words = "signers", "add", tmp_path / "wrong", "--yes", "--signing-key", tmp_path / "owner.pem"
    done = call("policy", *words, "--server", "https://127.0.0.1:1")
    assert (done.returncode, f"[{code}]" in done.stderr) == (2, True), done.stderr


def test_both_names_of_the_member_are_read_and_one_of_them_alone() -> None:
    """Microsoft's clients and the pages of its command lines name it differently."""
    heir = attackers.signer("heir")
    entry: JsonObject = {"kty": "RSA", "x5c": [*attackers.x5c(heir.der)]}
    for name in (certificates.BODY, certificates.DOCUMENTED):
        made = attackers.token(json.dumps({name: entry}).encode())
        assert certificates.change(made, attackers.isolated(), attackers.NOW).certificate == heir
    both = attackers.token(json.dumps({certificates.BODY: entry, certificates.DOCUMENTED: entry}).encode())
    with pytest.raises(Malformed, match="DJ446"):
        certificates.in_token(jws.parse(both, "token"))


def test_an_answer_about_another_certificate_or_change_is_not_believed() -> None:
    heir = attackers.signer("heir", Algorithm.ES256)
    good: JsonObject = {"x-ms-certificate-thumbprint": heir.thumbprint(), "x-ms-policycertificates-result": "IsPresent"}
    answers.check_certificate_change(Members("answer", good), heir, Change.ADD)
    for name, other in (("x-ms-certificate-thumbprint", "00"), ("x-ms-policycertificates-result", "IsAbsent")):
        with pytest.raises(Untrusted, match="DJ590"):
            answers.check_certificate_change(Members("answer", {**good, name: other}), heir, Change.ADD)
    with pytest.raises(Untrusted, match="DJ590"):
        answers.check_certificate_change(Members("answer", good), heir, Change.REMOVE)
