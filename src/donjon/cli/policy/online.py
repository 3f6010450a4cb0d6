"""The policies of a running service, and who may sign them: what is asked.

`work` and `signers` do it, and help needs no library of theirs.
"""

from types import ModuleType

import click

from donjon.cli.options import FORM, StrictCommand, StrictGroup, work
from donjon.cli.policy.options import STRICT, YES, SigningKey, Target, with_signing, with_target


@click.command(cls=StrictCommand, short_help="Show the policy that is in force at a service.")
@with_target
@FORM
def show(*, target: Target, form: str) -> None:
    """Show the policy that is in force at a service: its text, and on standard error its hash, who signed it, and the mode.

    The answer is proved by the keys that the service publishes. Exit code 0 shown, 1 refused or not proved, 3 could not look.
    """
    _work().show(target, form)


@click.command(cls=StrictCommand, short_help="Compare FILE with the policy in force at a service.")
@click.argument("file")
@with_target
def diff(*, file: str, target: Target) -> None:
    """Compare FILE with the policy that is in force at a service; - reads standard input.

    Exit code 0 the same, 1 different, or refused; 2 FILE is no policy, 3 could not look.
    """
    _work().diff(file, target)


@click.command("set", cls=StrictCommand, short_help="Have a service judge by FILE.")
@click.argument("file")
@with_target
@with_signing
@YES
@STRICT
def set_(*, file: str, target: Target, signing: SigningKey | None, yes: bool, strict: bool) -> None:
    """Have a service judge by the policy FILE, its text or a token that `donjon policy sign` made; - reads standard input.

    Shows what changes, asks, and reads back what is in force then. Warnings, as check has them, go to standard error.

    Exit code 0 it is in force, 1 refused, not wanted, or warnings with --strict, 2 FILE is no policy, 3 could not look.
    """
    _work().set_policy(file, target, signing, yes=yes, strict=strict)


@click.command(cls=StrictCommand, short_help="Have a service judge by its default policy again.")
@with_target
@with_signing
@YES
def reset(*, target: Target, signing: SigningKey | None, yes: bool) -> None:
    """Have a service judge by its default policy again.

    Shows what changes, and asks. Exit code 0 done, 1 refused or not wanted, 3 could not look.
    """
    _work().reset(target, signing, yes=yes)


@click.command(cls=StrictCommand, short_help="Sign FILE for an instance of mode Isolated.")
@click.argument("file")
@with_signing
def sign(*, file: str, signing: SigningKey | None) -> None:
    """Sign the policy FILE, and print the token, which `donjon policy set` sends as it is. Needs no service.

    Exit code 0 signed, 2 FILE is no policy, or the key is none.
    """
    if signing is None:
        raise click.UsageError("Missing option '--signing-key'.")
    _work().sign(file, signing)


@click.group(cls=StrictGroup, short_help="Show and change who may sign an instance's policies.")
def signers() -> None:
    """Who may sign policies of an instance of mode Isolated: its policy management certificates.

    A holder of one that counts already signs whose certificate is added or removed, and whoever has the role sends it.
    """


@signers.command("show", short_help="Show who may sign the policies of an instance.")
@with_target
@FORM
def show_signers(*, target: Target, form: str) -> None:
    """Show the policy management certificates of an instance: thumbprint, name, and when each is good; in JSON in PEM, too.

    Exit code 0 shown, 1 refused or not proved, 3 could not look.
    """
    _signers().show(target, form)


@signers.command(short_help="Have an instance take what the holder of FILE signs.")
@click.argument("file")
@with_target
@with_signing
@YES
def add(*, file: str, target: Target, signing: SigningKey | None, yes: bool) -> None:
    """Have an instance take what the holder of FILE signs: a certificate in PEM, or a token of `donjon policy signers sign`.

    Shows whose it is, asks, and reads back who counts then. Exit code 0 it counts, 1 refused or not wanted, 2 FILE is neither,
    3 could not look.
    """
    _signers().change(file, target, signing, adding=True, yes=yes)


@signers.command(short_help="Have an instance take nothing more that the holder of FILE signs.")
@click.argument("file")
@with_target
@with_signing
@YES
def remove(*, file: str, target: Target, signing: SigningKey | None, yes: bool) -> None:
    """Have an instance take nothing more that the holder of FILE signs: a certificate in PEM, or a token as `add` takes it.

    The policy that is in force stays. The last one cannot be removed. Exit code 0 it does not count, 1 refused or not wanted,
    2 FILE is neither, 3 could not look.
    """
    _signers().change(file, target, signing, adding=False, yes=yes)


@signers.command("sign", short_help="Sign that the certificate FILE is to be added or removed.")
@click.argument("file")
@with_signing
def sign_change(*, file: str, signing: SigningKey | None) -> None:
    """Sign that the certificate FILE is to be added or removed, and print the token, which `add` and `remove` send as it is.

    Needs no service. Exit code 0 signed, 2 FILE is no certificate, or the key is none.
    """
    if signing is None:
        raise click.UsageError("Missing option '--signing-key'.")
    _signers().sign(file, signing)


COMMANDS = (show, diff, set_, reset, sign, signers)


def _work() -> ModuleType:
    return work("donjon.cli.policy.work")


def _signers() -> ModuleType:
    return work("donjon.cli.policy.signers")
