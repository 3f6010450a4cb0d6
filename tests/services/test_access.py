"""Who may do what, as the settings' file says it."""

import tomllib
from pathlib import Path

import pytest
from tests.adapters.https import SERVING

from donjon.access import tables as access
from donjon.access.roles import OPEN, Proof, ProvenCaller, Role
from donjon.access.tables import AccessSettings
from donjon.adapters import files

INSTANCES = ("team-a", "team-b")
GOOD = """
[oidc.corp]
issuer = "https://login.example/realms/corp"
audience = ["attest", "other"]

[kubernetes]
audience = "https://attest.example"

[[callers]]
oidc = "corp"
subject = "alice"
instances = ["team-a"]
roles = ["policy", "read"]

[[callers]]
oidc = "corp"
claims = { groups = "operators", tenant = "x" }
instances = ["*"]
roles = ["policy", "draft"]

[[callers]]
service-account = "team-b/deployer"
instances = ["team-b"]
roles = ["draft", "attest"]

[[callers]]
certificate = "uri:spiffe://cluster.local/ns/team-a/sa/x"
instances = ["team-a", "team-b"]
roles = ["policy"]
"""


def read(text: str) -> tuple[AccessSettings, list[str]]:
    faults: list[str] = []
    return access.read(
        tomllib.loads(text), dict.fromkeys(INSTANCES, OPEN), lambda path, bound: files.read(Path(path), bound), faults
    ), faults


def oidc(subject: str, source: str = "corp", **claims: object) -> ProvenCaller:
    return ProvenCaller(how=Proof.OIDC, source=source, name=subject, claims=claims)  # type: ignore[arg-type] # They are JSON.


ACCOUNT = ProvenCaller(how=Proof.KUBERNETES, source="", name="team-b/deployer")
CERTIFIED = ProvenCaller(how=Proof.CERTIFICATE, source="", name="uri:spiffe://cluster.local/ns/team-a/sa/x")


@pytest.mark.parametrize(
    ("proven", "allowed"),
    [
        (oidc("alice"), "a:policy a:read"),
        (oidc("bob"), ""),
        (oidc("alice", "other"), ""),
        (oidc("bob", groups=["x", "operators"], tenant="x"), "a:draft a:policy b:draft b:policy"),
        (oidc("bob", groups="operators", tenant=["x"]), "a:draft a:policy b:draft b:policy"),
        (oidc("bob", groups="operators"), ""),
        (oidc("bob", groups="operators of printers", tenant="x"), ""),
        (oidc("bob", groups={"operators": 1}, tenant="x"), ""),
        (ACCOUNT, "b:attest b:draft"),
        (CERTIFIED, "a:policy b:policy"),
        (ProvenCaller(how=Proof.OIDC, source="", name=ACCOUNT.name), ""),
        (ProvenCaller(how=Proof.KUBERNETES, source="", name=CERTIFIED.name), ""),
        *((ProvenCaller(how=Proof.CERTIFICATE, source="", name=name), "") for name in ("alice", "cn:alice", "team-b/deployer")),
        (ProvenCaller(how=Proof.KUBERNETES, source="corp", name="alice"), ""),
    ],
)
def test_a_role_goes_with_what_was_proved_and_with_nothing_that_looks_like_it(proven: ProvenCaller, allowed: str) -> None:
    made, faults = read(GOOD)
    assert faults == []
    found = [f"{name[-1]}:{role}" for name in INSTANCES for role in sorted(Role) if made.access.allows(proven, name, role)]
    assert " ".join(found) == allowed


def test_nothing_configured_means_that_attesting_and_reading_are_open_and_nobody_changes_anything() -> None:
    made, faults = read("")
    assert (faults, made.issuers, made.audience, made.access.grants) == ([], {}, None, ())
    assert {role for role in Role if made.access.is_open("team-a", role)} == {Role.ATTEST, Role.READ} == OPEN


