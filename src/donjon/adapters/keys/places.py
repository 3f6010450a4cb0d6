"""Where a ring of signing keys is kept, as settings and commands name it.

Source of the third form: RFC 7512, "The PKCS #11 URI Scheme".
"""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote

KUBERNETES, PKCS11 = "kubernetes:", "pkcs11:"
FORMS = (
    "a folder, kubernetes:NAMESPACE/SECRET, or pkcs11:token=TOKEN;object=RING?module-path=/PATH/MODULE.so&pin-source=/PATH/PIN"
)

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretPlace:
    """A Secret of Kubernetes, read and written by the API server."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{KUBERNETES}{self.namespace}/{self.name}"

    @property
    def path(self) -> str:
        """The path of the Secret at the API server."""
        return f"/api/v1/namespaces/{self.namespace}/secrets/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPlace:
    """Objects with one label in a PKCS#11 token, the module that speaks with it, and the file with the user's PIN."""

    module: Path
    token: str
    ring: str
    pin: Path

    def __str__(self) -> str:
        return f"{PKCS11}token={self.token};object={self.ring}"


Place = Path | SecretPlace | TokenPlace


def parse(text: str) -> Place:
    """The place of that name; raises `ValueError` that says what is expected."""
    if text.startswith(KUBERNETES):
        return _secret(text.removeprefix(KUBERNETES))
    if text.startswith(PKCS11):
        return _token(text.removeprefix(PKCS11))
    if not text or ":" in text.partition("/")[0]:
        raise ValueError(FORMS)
    return Path(text)


def _secret(text: str) -> SecretPlace:
    namespace, _, name = text.partition("/")
    if not _NAME.fullmatch(namespace) or not _NAME.fullmatch(name):
        raise ValueError(FORMS)
    return SecretPlace(namespace=namespace, name=name)


def _token(text: str) -> TokenPlace:
    """A PIN in the text itself (`pin-value`) is refused: settings are no place for secrets."""
    path, _, query = text.partition("?")
    path_attributes = {name: unquote(value) for name, _, value in (each.partition("=") for each in path.split(";"))}
    query_attributes = dict(parse_qsl(query.replace("+", "%2B"), keep_blank_values=True))
    if path_attributes.keys() != {"token", "object"} or query_attributes.keys() != {"module-path", "pin-source"}:
        raise ValueError(FORMS)
    if not all((*path_attributes.values(), *query_attributes.values())):
        raise ValueError(FORMS)
    module, pin = Path(query_attributes["module-path"]), Path(query_attributes["pin-source"].removeprefix("file:"))
    return TokenPlace(module=module, token=path_attributes["token"], ring=path_attributes["object"], pin=pin)
