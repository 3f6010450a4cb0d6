"""Signing keys in a Secret of Kubernetes, read and written by the API: its entries are the files of a folder."""

import base64
import binascii
from typing import Protocol

from donjon.adapters.keys import rings, signing
from donjon.adapters.keys.folder import counts, fresh_name
from donjon.adapters.keys.places import SecretPlace
from donjon.errors import Misconfigured, Unavailable
from donjon.formats.json import Json, JsonObject, at
from donjon.signing.ring import DatedKey, Order


class SecretAccess(Protocol):
    """Who can ask the API server for one Secret; what goes wrong is `Unavailable` DJ041."""

    async def read(self) -> JsonObject | None:
        """The Secret; `None` where there is none."""

    async def write(self, secret: JsonObject) -> None:
        """Make it, or replace the version that its metadata say."""


class SecretStore:
    """The store that is a Secret: one entry NAME.pem a key."""

    def __init__(self, place: SecretPlace, access: SecretAccess) -> None:
        self._place, self._access = place, access
        self._last_version: Json = None

    def __str__(self) -> str:
        return str(self._place)

    async def read(self) -> tuple[DatedKey, ...] | None:
        """All keys, where the Secret has another version than before."""
        secret = await self._secret()
        if secret is None:
            raise Unavailable("DJ542", f"signing keys: {self._place}: no such Secret")
        version = at(secret, "metadata", "resourceVersion")
        if version == self._last_version:
            return None
        keys = rings.parse_files(self._files(secret), str(self))
        self._last_version = version
        return keys

    async def read_all(self) -> tuple[DatedKey, ...]:
        """All keys; none where there is no Secret."""
        secret = await self._secret()
        return () if secret is None else rings.parse_files(self._files(secret), str(self))

    async def make(self, order: Order) -> DatedKey:
        """A new entry; with the Secret, where there is none."""
        name, text = fresh_name(order), signing.fresh_file(order)
        secret = await self._secret() or _empty(self._place)
        await self._write(secret, {**_data(secret), name: base64.b64encode(text).decode("ascii")})
        return signing.parse_key_file(name, text)

    async def drop(self, name: str) -> None:
        """Delete the entry of a key; raises `Unavailable` DJ542 or DJ544."""
        secret = await self._secret() or _empty(self._place)
        await self._write(secret, {each: value for each, value in _data(secret).items() if each != name})

    async def _secret(self) -> JsonObject | None:
        try:
            return await self._access.read()
        except Unavailable as error:
            raise Unavailable("DJ542", f"signing keys: {self._place}: {error.message}") from error

    async def _write(self, secret: JsonObject, data: JsonObject) -> None:
        try:
            await self._access.write({**secret, "data": data})
        except Unavailable as error:
            raise Unavailable("DJ544", f"signing keys: {self._place}: {error.message}") from error

    def _files(self, secret: JsonObject) -> dict[str, bytes]:
        try:
            data = {name: str(value) for name, value in _data(secret).items() if counts(name)}
            return {name: base64.b64decode(value, validate=True) for name, value in data.items()}
        except (binascii.Error, ValueError) as error:
            raise Misconfigured("DJ540", f"{self._place}: an entry that is no base64") from error


def _data(secret: JsonObject) -> JsonObject:
    data = secret.get("data")
    return data if isinstance(data, dict) else {}


def _empty(place: SecretPlace) -> JsonObject:
    metadata: JsonObject = {"name": place.name, "namespace": place.namespace}
    return {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata}
