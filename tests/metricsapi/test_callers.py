"""Who asks, by the word of the API server."""

import pytest

from donjon.errors import Malformed, Untrusted
from donjon.formats.json import JsonObject
from donjon.metricsapi.callers import api_user, check_name, front_proxy

DATA: JsonObject = {
    "requestheader-client-ca-file": "PEM",
    "requestheader-allowed-names": '["front-proxy"]',
    "requestheader-username-headers": '["X-Remote-User"]',
    "requestheader-group-headers": '["X-Remote-Group"]',
    "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
    "requestheader-uid-headers": '["X-Remote-Uid"]',
}
PROXY = front_proxy({"data": DATA})


def test_a_user_is_what_the_headers_say_and_one_of_all_users() -> None:
    headers = [
        (b"x-remote-user", b"anna"),
        (b"x-remote-group", b"devs"),
        (b"x-remote-group", b"ops"),
        (b"x-remote-extra-example.org%2fscope", b"a"),
        (b"x-remote-uid", b"7"),
        (b"x-remote-users", b"eve"),
    ]
    assert api_user(PROXY, headers).attributes == {
        "user": "anna",
        "groups": ["devs", "ops", "system:authenticated"],
        "extra": {"example.org/scope": ["a"]},
        "uid": "7",
    }


def test_who_is_nobody_is_not_one_of_all_users() -> None:
    headers = [(b"x-remote-user", b"system:anonymous"), (b"x-remote-group", b"system:unauthenticated")]
    assert api_user(PROXY, headers).groups == ("system:unauthenticated",)


@pytest.mark.parametrize("headers", [[], [(b"x-remote-user", b"")], [(b"x-remote-user", b"a"), (b"x", b"y" * (1 << 16))]])
def test_headers_that_name_nobody_are_refused(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(Untrusted) as error:
        api_user(PROXY, headers)
    assert error.value.code == "DJ721"


def test_a_certificate_of_another_name_is_refused_unless_any_will_do() -> None:
    check_name(PROXY, "front-proxy")
    check_name(front_proxy({"data": DATA | {"requestheader-allowed-names": "[]"}}), "anybody")
    with pytest.raises(Untrusted) as error:
        check_name(PROXY, "kubelet")
    assert error.value.code == "DJ721"


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        DATA | {"requestheader-client-ca-file": " "},
        DATA | {"requestheader-allowed-names": "front-proxy"},
        DATA | {"requestheader-allowed-names": '{"a": 1}'},
        DATA | {"requestheader-group-headers": "[1]"},
    ],
)
def test_an_api_server_that_does_not_say_how_it_shows_itself_is_refused(data: JsonObject | None) -> None:
    with pytest.raises(Malformed) as error:
        front_proxy({"data": data})
    assert error.value.code == "DJ727"
