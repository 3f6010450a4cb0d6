"""Registries that stall, lie, or send the caller where it should not go: each is one thing wrong with an honest one."""

import base64
import json
from collections.abc import Iterator
from itertools import repeat
from urllib.parse import SplitResult, parse_qs, urlsplit

import pytest
from testbed import clock
from tests.adapters.fakeregistry import Answer, FakeRegistry, Question, answer, fake_registry, redirect
from tests.images.made import MadeImage, digest, layer

from donjon.adapters.images.calls import RegistryCalls
from donjon.adapters.images.images import Images
from donjon.errors import DonjonError, Unavailable, Untrusted
from donjon.images.access import RegistryAccess, RegistryLogin
from donjon.images.references import parse_reference

FILES = {"a": b"content"}
IMAGE = MadeImage(layer(FILES))
LAYER = str(json.loads(IMAGE.manifest)["layers"][0]["digest"])
LOGIN = RegistryLogin(user="me", password="word")  # noqa: S106 - of nobody.
IN_TIME = 5.0  # seconds, for what has one


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with fake_registry() as running:
        running.add(IMAGE)
        yield running


@pytest.fixture
def elsewhere() -> Iterator[FakeRegistry]:
    with fake_registry() as running:
        running.add(IMAGE)
        yield running


def read(registry: FakeRegistry, name: str = "app:1", *, login: RegistryLogin | None = None) -> dict[str, bytes]:
    logins = {} if login is None else {registry.host: login}
    access = RegistryAccess(logins=logins, plain_http=frozenset({registry.host}), seconds=0.5, patience=1.5)
    images = Images(access)
    image = images.resolve(parse_reference(f"{registry.host}/{name}"))
    return {file.path: file.content for file in images.files(image, lambda _path, _size: True)}


def refuses(registry: FakeRegistry, kind: type[DonjonError], words: str, name: str = "app:1") -> None:
    start = clock.now()
    with pytest.raises(kind, match=words):
        read(registry, name)
    assert clock.now() - start < IN_TIME


def without_end(piece: bytes, every: float = 0.0) -> Iterator[bytes]:
    for each in repeat(piece):
        clock.pause(every)
        yield each


def slowly(content: bytes) -> Iterator[bytes]:
    for place in range(len(content)):
        clock.pause(0.2)
        yield content[place : place + 1]


def for_blob(question: Question) -> bool:
    return question.path.endswith(LAYER)


def test_a_registry_without_anything_wrong_is_read(registry: FakeRegistry) -> None:
    """Accepted: the world in which each of the others changes one thing."""
    assert read(registry) == FILES


def test_a_registry_that_says_nothing_is_left(registry: FakeRegistry) -> None:
    """The connection stands, and no answer comes. Refused within the time of a silence."""
    registry.judge = lambda _: Answer(pieces=lambda: without_end(b"", 0.1))
    refuses(registry, Unavailable, "DJ330")


def test_a_registry_that_trickles_is_left(registry: FakeRegistry) -> None:
    """A byte of the layer every fifth of a second, for ever. Refused within the time of the whole."""
    body = Answer(headers={"Content-Length": str(len(IMAGE.blobs[LAYER]))}, pieces=lambda: slowly(IMAGE.blobs[LAYER]))
    registry.judge = lambda question: body if for_blob(question) else None
    refuses(registry, Unavailable, r"not read within 1.5 s.*DJ330")


def test_a_head_that_trickles_is_left(registry: FakeRegistry) -> None:
    """The same in the answer's head, which no reader of the body sees. Refused by closing the connection."""

    def trickle(question: Question) -> Answer | None:
        if not for_blob(question):
            return None
        return Answer(100, {}, lambda: without_end(b"HTTP/1.1 100 Continue\r\n\r\n", 0.2))

    registry.judge = trickle
    refuses(registry, Unavailable, "DJ330")


def test_a_document_without_end_is_left(registry: FakeRegistry) -> None:
    """A manifest of spaces, for ever. Refused at 4 MiB."""
    registry.judge = lambda _: Answer(headers={"Content-Type": "application/json"}, pieces=lambda: without_end(b" " * 65536))
    refuses(registry, Unavailable, "more than 4194304 bytes.*DJ330")


def test_a_layer_that_is_longer_than_said_is_left(registry: FakeRegistry) -> None:
    """A layer for ever. Refused at the length that its manifest says."""
    registry.judge = lambda question: Answer(pieces=lambda: without_end(b"\x1f\x8b" * 999)) if for_blob(question) else None
    with pytest.raises(DonjonError, match=r"DJ32[35]"):
        read(registry)


