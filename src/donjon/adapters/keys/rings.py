"""Rings of keys that sign tokens, in a store that operators and other replicas write.

Read again now and then. What cannot be read or does not fit is told, and the last good ring stays in use.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from donjon.adapters.keys import signing
from donjon.attestation.token import KEY_RETENTION
from donjon.errors import DonjonError, Misconfigured, Unavailable
from donjon.findings import Finding
from donjon.signing import ring
from donjon.signing.ring import MAX_KEYS, DatedKey, Order
from donjon.signing.signer import Signer

Tell = Callable[[DonjonError | None], None]
Check = Callable[[tuple[DatedKey, ...]], None]
"""Raises `Misconfigured` where these keys are not to be used here."""


class Store(Protocol):
    """Where keys are kept; what cannot be read is `Unavailable` DJ542, what does not fit `Misconfigured` DJ437 or DJ540."""

    def __str__(self) -> str:
        """Its name, for people."""

    async def read(self) -> tuple[DatedKey, ...] | None:
        """All keys; `None` where none has changed since they were read last."""

    async def read_all(self) -> tuple[DatedKey, ...]:
        """All keys, and none where the store is still to be made."""

    async def make(self, order: Order) -> DatedKey:
        """A new key, kept; raises `Unavailable` DJ544 where it cannot be."""

    async def drop(self, name: str) -> None:
        """Delete a key; raises `Unavailable` DJ544."""


class Ring:
    """The keys of one authority: `open_ring` makes one."""

    def __init__(
        self, store: Store, keys: tuple[DatedKey, ...], moment: Callable[[], datetime], tell: Tell, check: Check
    ) -> None:
        self._store, self._keys, self._moment, self._tell, self._check = store, keys, moment, tell, check

    @property
    def place(self) -> str:
        """Where they are kept, as settings name it, without what opens it."""
        return str(self._store)

    def signer(self) -> Signer:
        """Who signs now; raises `Unavailable` DJ541."""
        return ring.current_key(self._keys, self._moment()).signer

    def is_good(self) -> bool:
        """Whether anybody signs now."""
        try:
            self.signer()
        except Unavailable:
            return False
        return True

    def published(self) -> tuple[Signer, ...]:
        """The keys that relying parties are told: that which signs, the next, and earlier ones until their tokens have ended."""
        return tuple(each.signer for each in ring.published_keys(self._keys, self._moment(), KEY_RETENTION))

    def runs_out(self) -> datetime:
        """When nobody signs any more, unless another key is made."""
        return ring.runs_out(self._keys)

    def finding(self) -> Finding | None:
        """What is amiss: that nobody signs now, or soon nobody will."""
        return ring.appraise(self._keys, self._moment(), self.place)

    def all(self) -> tuple[Signer, ...]:
        """Every key that is there, also those that will not sign again."""
        return tuple(each.signer for each in self._keys)

    async def look(self) -> None:
        """Take what has changed; what is wrong is told, and changes nothing. `None` is told of new keys."""
        try:
            keys = await self._store.read()
            if keys is None:
                return
            self._keys = _some(keys, str(self._store), self._check)
        except DonjonError as error:
            self._tell(error)
        else:
            self._tell(None)


def _any(_: tuple[DatedKey, ...]) -> None:
    """Any keys may be used here."""


async def open_ring(store: Store, moment: Callable[[], datetime], tell: Tell, check: Check = _any) -> Ring:
    """A ring that can sign; raises what the store and the check raise, and `Unavailable` DJ541."""
    new_ring = Ring(store, _some(await store.read() or await store.read_all(), str(store), check), moment, tell, check)
    new_ring.signer()
    return new_ring


def parse_files(files: Mapping[str, bytes], where: str) -> tuple[DatedKey, ...]:
    """The keys of files NAME.pem, each a private key and its certificate; raises `Misconfigured` DJ437 or DJ540."""
    check_number(len(files), where)
    keys = []
    for name, text in sorted(files.items()):
        try:
            keys.append(signing.parse_key_file(name, text))
        except DonjonError as error:
            raise Misconfigured(error.code, f"{where}: {name}: {error.message}") from error
    check_names(keys, where)
    return tuple(keys)


def check_number(number: int, where: str) -> None:
    """Raises `Misconfigured` DJ540 where there are too many keys."""
    if number > MAX_KEYS:
        raise Misconfigured("DJ540", f"{where}: {number} signing keys, expected at most {MAX_KEYS}")


def check_names(keys: Sequence[DatedKey], where: str) -> None:
    """Raises `Misconfigured` DJ540 where a key is there twice."""
    name_by_kid: dict[str, str] = {}
    for each in keys:
        if (other := name_by_kid.setdefault(each.signer.kid, each.name)) != each.name:
            raise Misconfigured("DJ540", f"{where}: {each.name} and {other} are the same key")


def _some(keys: tuple[DatedKey, ...], where: str, check: Check) -> tuple[DatedKey, ...]:
    if not keys:
        raise Misconfigured("DJ540", f"{where}: no signing keys; make one with `donjon attestation keys new`")
    check(keys)
    return keys
