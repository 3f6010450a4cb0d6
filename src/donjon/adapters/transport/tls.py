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


def unsafe_context() -> ssl.SSLContext:
    """A context that trusts whoever answers: for a server that its cluster's own registration says not to check."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def show_certificate(context: ssl.SSLContext, file: Path, *, code: str) -> None:
    """Have the context show the certificate of a file in PEM that holds its key, too; raises `Misconfigured` with the code."""
    try:
        context.load_cert_chain(file, password="")  # Without one, the library would ask at the terminal.
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise Misconfigured(
            code, f"client certificate: {file}: {reason}; expected a certificate and its key, without a password, in PEM"
        ) from error
