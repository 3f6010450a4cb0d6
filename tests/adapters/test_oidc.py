"""Tokens of an issuer of OpenID Connect, over real TLS; on the attacker's side, a real JOSE library."""

import asyncio
import base64
import hmac
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import OctKey, RSAKey
from tests.adapters.https import certificate
from tests.adapters.oidcissuer import AUDIENCE, NOW, FakeIssuer, ec, issuer, rsa

from donjon.access.roles import TrustedIssuer
from donjon.adapters.http.limits import Limits
from donjon.adapters.http.public import GuardedServer
from donjon.adapters.oidc import issuers, keysets, tokens
from donjon.adapters.oidc.issuers import AGAIN, DISCOVERY, FRESH, MAX_AGE, OidcIssuer
from donjon.errors import DonjonError, Misconfigured, Unavailable, Untrusted
from donjon.formats.json import JsonObject

NOW_S = int(NOW.timestamp())


@dataclass
class World:
    """An issuer, who believes it, and a clock of seconds."""

    there: FakeIssuer
    seconds: float = 0.0
    known: OidcIssuer | None = None

    def issuer(self) -> OidcIssuer:
        self.known = self.known or OidcIssuer(self.there.trusted, lambda: self.seconds)
        return self.known

    async def proved(self, text: str) -> JsonObject:
        return await self.issuer().prove(tokens.parse(text), NOW)

    async def refused(self, text: str) -> str:
        with pytest.raises(DonjonError) as told:
            await self.proved(text)
        assert isinstance(told.value, Untrusted if told.value.code == "DJ551" else Unavailable)
        return told.value.code


def happens(story: Callable[[World], Awaitable[None]]) -> None:
    async def run() -> None:
        async with issuer() as there:
            world = World(there)
            try:
                await story(world)
            finally:
                await world.issuer().close()

    asyncio.run(run())


@pytest.mark.parametrize(
    "made",
    [
        lambda there: there.token(),
        lambda there: there.token(header={"typ": "at+jwt"}),
        lambda there: there.token(header={"alg": "PS256"}),
        lambda there: there.token(header={"alg": "RS512"}),
        lambda there: there.token(ec(), {"alg": "ES256"}),
        lambda there: there.token(aud=["another", AUDIENCE]),
        lambda there: there.token(aud="other-name"),
        lambda there: there.token(exp=NOW_S - 59),
        lambda there: there.token(exp=NOW_S + 0.5),
        lambda there: there.token(nbf=NOW_S + 59, iat=None),
    ],
)
def test_a_token_of_the_issuer_for_us_says_who_calls(made: Callable[[FakeIssuer], str]) -> None:
    async def story(world: World) -> None:
        assert (await world.proved(made(world.there)))["sub"] == "alice"

    happens(story)


def encoded(*parts: bytes | JsonObject) -> str:
    texts = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in parts]
    return ".".join(base64.urlsafe_b64encode(each).decode().rstrip("=") for each in texts)


def signed_with_the_public_key(there: FakeIssuer) -> str:
    pem = rsa().public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    said = encoded({"alg": "HS256", "kid": "rsa"}, there.claims())  # The library does not sign with such a secret.
    return f"{said}.{encoded(hmac.digest(pem, said.encode(), 'sha256'))}"


def signed_with_a_secret(there: FakeIssuer) -> str:
    return there.token(OctKey.import_key(b"s" * 32), {"alg": "HS256", "kid": "rsa"})


def unsecured(there: FakeIssuer) -> str:
    return encoded({"alg": "none"}, there.claims()) + "."


def another_payload(there: FakeIssuer) -> str:
    head, _, signature = there.token().split(".")
    return f"{head}.{encoded(there.claims(sub='root'))}.{signature}"


def said_twice(there: FakeIssuer) -> str:
    text = json.dumps(there.claims()).encode()
    return f"{encoded({'alg': 'RS256', 'kid': 'rsa'}, text[:-1] + b',' + text[1:])}.AAAA"


def public(key: RSAKey) -> JsonObject:
    return {name: str(value) for name, value in key.as_dict(private=False).items()}


def key_in_the_header(there: FakeIssuer) -> str:
    own = rsa("attacker's")
    return there.token(own, {"kid": "rsa", "jwk": public(own), "jku": "https://attacker.example/keys"})


