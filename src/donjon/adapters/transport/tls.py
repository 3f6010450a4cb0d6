"""Whom a client of ours trusts."""

import ssl
from pathlib import Path

from donjon.errors import Misconfigured


def client_context(authorities: str | Path | None, *, code: str, what: str) -> ssl.SSLContext:
    """A context that trusts these alone, in PEM or a file of it, or those of the system where there are none.

    Raises `Misconfigured` with the code for what cannot be used: an empty text is not the system's list.
    """
    if authorities == "":
        raise Misconfigured(code, f"{what}: there are none")
    try:
        if isinstance(authorities, Path):
            return ssl.create_default_context(cafile=str(authorities))
        return ssl.create_default_context(cadata=authorities)
    except OSError as error:  # An SSLError is one.
        raise Misconfigured(code, f"{what}: {error.strerror or error}") from error
    except ValueError as error:
        raise Misconfigured(code, f"{what}: {error}") from error
