"""Options that say of which service a policy is, who asks there, and who signs."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from donjon.cli.options import AUTHORITY, with_options
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
STRICT = click.option(
    "--strict", is_flag=True, help="Exit code 1 where there are warnings, and nothing is changed: for a pipeline."
)
YES = click.option("--yes", is_flag=True, help="Change it without asking.")


def with_target(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say whose policy; the command is called with a `Target`."""

    @wraps(command)
    def call(**values: Any) -> None:
        kind, version = AttestationType(values.pop("kind")), ApiVersion(values.pop("version"))
        caller = {name: values.pop(name) for name in ("server", "authority", "certificate", "token_file")}
        command(target=Target(kind=kind, version=version, **caller), **values)

    return with_options(call, _TARGET)


def with_signing(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say who signs; the command is called with a `SigningKey`, or `None`."""

    @wraps(command)
    def call(*, signing_key: Path | None, signing_certificate: Path | None, **values: object) -> None:
        if signing_key is None and signing_certificate is not None:
            raise click.UsageError("--signing-certificate says whose certificate it is with --signing-key")
        signing = None if signing_key is None else SigningKey(key=signing_key, certificate=signing_certificate)
        command(signing=signing, **values)

    return with_options(call, _SIGNING)
