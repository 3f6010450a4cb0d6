"""The policies of a running service: options here, `remote` does the work with libraries that help needs none of."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce, wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from donjon.cli.options import FORM, work
from donjon.maa.versions import ApiVersion, AttestationType

F = TypeVar("F", bound=Callable[..., object])

FILE = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Whose policy, and who asks for it."""

    server: str
    kind: AttestationType
    version: ApiVersion
    authority: Path | None
    certificate: Path | None
    token_file: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """Who signs a policy: a key in PEM, and its certificate, in the same file or in another."""

    key: Path
    certificate: Path | None


AUTHORITY = click.option(
    "--authority", type=FILE, metavar="FILE", help="Who signed the certificate of the service, in PEM; the system's by default."
)
_TARGET: tuple[Callable[[F], F], ...] = (
    click.option(
        "--server",
        envvar="DONJON_ATTESTATION",
        required=True,
        metavar="URL",
        help="The instance: the issuer in its tokens. Also DONJON_ATTESTATION in the environment.",
    ),
    click.option(
        "--type",
        "kind",
        type=click.Choice([str(each) for each in AttestationType], case_sensitive=False),
        default=str(AttestationType.SGX_ENCLAVE),
        show_default=True,
        help="Whose policy.",
    ),
    click.option(
        "--api-version",
        "version",
        type=click.Choice([str(each) for each in ApiVersion]),
        default=str(ApiVersion.V2025_06_01),
        show_default=True,
        help="The version of the protocol.",
    ),
    AUTHORITY,
    click.option(
        "--certificate", type=FILE, metavar="FILE", help="Show this client certificate: PEM, with its key in the same file."
    ),
    click.option("--token-file", metavar="FILE", help="Show the bearer's token in this file; - reads standard input."),
)
_SIGNING: tuple[Callable[[F], F], ...] = (
    click.option(
        "--signing-key", type=FILE, metavar="FILE", help="Sign with this key, in PEM: for an instance of mode Isolated."
    ),
    click.option(
        "--signing-certificate", type=FILE, metavar="FILE", help="The key's certificate, where it stands in another file."
    ),
)
YES = click.option("--yes", is_flag=True, help="Change it without asking.")


def _with(command: F, options: tuple[Callable[[F], F], ...]) -> F:
    return reduce(lambda inner, option: option(inner), reversed(options), command)


def with_target(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say whose policy; the command is called with a `Target`."""

    @wraps(command)
    def call(**values: Any) -> None:
        kind, version = AttestationType(values.pop("kind")), ApiVersion(values.pop("version"))
        caller = {name: values.pop(name) for name in ("server", "authority", "certificate", "token_file")}
        command(target=Target(kind=kind, version=version, **caller), **values)

    return _with(call, _TARGET)


def with_signing(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say who signs; the command is called with a `SigningKey`, or `None`."""

    @wraps(command)
    def call(*, signing_key: Path | None, signing_certificate: Path | None, **values: object) -> None:
        if signing_key is None and signing_certificate is not None:
            raise click.UsageError("--signing-certificate says whose certificate it is with --signing-key")
        signing = None if signing_key is None else SigningKey(key=signing_key, certificate=signing_certificate)
        command(signing=signing, **values)

    return _with(call, _SIGNING)


@click.command(short_help="Show the policy that is in force at a service.")
@with_target
@FORM
def show(*, target: Target, form: str) -> None:
    """Show the policy that is in force at a service: its text, and on standard error its hash, who signed it, and the mode.

    The answer is proved by the keys that the service publishes. Exit code 0 shown, 1 refused or not proved, 3 could not look.
    """
    _remote().show(target, form)


@click.command(short_help="Compare FILE with the policy in force at a service.")
@click.argument("file")
@with_target
def diff(*, file: str, target: Target) -> None:
    """Compare FILE with the policy that is in force at a service; - reads standard input.

    Exit code 0 the same, 1 different, or refused; 2 FILE is no policy, 3 could not look.
    """
    _remote().diff(file, target)


@click.command("set", short_help="Have a service judge by FILE.")
@click.argument("file")
@with_target
@with_signing
@YES
def set_(*, file: str, target: Target, signing: SigningKey | None, yes: bool) -> None:
    """Have a service judge by the policy FILE, its text or a token that `donjon policy sign` made; - reads standard input.

    Shows what changes, asks, and reads back what is in force then. Exit code 0 it is in force, 1 refused or not wanted,
    2 FILE is no policy, 3 could not look.
    """
    _remote().set_policy(file, target, signing, yes=yes)


@click.command(short_help="Have a service judge by its default policy again.")
@with_target
@with_signing
@YES
def reset(*, target: Target, signing: SigningKey | None, yes: bool) -> None:
    """Have a service judge by its default policy again.

    Shows what changes, and asks. Exit code 0 done, 1 refused or not wanted, 3 could not look.
    """
    _remote().reset(target, signing, yes=yes)


@click.command(short_help="Sign FILE for an instance of mode Isolated.")
@click.argument("file")
@with_signing
def sign(*, file: str, signing: SigningKey | None) -> None:
    """Sign the policy FILE, and print the token, which `donjon policy set` sends as it is. Needs no service.

    Exit code 0 signed, 2 FILE is no policy, or the key is none.
    """
    if signing is None:
        raise click.UsageError("Missing option '--signing-key'.")
    _remote().sign(file, signing)


COMMANDS = (show, diff, set_, reset, sign)


def _remote() -> Any:
    return cast("Any", work("donjon.cli.policy.remote"))
