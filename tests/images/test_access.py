"""Who calls a registry, by which proof, and where an address is."""

import base64
import json

import pytest

from donjon.errors import Misconfigured
from donjon.formats.json import JsonObject
from donjon.images.access import RegistryLogin
from donjon.images.challenges import RegistryChallenge, parse_challenges
from donjon.images.logins import login_for, parse_logins
from donjon.images.zones import Zone, reachable, zone

PAIR = base64.b64encode(b"me:a:b").decode()
ME = RegistryLogin(user="me", password="a:b")  # noqa: S106 - of nobody.


@pytest.mark.parametrize(
    ("name", "entry", "place", "login"),
    [
        ("registry.example:5000", {"auth": PAIR}, "registry.example:5000", ME),
        ("https://registry.example/v2/", {"username": "me", "password": "a:b"}, "registry.example", ME),
        ("https://index.docker.io/v1/", {"auth": PAIR}, "docker.io", ME),
        ("registry.example/team", {"auth": PAIR, "email": "x"}, "registry.example/team", ME),
        ("registry.example", {"identitytoken": "t"}, "registry.example", RegistryLogin(identity_token="t")),  # noqa: S106 - of nobody.
    ],
)
def test_a_login_is_read_as_docker_and_podman_write_it(name: str, entry: JsonObject, place: str, login: RegistryLogin) -> None:
    text = json.dumps({"auths": {name: entry}, "credsStore": "desktop"}).encode()
    assert parse_logins(text, "config.json") == {place: login}


@pytest.mark.parametrize("text", [b"{}", b'{"auths": {}}', b'{"auths": {"registry.example": {}}}', b'{"credsStore": "desktop"}'])
def test_a_file_may_hold_no_login(text: bytes) -> None:
    assert parse_logins(text, "config.json") == {}


@pytest.mark.parametrize("text", [b"", b"[]", b'{"auths": []}', b'{"auths": {"a": 1}}', b'{"auths": {"a": {"auth": "s3cret!"}}}'])
def test_a_file_of_logins_that_is_none_is_refused_and_not_repeated(text: bytes) -> None:
    with pytest.raises(Misconfigured, match="DJ334") as error:
        parse_logins(text, "config.json")
    assert "s3cret" not in str(error.value)


def test_a_login_is_not_printed() -> None:
    assert "a:b" not in repr(ME)


def test_the_login_of_the_nearest_place_counts() -> None:
    team, whole = RegistryLogin(user="team"), RegistryLogin(user="whole")
    logins = {"registry.example": whole, "registry.example/team": team}
    assert login_for(logins, "registry.example", "team/app") is team
    assert login_for(logins, "registry.example", "teams/app") is whole
    assert login_for(logins, "registry.example:5000", "team/app") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('Bearer realm="https://a/t",service="s"', [RegistryChallenge(bearer=True, realm="https://a/t", service="s")]),
        ("basic realm=x", [RegistryChallenge(bearer=False, realm="x")]),
        (
            'Basic realm="x", Bearer realm="https://a/t"',
            [RegistryChallenge(bearer=True, realm="https://a/t"), RegistryChallenge(bearer=False, realm="x")],
        ),
        ('Bearer realm="a, basic b",service=s', [RegistryChallenge(bearer=True, realm="a, basic b", service="s")]),
        ('Negotiate, Bearer error="x"', []),
    ],
)
def test_a_challenge_says_which_proof_would_do(text: str, expected: list[RegistryChallenge]) -> None:
    assert list(parse_challenges(text)) == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", Zone.MACHINE),
        ("0.0.0.0", Zone.MACHINE),  # noqa: S104 - an address like any other.
        ("::", Zone.MACHINE),
        ("::1", Zone.MACHINE),
        ("::ffff:127.0.0.1", Zone.MACHINE),
        ("169.254.169.254", Zone.LINK),
        ("168.63.129.16", Zone.LINK),
        ("fe80::1%eth0", Zone.LINK),
        ("64:ff9b::a9fe:a9fe", Zone.LINK),
        ("10.1.2.3", Zone.NETWORK),
        ("100.100.100.200", Zone.NETWORK),
        ("224.0.0.1", Zone.NETWORK),
        ("fd00:ec2::254", Zone.NETWORK),
        ("2002:0a00:0001::1", Zone.NETWORK),
        ("::127.0.0.1", Zone.NETWORK),
        ("::ffff:0:127.0.0.1", Zone.NETWORK),
        ("64:ff9b:1::7f00:1", Zone.NETWORK),
        ("192.0.0.192", Zone.NETWORK),
        ("1.1.1.1", Zone.OUTSIDE),
        ("2606:4700::1111", Zone.OUTSIDE),
    ],
)
def test_an_address_is_as_near_as_it_is(address: str, expected: Zone) -> None:
    assert zone(address) is expected


def test_nobody_is_led_nearer_than_the_registry_is() -> None:
    assert reachable([Zone.OUTSIDE]) == {Zone.OUTSIDE}
    assert reachable([Zone.NETWORK]) == {Zone.OUTSIDE, Zone.NETWORK}
    assert reachable([Zone.MACHINE]) == {Zone.OUTSIDE, Zone.MACHINE, Zone.NETWORK}
