"""Signing keys in a Secret, by the API: the fake API server has it, written by the account of a pod or by a user."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.adapters.fakeapi import TOKEN, FakeApi, api_server, status
from tests.adapters.test_rings import NEXT, NOW, PRESENT, kid
from tests.attestation.signers import REAL

from donjon.adapters.keys import places, rings
from donjon.adapters.keys.places import SecretPlace
from donjon.adapters.keys.rings import Ring
from donjon.adapters.keys.secret import SecretStore
from donjon.adapters.kubeapi.client import KubeApi
from donjon.adapters.kubeapi.secrets import ApiSecret
from donjon.cli.attestation.command import attestation
from donjon.errors import DonjonError, Misconfigured, Unavailable
from donjon.formats.json import JsonObject, at
from donjon.signing.ring import Order
from donjon.signing.signer import Algorithm

PLACE = SecretPlace(namespace="donjon", name="keys")


def secret(**files: bytes) -> JsonObject:
    data: JsonObject = {name: base64.b64encode(text).decode() for name, text in files.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys", "namespace": "donjon"}, "data": data}


@dataclass
class World:
    api: FakeApi
    folder: Path
    client: KubeApi
    told: list[str | None] = field(default_factory=list)

    def store(self) -> SecretStore:
        return SecretStore(PLACE, ApiSecret(self.client, PLACE.path))

    async def opened(self) -> Ring:
        return await rings.open_ring(self.store(), lambda: NOW, self._tell)

    def _tell(self, error: DonjonError | None) -> None:
        self.told.append(None if error is None else error.code)

    def put(self, **files: bytes) -> None:
        self.api.put(PLACE.path, secret(**files))


def happens(folder: Path, story: Callable[[World], Awaitable[None]]) -> None:
    async def run() -> None:
        async with api_server() as api:
            client = KubeApi(api.access(folder))
            try:
                await story(World(api, folder, client))
            finally:
                await client.close()

    asyncio.run(run())


def test_its_entries_are_keys_and_those_that_come_are_taken(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.put(**{"a.pem": PRESENT, "readme.txt": b"\xff"})
        ring = await world.opened()
        await ring.look()
        assert (world.told, [each.kid for each in ring.published()]) == ([], [kid(PRESENT)])
        world.put(**{"a.pem": PRESENT, "b.pem": NEXT})
        await ring.look()
        assert (world.told, [each.kid for each in ring.published()]) == ([None], [kid(PRESENT), kid(NEXT)])

    happens(tmp_path, story)


def test_what_is_wrong_or_away_changes_nothing(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.put(**{"a.pem": PRESENT})
        ring = await world.opened()
        for change, code in (
            (lambda: world.put(**{"a.pem": b"no key"}), "DJ540"),
            (world.put, "DJ540"),
            (lambda: world.api.put(PLACE.path, {**secret(), "data": {"a.pem": "?"}}), "DJ540"),
            (lambda: world.api.put(PLACE.path, {**secret(), "data": None}), "DJ540"),
            (lambda: world.api.delete(PLACE.path), "DJ542"),
        ):
            change()
            await ring.look()
            assert (world.told.pop(), ring.signer().kid) == (code, kid(PRESENT))
        world.api.answer = lambda _: status(403, "forbidden")
        await ring.look()
        assert (world.told.pop(), ring.signer().kid) == ("DJ542", kid(PRESENT))

    happens(tmp_path, story)


@pytest.mark.parametrize(("files", "family", "code"), [({}, Misconfigured, "DJ540"), (None, Unavailable, "DJ542")])
def test_without_keys_it_does_not_open(
    tmp_path: Path, files: dict[str, bytes] | None, family: type[DonjonError], code: str
) -> None:
    async def story(world: World) -> None:
        if files is not None:
            world.put(**files)
        with pytest.raises(family) as told:
            await world.opened()
        assert told.value.code == code

    happens(tmp_path, story)


def order() -> Order:
    return Order(algorithm=Algorithm.ES256, issuer=REAL, begins=NOW, ends=NOW.replace(year=NOW.year + 1))


def test_a_key_is_made_with_the_secret_and_beside_what_it_holds_and_dropped(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        store = world.store()
        assert await store.read_all() == ()
        first, second = await store.make(order()), await store.make(order())
        assert {each.name for each in await store.read_all()} == {first.name, second.name}
        await store.drop(first.name)
        assert [each.name for each in await store.read_all()] == [second.name]
        assert at(world.api.objects[PLACE.path], "type") == "Opaque"

    happens(tmp_path, story)


def test_of_two_who_write_at_once_the_later_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.put(**{"a.pem": PRESENT})
        stale = world.store()
        held = await stale._secret()
        assert held is not None
        world.put(**{"a.pem": PRESENT, "b.pem": NEXT})
        with pytest.raises(Unavailable, match="DJ544"):
            await stale._write(held, {})
        assert len(await stale.read_all()) == 2

    happens(tmp_path, story)


def test_a_user_makes_and_lists_keys_with_a_kubeconfig(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        config: JsonObject = {
            "current-context": "fake",
            "clusters": [{"name": "fake", "cluster": {"server": f"http://127.0.0.1:{world.api.port}"}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "me"}}],
            "users": [{"name": "me", "user": {"token": TOKEN}}],
        }
        (tmp_path / "config").write_text(json.dumps(config))

        def run(*said: str) -> str:
            command = ["keys", *said, "--kubeconfig", str(tmp_path / "config")]
            done = CliRunner().invoke(attestation, command, catch_exceptions=False)
            return done.output

        new = ("new", str(PLACE), "--issuer", REAL, "--algorithm", "ES256")
        assert "signs at once" in await asyncio.to_thread(run, *new)
        assert "is published now and signs from" in await asyncio.to_thread(run, *new)
        listed = json.loads(await asyncio.to_thread(run, "list", str(PLACE), "-o", "json"))
        assert [each["state"] for each in listed["keys"]] == ["signs", "next"]

    happens(tmp_path, story)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "kubernetes:",
        "kubernetes:keys",
        "kubernetes:a/b/c",
        "kubernetes:../x",
        "http://x",
        "pkcs11:",
        "pkcs11:token=x;object=y",
        "pkcs11:token=x;object=y?module-path=/m&pin-value=1234",
        "pkcs11:token=x;object=y?module-path=/m&pin-source=/p&pin-value=1",
        "pkcs11:token=x;object=?module-path=/m&pin-source=/p",
        "pkcs11:token=x;serial=z?module-path=/m&pin-source=/p",
    ],
)
def test_a_place_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a folder, kubernetes:NAMESPACE/SECRET, or pkcs11:"):
        places.parse(text)


def test_places_are_read() -> None:
    assert places.parse("keys/a:b") == Path("keys/a:b")
    assert places.parse("kubernetes:donjon/keys") == PLACE
    token = places.parse("pkcs11:token=a%20b;object=c+d?module-path=/m.so&pin-source=file:/p")
    assert (str(token), getattr(token, "pin", None), getattr(token, "module", None)) == (
        "pkcs11:token=a b;object=c+d",
        Path("/p"),
        Path("/m.so"),
    )
