"""One registry or mirror: its answers, and the proof that it asks for."""

from base64 import b64encode
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from urllib.parse import urlencode

from donjon.adapters.images.calls import RegistryCalls
from donjon.adapters.transport.blocking import BlockingAnswer
from donjon.adapters.transport.client import OK
from donjon.errors import Malformed, Unavailable
from donjon.formats import strict_json
from donjon.formats.words import excerpt
from donjon.images.access import RegistryLogin
from donjon.images.bounds import MAX_MANIFEST
from donjon.images.challenges import RegistryChallenge, parse_challenges

MAX_TOKEN = 1 << 16  # bytes of an answer with a token
_CLIENT = "donjon"
_UNKNOWN, _FORBIDDEN = frozenset({404}), frozenset({401, 403})


class RegistryEndpoint:
    """A repository at one place."""

    def __init__(self, calls: RegistryCalls, registry: str, repository: str, login: RegistryLogin | None) -> None:
        self._calls, self._registry, self._repository, self._login = calls, registry, repository, login
        self._proof = ""  # of who calls, once it was asked for

    def document(self, path: str, types: tuple[str, ...]) -> tuple[str, bytes, str]:
        """A document's media type, its bytes, and the digest that the registry says of them, if any."""
        with self._answer(path, ", ".join(types)) as answer:
            text = answer.whole(MAX_MANIFEST)
            media_type = answer.header("Content-Type").partition(";")[0].strip()
            return media_type, text, answer.header("Docker-Content-Digest")

    @contextmanager
    def pieces(self, path: str) -> Iterator[Iterator[bytes]]:
        """A blob, as it comes."""
        with self._answer(path, "*/*") as answer:
            yield self._pieces(answer)

    def _pieces(self, answer: BlockingAnswer) -> Iterator[bytes]:
        for piece in answer.pieces():
            self._calls.limit.check()
            yield piece

    @contextmanager
    def _answer(self, path: str, types: str) -> Iterator[BlockingAnswer]:
        with self._call(path, types) as answer:
            if answer.status != 401 or self._proof:  # noqa: PLR2004 - RFC 9110, 15.5.2.
                yield self._check(path, answer)
                return
            challenges = parse_challenges(answer.header("WWW-Authenticate"))
        self._proof = self._prove(challenges)
        with self._call(path, types) as answer:
            yield self._check(path, answer)

    def _call(self, path: str, types: str) -> AbstractContextManager[BlockingAnswer]:
        headers = {"Accept": types, **({"Authorization": self._proof} if self._proof else {})}
        return self._calls.call(f"{self._registry}/v2/{self._repository}/{path}", self._registry, headers)

    def _check(self, path: str, answer: BlockingAnswer) -> BlockingAnswer:
        if answer.status == OK:
            return answer
        code = "DJ332" if answer.status in _UNKNOWN else "DJ331" if answer.status in _FORBIDDEN else "DJ330"
        what = f"{self._registry}: {self._repository}/{path}"
        raise Unavailable(code, f"{what}: answers {answer.status} {excerpt(answer.phrase)}")

    def _prove(self, challenges: tuple[RegistryChallenge, ...]) -> str:
        """What to say in Authorization; raises `Unavailable` DJ331 for a proof that cannot be given."""
        for challenge in challenges:
            if challenge.bearer:
                return f"Bearer {self._token(challenge)}"
            if self._login is not None and self._login.user:
                return self._basic(self._login)
        raise Unavailable("DJ331", f"{self._registry}: wants to know who calls, and no login for it is here that it takes")

    @staticmethod
    def _basic(login: RegistryLogin) -> str:
        return "Basic " + b64encode(f"{login.user}:{login.password}".encode()).decode("ascii")

    def _token(self, challenge: RegistryChallenge) -> str:
        """A token to read this repository, whatever the registry asked for."""
        asked_for = {"service": challenge.service, "scope": f"repository:{self._repository}:pull"}
        login, headers, form = self._login, {}, None
        url = f"{challenge.realm}{'&' if '?' in challenge.realm else '?'}{urlencode(asked_for)}"
        if login is not None and login.identity_token:
            url, token = challenge.realm, login.identity_token
            form = {**asked_for, "grant_type": "refresh_token", "refresh_token": token, "client_id": _CLIENT}
        elif login is not None:
            headers = {"Authorization": self._basic(login)}
        with self._calls.call(url, self._registry, headers, form) as answer:
            if answer.status != OK:
                code = "DJ331" if answer.status in _FORBIDDEN | _UNKNOWN else "DJ330"
                raise Unavailable(code, f"{self._registry}: its login service answers {answer.status} {excerpt(answer.phrase)}")
            return self._read_token(answer.whole(MAX_TOKEN))

    def _read_token(self, text: bytes) -> str:
        try:
            document = strict_json.parse(text, "token", MAX_TOKEN, fractions=True)
            token = document.text("token" if document.has("token") else "access_token")
        except Malformed as error:
            raise Unavailable("DJ331", f"{self._registry}: its login service answers no token") from error
        if not token.isascii() or not token.isprintable():
            raise Unavailable("DJ331", f"{self._registry}: its login service answers no token")
        return token
