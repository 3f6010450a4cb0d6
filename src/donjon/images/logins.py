"""Who calls a registry, as Docker's `config.json` and Kubernetes' image pull secrets say it.

Source: docker/cli, `cli/config/configfile/file.go`; what is kept in a helper's own store is not read: no program is started.
"""

from base64 import b64decode
from collections.abc import Mapping

from donjon.errors import Malformed, Misconfigured
from donjon.formats import strict_json
from donjon.formats.strict_json import Members
from donjon.images.access import RegistryLogin
from donjon.images.references import DEFAULT_REGISTRY

MAX_LOGINS = 1 << 20  # bytes of the file


def parse_logins(text: bytes, subject: str) -> Mapping[str, RegistryLogin]:
    """The logins by HOST[:PORT][/PATH]; raises `Misconfigured` DJ334. No message repeats what is secret."""
    try:
        document = strict_json.parse(text, subject, MAX_LOGINS, fractions=True)
        entries = document.member("auths") if document.has("auths") else Members(subject, {})
        logins = {_registry(name): _login(entries.member(name)) for name in entries.content}
    except Malformed as error:
        raise Misconfigured("DJ334", f"{subject}: no config.json of Docker that can be read") from error
    return {name: login for name, login in logins.items() if login != RegistryLogin()}


def _registry(name: str) -> str:
    name = name.partition("://")[2] or name
    for end in ("/", "/v1", "/v2"):
        name = name.removesuffix(end)
    return DEFAULT_REGISTRY if name in {"index.docker.io", "registry-1.docker.io"} else name


def _login(entry: Members) -> RegistryLogin:
    user, password, token = (
        entry.text(name) if entry.content.get(name) is not None else "" for name in ("username", "password", "identitytoken")
    )
    if not user and entry.content.get("auth"):
        user, _, password = _pair(entry.text("auth")).rstrip("\0").partition(":")
    return RegistryLogin(user=user, password=password, identity_token=token)


def _pair(text: str) -> str:
    try:
        return b64decode(text, validate=True).decode("utf-8")
    except ValueError as error:
        raise Malformed("DJ334", "no base64 of user and password") from error


def login_for(logins: Mapping[str, RegistryLogin], registry: str, repository: str) -> RegistryLogin | None:
    """The login that fits best: of a repository, of a folder of it, or of its registry."""
    place = f"{registry}/{repository}"
    while place:
        if place in logins:
            return logins[place]
        place = place.rpartition("/")[0]
    return None
