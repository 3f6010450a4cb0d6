"""Opens the store that a place names: a folder, a Secret, or a PKCS#11 token."""

from collections.abc import Callable
from pathlib import Path
from typing import assert_never

from donjon.adapters.keys.folder import Folder
from donjon.adapters.keys.places import Place, SecretPlace, TokenPlace
from donjon.adapters.keys.rings import Store
from donjon.adapters.keys.secret import SecretAccess, SecretStore
from donjon.errors import Misconfigured


def store(place: Place, secrets: Callable[[SecretPlace], SecretAccess]) -> Store:
    """What keeps keys there; `secrets` says how a Secret is reached, if it is one.

    Raises `Misconfigured` DJ045 where the library for tokens is missing, and what `secrets` raises.
    """
    match place:
        case Path():
            return Folder(place)
        case SecretPlace():
            return SecretStore(place, secrets(place))
        case TokenPlace():
            return _token(place)
        case _:
            assert_never(place)


def _token(place: TokenPlace) -> Store:
    try:
        from donjon.adapters.keys.hsm import HsmStore  # noqa: PLC0415 - an extra, for those who have a token.
    except ModuleNotFoundError as error:
        raise Misconfigured("DJ045", f"keys in a token need {error.name}: install the extra donjon[pkcs11]") from error
    return HsmStore(place)