def test_sources_are_read(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(SERVING.authority.pem)
    made, faults = read(f'[oidc.x]\nissuer = "https://x.example"\naudience = "y"\nauthorities = "{tmp_path}/ca.pem"\n')
    trusted = made.issuers["x"]
    assert (faults, trusted.issuer, trusted.audiences) == ([], "https://x.example", ("y",))
    assert trusted.authorities == SERVING.authority.pem.decode()


TAKEN = ("cn", "dns", "uri", "email", "CN", "system", "kubernetes", "certificate", "oidc", "open", "anybody", "anonymous")
CALLER = '[[callers]]\ncertificate = "cn:x"\ninstances = ["team-a"]\nroles = ["policy"]\n'
CORP = '[oidc.corp]\nissuer = "https://login.example"\naudience = "x"\n'
OF_CORP = CORP + '[[callers]]\noidc = "corp"\nsubject = "s"\ninstances = ["*"]\nroles = ["policy"]\n'


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("oidc = 1\n", "oidc: expected at most 32 tables"),
        ('[[oidc]]\nissuer = "https://login.example"\n', "expected a table for each, by its name: [oidc.NAME]"),
        ('[callers.x]\noidc = "corp"\n', "expected a list of them, without names: [[callers]]"),
        (CORP.replace("https", "http"), "oidc.corp.issuer: 'http://login.example', expected"),
        (CORP.replace("login", "me@login"), "oidc.corp.issuer:"),
        (CORP.replace('"x"', '""'), "oidc.corp.audience: '', expected"),
        (CORP.replace('"x"', "[]"), "oidc.corp.audience: [], expected"),
        ('[oidc.corp]\nissuer = "https://login.example"\n', "oidc.corp.audience: None, expected"),
        (CORP + 'jwks = "x"\n', "oidc.corp.jwks: no such setting"),
        (CORP + 'authorities = "/nowhere"\n', "oidc.corp.authorities: /nowhere: expected a file"),
        (CORP + CORP.replace("corp", "again"), "oidc.again: another table has the same issuer"),
        *((CORP.replace("corp", name), f"oidc.{name}: expected another name") for name in TAKEN),
        (CORP.replace("corp", '"cn:x"'), "oidc.cn:x: expected another name"),
        (CORP.replace("corp", '"a b"'), "oidc.a b: expected another name"),
        (CORP.replace("corp", "x" * 64), "x: expected another name, of at most 63 letters"),
        ("[kubernetes]\n", "kubernetes: expected a table with the audience"),
        ('[kubernetes]\naudience = "x"\ntoken = "y"\n', "kubernetes: expected"),
        ("callers = 1\n", "callers: expected at most 1000 tables"),
        ("callers = [1]\n", "callers: expected"),
        (CALLER + 'secret = "x"\n', "callers[1].secret: no such setting"),
        (CALLER + 'oidc = "corp"\n', "callers[1]: expected one of oidc"),
        ('[[callers]]\nsubject = "x"\n', "callers[1]: expected one of oidc"),
        (CALLER + 'subject = "x"\n', "callers[1].subject: only of callers known by oidc"),
        (CALLER.replace("cn:x", "x"), "callers[1].certificate: 'x', expected a name with its kind"),
        (CALLER.replace("cn:x", "ip:x"), "callers[1].certificate: 'ip:x'"),
        (CALLER.replace("cn:x", "cn:"), "callers[1].certificate: 'cn:'"),
        (CALLER.replace("team-a", "team-c"), "callers[1].instances: ['team-c'], expected"),
        (CALLER.replace('["team-a"]', "[]"), "callers[1].instances: [], expected"),
        (CALLER.replace('["team-a"]', '"*"'), "callers[1].instances: '*', expected"),
        (CALLER.replace('["policy"]', "[]"), "callers[1].roles: expected at least one of attest, read, draft, policy"),
        (CALLER.replace("policy", "admin"), "callers[1].roles: ['admin'], expected a list of attest"),
        (OF_CORP.replace('oidc = "corp"', 'oidc = "crop"'), "callers[1].oidc: 'crop', expected the NAME"),
        (OF_CORP.replace('subject = "s"\n', ""), "callers[1]: expected a subject, or claims"),
        (OF_CORP.replace('subject = "s"', "claims = {}"), "callers[1]: expected a subject, or claims"),
        (OF_CORP.replace('subject = "s"', "claims = { groups = 1 }"), "callers[1].claims: expected a table of texts"),
        (OF_CORP.replace('subject = "s"', "subject = 1"), "callers[1].subject: 1, expected a text"),
        (OF_CORP.replace('subject = "s"', 'subject = ""'), "callers[1].subject: '', expected a text"),
        (CALLER.replace('certificate = "cn:x"', 'service-account = "a/b"'), "expected a table [kubernetes]"),
        (CALLER.replace('certificate = "cn:x"', 'service-account = "b"'), "'b', expected NAMESPACE/NAME"),
    ],
)
def test_a_fault_is_told_with_its_place(text: str, fault: str) -> None:
    _, faults = read(text)
    assert [each for each in faults if fault in each], faults


def test_all_faults_are_told_at_once_and_a_caller_with_one_has_no_role() -> None:
    made, faults = read(CALLER.replace("team-a", "x") + CALLER.replace("policy", "x") + "[kubernetes]\n")
    assert (len(faults), made.access.grants) == (3, ())


@pytest.mark.parametrize(
    ("said", "roles", "faults"),
    [
        (["attest", "read"], OPEN, 0),
        (["attest"], {Role.ATTEST}, 0),
        ([], set(), 0),
        (["policy"], set(), 1),
        (["draft"], set(), 1),
        ("attest", set(), 1),
    ],
)
def test_no_more_than_attesting_and_reading_can_be_open(said: object, roles: set[Role], faults: int) -> None:
    told: list[str] = []
    assert (set(access.read_open_roles(said, "instances.x.open", told)), len(told)) == (roles, faults)