def test_another_layer_is_refused(registry: FakeRegistry) -> None:
    """An honest layer under another's digest. Refused at its end."""
    other = MadeImage(layer({"a": b"CONTENT"}))
    registry.blobs[LAYER] = other.blobs[str(json.loads(other.manifest)["layers"][0]["digest"])]
    refuses(registry, Untrusted, "DJ323")


def test_a_layer_that_ends_early_is_refused(registry: FakeRegistry) -> None:
    """Half of it, and its length said as half. Refused."""
    registry.blobs[LAYER] = registry.blobs[LAYER][:50]
    with pytest.raises(DonjonError, match=r"DJ32[35]"):
        read(registry)


def test_a_connection_that_ends_within_a_layer_is_told(registry: FakeRegistry) -> None:
    """Half of it, and the length of the whole. Refused."""
    half = Answer(headers={"Content-Length": "9999"}, pieces=lambda: iter((IMAGE.blobs[LAYER][:50],)))
    registry.judge = lambda question: half if for_blob(question) else None
    refuses(registry, Unavailable, "DJ330")


def test_another_manifest_than_the_digest_says_is_refused(registry: FakeRegistry) -> None:
    """An honest manifest under another's digest. Refused."""
    wanted = digest(b"another")
    registry.blobs[wanted] = IMAGE.manifest
    refuses(registry, Untrusted, "DJ323", f"app@{wanted}")


def test_a_registry_that_lies_about_its_digest_is_refused(registry: FakeRegistry) -> None:
    """Docker-Content-Digest is not the manifest's. Refused: distribution specification, "Pulling manifests"."""
    body = answer(IMAGE.manifest, "application/vnd.oci.image.manifest.v1+json", Docker_Content_Digest=digest(b"another"))
    registry.judge = lambda question: body if "manifests" in question.path else None
    refuses(registry, Untrusted, "DJ323")


def test_a_manifest_of_another_type_than_the_answers_is_refused(registry: FakeRegistry) -> None:
    """An index by its Content-Type, a manifest by its own words. Refused (CVE-2021-41190)."""
    body = answer(IMAGE.manifest, "application/vnd.oci.image.index.v1+json")
    registry.judge = lambda question: body if "manifests" in question.path else None
    with pytest.raises(DonjonError, match="DJ322"):
        read(registry)


@pytest.mark.parametrize("status", [500, 503, 429, 400, 204, 206])
def test_an_answer_that_is_none_is_told(registry: FakeRegistry, status: int) -> None:
    """Refused as unavailable, whatever its body says."""
    registry.judge = lambda _: Answer(status, {"Content-Length": "0"})
    refuses(registry, Unavailable, "DJ330")


def test_redirects_in_circles_are_left(registry: FakeRegistry) -> None:
    """To itself, for ever. Refused after five."""
    registry.judge = lambda question: redirect(question.path)
    refuses(registry, Unavailable, "more than 5 times.*DJ333")
    assert len(registry.questions) == 5


def test_another_host_is_not_told_the_login(registry: FakeRegistry, elsewhere: FakeRegistry) -> None:
    """A layer is elsewhere. Accepted; who has it hears the name that was called, and neither password nor token."""
    challenge = Answer(401, {"WWW-Authenticate": 'Basic realm="x"', "Content-Length": "0"})

    def judge(question: Question) -> Answer | None:
        if "Authorization" not in question.headers:
            return challenge
        return redirect(f"http://{elsewhere.host}{question.path}") if for_blob(question) else None

    registry.judge = judge
    assert read(registry, login=LOGIN) == FILES
    assert [(each.headers["Host"], "Authorization" in each.headers) for each in elsewhere.questions] == [(elsewhere.host, False)]


OUTSIDE = "93.184.216.34"