CONFUSIONS: dict[str, Callable[[FakeIssuer], str]] = {
    "unsecured": unsecured,
    "HS256 with the public key as the secret": signed_with_the_public_key,
    "HS256 with any secret": signed_with_a_secret,
    "another key's": lambda there: there.token(rsa("other"), {"kid": "rsa"}),
    "another key's, of a kind that signs otherwise": lambda there: there.token(ec(), {"alg": "ES256", "kid": "rsa"}),
    "a key that nobody knows": lambda there: there.token(rsa("new")),
    "a key of its own in the header": key_in_the_header,
    "P-384 under the name of P-256's key": lambda there: there.token(ec("ec", "P-384"), {"alg": "ES384"}),
    "another payload": another_payload,
    "claims that stand twice": said_twice,
    "no signature": lambda there: there.token().rpartition(".")[0] + ".",
    "a signature with another letter for the same bits": lambda there: there.token()[:-1] + "/",
    "crit": lambda there: there.token(header={"crit": ["b64"], "b64": True}),
    "a logout token": lambda there: there.token(header={"typ": "logout+jwt"}),
    "an algorithm in a list": lambda there: encoded({"alg": ["RS256"], "kid": "rsa"}, there.claims(), b"x"),
    "a name of a key that is none": lambda there: encoded({"alg": "RS256", "kid": {}}, there.claims(), b"x"),
    "a critical list that is none": lambda there: encoded({"alg": "RS256", "crit": 1}, there.claims(), b"x"),
    "two parts": lambda there: encoded(there.claims()),
    "encrypted": lambda _: "a.b.c.d.e",
    "too long": lambda there: there.token(x="y" * tokens.MAX_TOKEN),
    "no JSON": lambda _: encoded(b"{", b"{}", b"x"),
    "nested deep": lambda _: encoded({"alg": "RS256"}, b"[" * 9000, b"x"),
    "another issuer": lambda there: there.token(iss="https://other.example"),
    "an issuer in a list": lambda there: there.token(iss=[there.name]),
    "no audience": lambda there: there.token(aud=None),
    "another audience": lambda there: there.token(aud="https://other.example"),
    "an audience that begins as ours": lambda there: there.token(aud=AUDIENCE + "/"),
    "an audience of no texts": lambda there: there.token(aud=[AUDIENCE, 1]),
    "ended": lambda there: there.token(exp=NOW_S - 60),
    "without an end": lambda there: there.token(exp=None),
    "an end in words": lambda there: there.token(exp=str(NOW_S + 300)),
    "an end that is true": lambda there: there.token(exp=True),
    "not begun": lambda there: there.token(nbf=NOW_S + 62),
    "from the future": lambda there: there.token(iat=NOW_S + 62),
    "nobody": lambda there: there.token(sub=None),
    "a number's": lambda there: there.token(sub=1),
    "an empty name": lambda there: there.token(sub=""),
    "a name without end": lambda there: there.token(sub="x" * 256),
}


@pytest.mark.parametrize("made", CONFUSIONS.values(), ids=CONFUSIONS)
def test_confusions_are_refused(made: Callable[[FakeIssuer], str]) -> None:
    async def story(world: World) -> None:
        await world.proved(world.there.token())
        world.seconds += AGAIN
        assert await world.refused(made(world.there)) == "DJ551"

    happens(story)


def test_a_new_key_is_found_and_the_issuer_asked_no_more_often_than_may_be() -> None:
    async def story(world: World) -> None:
        for _ in range(5):
            await world.proved(world.there.token())
        assert (world.there.asked["/keys"], world.there.asked[DISCOVERY]) == (1, 1)
        for number in range(20):
            assert await world.refused(world.there.token(header={"kid": f"unknown {number}"})) == "DJ551"
        assert world.there.asked["/keys"] == 1
        world.there.keys.append(rsa("new"))
        world.seconds += AGAIN
        await asyncio.gather(*(world.proved(world.there.token(rsa("new"))) for _ in range(5)))
        assert world.there.asked["/keys"] == 2

    happens(story)


def test_a_key_that_the_issuer_has_withdrawn_is_refused_when_its_set_is_fetched_again() -> None:
    async def story(world: World) -> None:
        await world.proved(world.there.token())
        world.there.keys.pop(0)
        await world.proved(world.there.token())
        world.seconds += FRESH
        assert await world.refused(world.there.token()) == "DJ551"

    happens(story)


AWAY: dict[str, tuple[str, tuple[int, bytes]]] = {
    "an error": (DISCOVERY, (500, b"")),
    "a redirect": (DISCOVERY, (302, b"")),
    "no JSON": (DISCOVERY, (200, b"<html>")),
    "no object": (DISCOVERY, (200, b"[]")),
    "no keys' address": (DISCOVERY, (200, b'{"issuer": "x"}')),
    "keys missing": ("/keys", (404, b"")),
    "keys that are none": ("/keys", (200, b"keys")),
    "keys without end": ("/keys", (200, b'{"keys": [], "x": "' + b"x" * keysets.MAX_SET + b'"}')),
}


