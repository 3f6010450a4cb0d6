"""An instance as `donjon policy` calls it: once, as the caller who was named; and what is asked and read before it is changed."""

import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from donjon.adapters import files
from donjon.adapters.keys import signing as keys
from donjon.adapters.maa.client import AttestationServer
from donjon.cli import issuer
from donjon.cli.files import STDIN, content
from donjon.cli.policy.options import SigningKey, Target
from donjon.cli.terminal import say
from donjon.errors import EXIT_NO, Misconfigured, Unavailable
from donjon.signing.signer import Signer

T = TypeVar("T")


def call(target: Target, use: Callable[[AttestationServer], Awaitable[T]]) -> T:
    """What comes of the use of that instance; raises as `issuer.call` does."""
    return issuer.call(
        issuer.address(target.server),
        use,
        authority=target.authority,
        certificate=target.certificate,
        token_file=target.token_file,
    )


def confirm(question: str, file: str, target: Target) -> None:
    """Ends the program where the answer is no; raises `click.UsageError` where nobody can answer."""
    if STDIN in {file, target.token_file} or not sys.stdin.isatty():
        raise click.UsageError("nobody can be asked whether it is meant; say --yes")
    if not click.confirm(question, err=True):
        say("nothing was changed", err=True)
        sys.exit(EXIT_NO)


def read_at_most_once(file: str, target: Target, bound: int) -> bytes:
    """What stands in the file; raises `click.UsageError` where standard input would be read twice, else as `content` does."""
    if STDIN == file == target.token_file:
        raise click.UsageError("standard input holds the file or the bearer's token, not both")
    return content(file, bound)


def read_signer(signing: SigningKey) -> Signer:
    """Who signs; raises `Unavailable` DJ542, and `Misconfigured` DJ437 or DJ540."""
    try:
        key = files.read(signing.key, keys.MAX_PEM + 1)
        certificate = None if signing.certificate is None else files.read(signing.certificate, keys.MAX_PEM + 1)
    except OSError as error:
        raise Unavailable("DJ542", f"signing key: {error.filename}: {error.strerror}") from error
    if certificate is not None:
        return keys.parse_signer(key, certificate)
    try:
        return keys.parse_key_file(signing.key.name, key).signer
    except Misconfigured as error:
        hint = "; the certificate may stand in another file: --signing-certificate"
        raise Misconfigured(error.code, f"signing key: {signing.key}: {error.message}{hint}") from error
