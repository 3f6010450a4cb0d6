"""What `donjon policy` does with a running service: shows, compares, sets and resets its policies, and signs them."""

import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from difflib import unified_diff

from donjon.adapters import clock
from donjon.adapters.maa.client import AttestationServer
from donjon.cli import issuer
from donjon.cli.files import content, display_name
from donjon.cli.policy.instance import call, confirm, read_at_most_once, read_signer
from donjon.cli.policy.options import SigningKey, Target
from donjon.cli.policy.reading import parse_form
from donjon.cli.terminal import say, say_finding, say_json, write
from donjon.errors import EXIT_NO, EXIT_YES, DonjonError, Untrusted
from donjon.findings import codes
from donjon.maa import documents, policies
from donjon.maa.documents import PolicyDocument
from donjon.policy.advice import advice
from donjon.policy.forms import MAX_FORM, hash_of, unwrap
from donjon.signing import jws
from donjon.signing.signer import Signer

FORMER = (
    "A former one instead: donjon audit show --kind policy-set has its hash, donjon audit policy HASH its text, "
    "and donjon policy set puts it back"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPolicy:
    """A policy that was looked at and can be sent."""

    text: str
    token: str
    has_warnings: bool


def show(target: Target, form: str) -> None:
    """Print the policy in force, and what is known of it."""

    async def ask(server: AttestationServer) -> tuple[str, str]:
        policy = await server.policy(target.kind, target.version, clock.moment())
        return policy, await server.mode(target.version, clock.moment())

    token, mode = call(target, ask)
    document = documents.read(token)
    if form == "json":
        facts = {"server": issuer.address(target.server), "type": str(target.kind), "mode": mode}
        say_json({**facts, "hash": document.hash, "signature": document.signature, "policy": document.text, "token": token})
        return
    say(f"{_place(target)}: {_description(document)}; the instance is of mode {mode}", err=True)
    write(document.text if document.text.endswith("\n") or not document.text else f"{document.text}\n")


def diff(file: str, target: Target) -> None:
    """Print where the file and the policy in force differ, and end with the exit code."""
    policy = _new(file, target, None)
    before = documents.read(call(target, _asking(target)))
    sys.exit(EXIT_NO if _print_changes(before.text, policy.text, display_name(file), target) else EXIT_YES)


def set_policy(file: str, target: Target, signing: SigningKey | None, *, yes: bool, strict: bool) -> None:
    """Have the policy of the file in force, when that was said to be meant."""
    policy = _new(file, target, signing)
    if strict and policy.has_warnings:
        say("nothing was changed: the policy has warnings (--strict)", err=True)
        sys.exit(EXIT_NO)
    before = _in_force(target)
    if not _print_changes("" if before is None else before.text, policy.text, display_name(file), target):
        say(f"{_place(target)}: the text is the same already")
    elif not yes:
        confirm("set this policy?", file, target)

    async def change(server: AttestationServer) -> str:
        await server.set_policy(target.kind, policy.token, target.version, clock.moment())
        return await server.policy(target.kind, target.version, clock.moment())

    after, expected = documents.read(call(target, change)), hash_of(policy.text)
    if after.hash != expected:
        raise Untrusted("DJ583", f"{_place(target)}: set, but what is in force has the hash {after.hash}, expected {expected}")
    say(f"{_place(target)}: in force is {_description(after)}")


def reset(target: Target, signing: SigningKey | None, *, yes: bool) -> None:
    """Have the default policy in force, when that was said to be meant: that opens more than it closes, so it is shown."""
    before, default = _in_force(target), policies.DEFAULTS.get(target.kind, policies.NOTHING_PERMITTED)
    if before is not None and before.text == default:
        say(f"{_place(target)}: the default policy is in force already")
    else:
        _print_changes("" if before is None else before.text, default, "the default policy", target)
        if target.kind in policies.DEFAULTS:
            say(f"the default policy permits whatever the operator's gate lets in. {FORMER}", err=True)
        if not yes:
            confirm("have the default policy instead?", "", target)
    token = policies.NO_POLICY if signing is None else policies.signed_reset(read_signer(signing))

    async def change(server: AttestationServer) -> str:
        await server.reset_policy(target.kind, token, target.version, clock.moment())
        return await server.policy(target.kind, target.version, clock.moment())

    say(f"{_place(target)}: reset; in force is {_description(documents.read(call(target, change)))}")


def sign(file: str, signing: SigningKey) -> None:
    """Print the policy's token, signed."""
    write(f"{_look(content(file, MAX_FORM), file, read_signer(signing), '').token}\n")


def _new(file: str, target: Target, signing: SigningKey | None) -> NewPolicy:
    data = read_at_most_once(file, target, MAX_FORM)
    return _look(data, file, None if signing is None else read_signer(signing), target.kind)


def _look(data: bytes, file: str, signer: Signer | None, kind: str) -> NewPolicy:
    """The policy with every warning told, those of that attestation type where it is known; faults end the program.

    A token that is signed already is sent as it is.
    """
    form = unwrap(data)
    warnings = advice(parse_form(form, file), kind)
    for finding in warnings:
        say_finding(finding, before=f"{display_name(file)}: ", err=True)
    if signer is not None:
        token = policies.signed_token(form.text, signer)
    elif form.token is None or not form.is_signed:
        token = policies.unsecured_token(form.text)
    else:
        jws.prove(jws.parse(form.token, "policy token"))
        token = form.token
    return NewPolicy(text=form.text, token=token, has_warnings=bool(warnings))


def _print_changes(before: str, text: str, name: str, target: Target) -> bool:
    """Print what differs, as `diff -u` does; whether anything does."""
    names = f"in force, {_place(target)}", name
    lines = list(unified_diff(before.splitlines(), text.splitlines(), *names, lineterm=""))
    for line in lines:
        say(line)
    if not lines and before != text:
        say("they differ in the ends of their lines alone")
    return before != text


def _in_force(target: Target) -> PolicyDocument | None:
    """The policy that is to be changed; `None`, with a word of it, where the service keeps one that it cannot apply or show."""
    try:
        return documents.read(call(target, _asking(target)))
    except DonjonError as error:
        if error.code != codes.NOT_APPLICABLE:
            raise
        say(f"what is in force cannot be shown, so nothing is compared: {error.message} [{error.code}]", err=True)
        return None


def _asking(target: Target) -> Callable[[AttestationServer], Awaitable[str]]:
    async def ask(server: AttestationServer) -> str:
        return await server.policy(target.kind, target.version, clock.moment())

    return ask


def _place(target: Target) -> str:
    return f"{target.kind} at {issuer.address(target.server)}"


def _description(document: PolicyDocument) -> str:
    return f"hash {document.hash}, {document.signature}" if document.text else "no policy"