@pytest.mark.parametrize(("path", "says"), AWAY.values(), ids=AWAY)
def test_while_the_issuer_is_away_its_keys_are_good_for_an_hour_and_then_nobody_passes(
    path: str, says: tuple[int, bytes]
) -> None:
    async def story(world: World) -> None:
        good = world.there.token()
        world.there.says[path] = says
        assert await world.refused(good) == "DJ553"
        world.there.says.clear()
        assert await world.refused(good) == "DJ553"
        world.seconds += AGAIN
        await world.proved(good)
        world.there.says[path] = says
        world.seconds += MAX_AGE - 1
        await world.proved(good)
        assert await world.refused(world.there.token(rsa("new"))) == "DJ553"
        world.seconds += 1
        assert await world.refused(good) == "DJ553"
        world.there.says.clear()
        world.seconds += AGAIN
        await world.proved(good)

    happens(story)


@pytest.mark.parametrize("stated", [{"issuer": "https://other.example"}, {"jwks_uri": "http://127.0.0.1/keys"}, {"jwks_uri": 1}])
def test_discovery_that_speaks_for_another_or_in_plain_http_is_none(stated: JsonObject) -> None:
    async def story(world: World) -> None:
        world.there.discovery = stated
        assert await world.refused(world.there.token()) == "DJ553"

    happens(story)


def test_keys_in_plain_http_are_not_fetched() -> None:
    async def story(world: World) -> None:
        plain = GuardedServer(world.there, None, host="127.0.0.1", port=0, limits=Limits())
        world.there.discovery = {"jwks_uri": f"http://127.0.0.1:{await plain.start()}/keys"}
        assert await world.refused(world.there.token()) == "DJ553"
        assert world.there.asked["/keys"] == 0
        await plain.close(0.2)

    happens(story)


def test_an_answer_that_is_small_only_on_the_way_is_not_unpacked() -> None:
    async def story(world: World) -> None:
        await world.proved(world.there.token())
        assert world.there.accepted == b"identity"

    async def packed(world: World) -> None:
        world.there.packs = True
        assert await world.refused(world.there.token()) == "DJ553"

    happens(story)
    happens(packed)


def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    async def story(world: World) -> None:
        world.there.says["/keys"] = (200, b" " * (4 * keysets.MAX_SET))
        with pytest.raises(Unavailable, match=f"answers more than {keysets.MAX_SET} bytes"):
            await world.proved(world.there.token())

    happens(story)


def test_an_issuer_whose_server_is_another_ones_or_does_not_answer_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issuers, "TIMEOUT", 0.3)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def story(world: World) -> None:
        authorities = certificate(2).authority.pem.decode()
        strange = OidcIssuer(TrustedIssuer(issuer=world.there.name, audiences=(AUDIENCE,), authorities=authorities), lambda: 0.0)
        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        mute = OidcIssuer(TrustedIssuer(issuer=f"https://127.0.0.1:{port}", audiences=(AUDIENCE,)), lambda: 0.0)
        for each in (strange, mute):
            with pytest.raises(Unavailable, match="DJ553"):
                await each.prove(tokens.parse(world.there.token()), NOW)
            await each.close()
        server.close()
        await asyncio.sleep(0.05)

    happens(story)


def test_a_token_is_refused_at_another_time() -> None:
    async def story(world: World) -> None:
        token = tokens.parse(world.there.token())
        with pytest.raises(Untrusted, match="DJ551"):
            await world.issuer().prove(token, NOW + timedelta(minutes=6))

    happens(story)


PUBLIC = rsa().as_dict(private=False)


@pytest.mark.parametrize(
    ("entry", "algorithms"),
    [
        (PUBLIC, {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
        ({**PUBLIC, "alg": "PS256"}, {"PS256"}),
        ({**PUBLIC, "alg": "HS256"}, set()),
        ({**PUBLIC, "use": "enc"}, set()),
        ({**PUBLIC, "n": PUBLIC["n"][:300]}, set()),
        ({**PUBLIC, "n": "?"}, set()),
        ({**PUBLIC, "n": "_" * 1400}, set()),
        ({**PUBLIC, "e": "AA"}, set()),
        ({**PUBLIC, "e": None}, set()),
        (ec().as_dict(private=False), {"ES256"}),
        (ec("x", "secp256k1").as_dict(private=False), set()),
        ({**ec().as_dict(private=False), "x": "AAAA"}, set()),
        ({"kty": "oct", "k": "c2VjcmV0"}, set()),
        ({"kty": 7}, set()),
        ({}, set()),
    ],
)
def test_of_a_key_set_the_keys_that_sign_and_are_strong_enough_are_taken(entry: JsonObject, algorithms: set[str]) -> None:
    found = keysets.parse(json.dumps({"keys": ["none", entry]}).encode(), "set")
    assert [set(each.algorithms) for each in found] == ([algorithms] if algorithms else [])
    assert keysets.ALGORITHMS.isdisjoint({"HS256", "none"})


def test_authorities_that_are_none_are_refused_at_once() -> None:
    with pytest.raises(Misconfigured, match="DJ556"):
        OidcIssuer(TrustedIssuer(issuer="https://x.example", audiences=("x",), authorities="none"), lambda: 0.0)