@pytest.fixture
def outside(registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> FakeRegistry:
    """The registry, as if it had an address outside; other names have theirs."""
    lookup = RegistryCalls._addresses

    def addresses(calls: RegistryCalls, place: SplitResult) -> list[str]:
        return [OUTSIDE] if place.netloc == registry.host else lookup(calls, place)

    monkeypatch.setattr(RegistryCalls, "_addresses", addresses)
    return registry


INNER = [
    *("http://127.0.0.1:{port}/", "http://[::1]:{port}/", "http://[::ffff:127.0.0.1]:{port}/", "http://0.0.0.0:{port}/"),
    *("http://169.254.169.254/latest/meta-data", "http://168.63.129.16/", "http://10.0.0.1/", "http://192.168.1.1/"),
    *("http://100.100.100.200/", "http://[fd00:ec2::254]/", "http://[fe80::1]/", "http://[64:ff9b::a9fe:a9fe]/"),
    *("http://2130706433:{port}/", "http://0x7f.1:{port}/", "http://localhost.:{port}/"),
]


@pytest.mark.parametrize("where", INNER)
def test_a_registry_outside_leads_nobody_inside(outside: FakeRegistry, elsewhere: FakeRegistry, where: str) -> None:
    """A redirect to an address of this machine, its link or its network, however spelt. Refused before anything is asked."""
    outside.judge = lambda question: redirect(where.format(port=elsewhere.port)) if for_blob(question) else None
    refuses(outside, Unavailable, r"DJ33[03]")
    assert elsewhere.questions == []


def test_a_proxy_is_told_the_name(elsewhere: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that only the proxy knows. Accepted; an address within is refused as without a proxy."""
    monkeypatch.setenv("http_proxy", f"http://localhost:{elsewhere.port}")
    images = Images(RegistryAccess(plain_http=frozenset({"registry.invalid", "10.0.0.1"}), inside=frozenset(), seconds=0.5))
    image = images.resolve(parse_reference("registry.invalid/app:1"))
    assert image.digest == digest(IMAGE.manifest)
    assert {urlsplit(each.path).hostname for each in elsewhere.questions} == {"registry.invalid"}
    with pytest.raises(Unavailable, match="DJ336"):
        images.resolve(parse_reference("10.0.0.1/app:1"))


@pytest.mark.parametrize(
    "where", ["file:///etc/passwd", "ftp://example.com/", "gopher://example.com/", "http://me:word@example.com/"]
)
def test_a_redirect_to_no_web_address_is_refused(registry: FakeRegistry, where: str) -> None:
    """Another protocol, or a login within the address. Refused."""
    registry.judge = lambda question: redirect(where) if for_blob(question) else None
    refuses(registry, Unavailable, "DJ333")


def token(question: Question, realm: str) -> Answer | None:
    """A login service that gives a token to who calls by the login, and a registry that wants it."""
    if urlsplit(question.path).path == "/token":
        return answer(b'{"token": "good"}', "application/json")
    if question.headers.get("Authorization") == "Bearer good":
        return None
    challenge = f'Bearer realm="{realm}",service="registry.example",scope="repository:app:pull,push"'
    return Answer(401, {"WWW-Authenticate": challenge, "Content-Length": "0"})


def test_a_token_to_read_this_repository_alone_is_asked_for(registry: FakeRegistry) -> None:
    """The registry asks for pull and push. Accepted; what is asked for is pull."""
    registry.judge = lambda question: token(question, f"http://{registry.host}/token")
    assert read(registry, login=LOGIN) == FILES
    asked_for = next(each for each in registry.questions if each.path.startswith("/token"))
    assert parse_qs(urlsplit(asked_for.path).query) == {"service": ["registry.example"], "scope": ["repository:app:pull"]}
    assert asked_for.headers["Authorization"] == "Basic " + base64.b64encode(b"me:word").decode()


def test_an_identity_token_is_sent_in_a_form(registry: FakeRegistry) -> None:
    """As `docker login` keeps it. Accepted: distribution, `docs/spec/auth/oauth.md`."""
    registry.judge = lambda question: token(question, f"http://{registry.host}/token")
    assert read(registry, login=RegistryLogin(identity_token="refresh")) == FILES  # noqa: S106 - of nobody.
    asked_for = next(each for each in registry.questions if each.path.startswith("/token"))
    assert (asked_for.method, parse_qs(asked_for.body.decode())["refresh_token"]) == ("POST", ["refresh"])


def test_a_login_service_within_is_not_told_the_login(outside: FakeRegistry, elsewhere: FakeRegistry) -> None:
    """A registry outside names a login service on this machine. Refused before it is called."""
    outside.judge = lambda question: token(question, f"http://127.0.0.1:{elsewhere.port}/token")
    with pytest.raises(Unavailable, match="DJ333"):
        read(outside, login=LOGIN)
    assert elsewhere.questions == []


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"token": 1}', b'{"token": "a\\r\\nHost: b"}', b'{"token": "\\u00e4"}', b"x" * 70_000]
)
def test_a_token_that_is_none_is_told(registry: FakeRegistry, body: bytes) -> None:
    """No JSON, no token, or one that would be a header of its own. Refused."""

    def judge(question: Question) -> Answer | None:
        return answer(body) if question.path.startswith("/token") else token(question, f"http://{registry.host}/token")

    registry.judge = judge
    refuses(registry, Unavailable, r"DJ33[01]")


@pytest.mark.parametrize("challenge", ["", "Negotiate", "Bearer", 'Bearer realm=""', "Bearer " + "x" * 9_000, 'Basic realm="x"'])
def test_a_proof_that_cannot_be_given_is_told(registry: FakeRegistry, challenge: str) -> None:
    """Another proof, none, or one that names no place; and no login. Refused."""
    registry.judge = lambda _: Answer(401, {"WWW-Authenticate": challenge, "Content-Length": "0"})
    refuses(registry, Unavailable, "DJ331")
