"""A make-believe Managed HSM, below Azure's own library: it asks who calls, keeps keys and really signs."""

import base64
import json
from dataclasses import dataclass, field
from typing import Any

import requests
from azure.core.credentials import AccessToken
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from requests.adapters import BaseAdapter

HOST = "team.managedhsm.azure.net"
TOKEN = "of the make-believe"  # noqa: S105 - it opens nothing.


class SignedIn:
    """Who has a token for the HSM's own domain alone."""

    def get_token(self, *scopes: str, **_: object) -> AccessToken:
        assert scopes == ("https://managedhsm.azure.net/.default",)
        return AccessToken(TOKEN, 1 << 40)


@dataclass
class FakeHsm(BaseAdapter):
    """What answers; `wrong` changes an answer before it is sent."""

    keys: dict[str, rsa.RSAPrivateKey] = field(default_factory=dict)
    host: str = HOST
    status: int = 0
    spoils: bool = False
    calls: list[str] = field(default_factory=list)

    def send(self, request: requests.PreparedRequest, *_: object, **__: object) -> requests.Response:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            challenge = 'Bearer authorization="https://login.example/tenant", resource="https://managedhsm.azure.net"'
            return self._answer(request, 401, {}, {"WWW-Authenticate": challenge})
        path = str(request.path_url).partition("?")[0].strip("/").split("/")
        self.calls.append(f"{request.method} {'/'.join(path)}")
        if self.status:
            return self._answer(request, self.status, {"error": {"code": "Forbidden", "message": "not you"}})
        return self._do(request, path[1], path[-1], json.loads(request.body if isinstance(request.body, str | bytes) else "{}"))

    def close(self) -> None:
        """There is nothing."""

    def _do(self, request: requests.PreparedRequest, name: str, verb: str, asked: dict[str, Any]) -> requests.Response:
        if verb == "create":
            assert (asked["kty"], asked["key_size"]) == ("RSA-HSM", 3072)
            self.keys[name] = rsa.generate_private_key(asked["public_exponent"], asked["key_size"])
        if name not in self.keys:
            return self._answer(request, 404, {"error": {"code": "KeyNotFound", "message": "no such key"}})
        if verb == "sign":
            assert asked["alg"] == "RS256"
            digest = base64.urlsafe_b64decode(asked["value"] + "==")
            signature = self.keys[name].sign(digest, PKCS1v15(), Prehashed(SHA256()))
            signature = signature[:-1] + bytes([signature[-1] ^ self.spoils])
            return self._answer(request, 200, {"kid": self._kid(name), "value": _text(signature)})
        numbers = self.keys[name].public_key().public_numbers()
        octets = (number.to_bytes((number.bit_length() + 7) // 8) for number in (numbers.n, numbers.e))
        n, e = map(_text, octets)
        key = {"kid": self._kid(name), "kty": "RSA-HSM", "n": n, "e": e, "key_ops": ["sign", "verify"]}
        return self._answer(request, 200, {"key": key, "attributes": {"enabled": True}})

    def _kid(self, name: str) -> str:
        return f"https://{self.host}/keys/{name}/0123456789abcdef0123456789abcdef"

    def _answer(
        self, request: requests.PreparedRequest, status: int, document: dict[str, Any], headers: dict[str, str] | None = None
    ) -> requests.Response:
        answer = requests.Response()
        answer.status_code, answer.url, answer.request = status, str(request.url), request
        answer.headers.update({"Content-Type": "application/json", **(headers or {})})
        answer.raw = _Raw(json.dumps(document).encode())
        return answer


class _Raw:
    """What requests reads a body of."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, *_: object, **__: object) -> list[bytes]:
        body, self._body = self._body, b""
        return [body]

    def close(self) -> None:
        """There is nothing."""

    def release_conn(self) -> None:
        """There is nothing."""


def _text(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")
