"""The TLS that our servers speak."""

import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from donjon.errors import Malformed

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"  # of TLS 1.2; those of 1.3 are all good
PROTOCOLS = ["http/1.1"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """The authorities, in PEM, whose client certificates are asked for, and whether nobody is let in without one."""

    authorities: bytes
    required: bool


def context(certificate: bytes, key: bytes, clients: Clients | None = None) -> ssl.SSLContext:
    """A server's context for a certificate chain and its key in PEM; raises `Malformed` DJ146 or DJ555.

    Python reads them from files alone, so they go through one that exists in memory only.
    """
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.minimum_version = ssl.TLSVersion.TLSv1_2
    server_context.set_ciphers(CIPHERS)
    server_context.set_alpn_protocols(PROTOCOLS)
    server_context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_TICKET
    server_context.num_tickets = 0  # The API server resumes no session, and keeps its connections.
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(certificate + b"\n" + key)
        server_context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        raise Malformed("DJ146", f"certificate: {_words(error)}") from error
    finally:
        os.close(descriptor)
    if clients is not None:
        _ask(server_context, clients)
    return server_context


def _ask(server_context: ssl.SSLContext, clients: Clients) -> None:
    """TLS 1.3 alone: a session of 1.2 could be resumed, and its certificate would not be looked at again."""
    server_context.minimum_version = ssl.TLSVersion.TLSv1_3
    server_context.verify_mode = ssl.CERT_REQUIRED if clients.required else ssl.CERT_OPTIONAL
    try:
        server_context.load_verify_locations(cadata=clients.authorities.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        raise Malformed("DJ555", f"client authorities: {error}") from error


def _words(error: Exception) -> str:
    """What does not fit, in plain words where the library's are none."""
    match getattr(error, "reason", None):
        case "KEY_VALUES_MISMATCH" | "KEY_TYPE_MISMATCH":
            return "the key is not that of the certificate, but another one's"
        case "NO_START_LINE":
            return "expected a certificate and its key in PEM"
        case _:
            return f"{error}; expected a certificate and its key, without a password, in PEM"


def _no_password() -> str:
    """Without it, Python would ask for the password of an encrypted key at the terminal."""
    return ""


Contexts = Callable[[], ssl.SSLContext]
"""The context for the next connection."""
