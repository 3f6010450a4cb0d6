"""What the commands read: policies in whatever form they come, and claims."""

import json
import re
import sys
from typing import cast

from donjon.cli.files import content, display_name, within
from donjon.cli.terminal import say
from donjon.errors import EXIT_MALFORMED, Malformed
from donjon.policy.claims import Claim, Json, claims
from donjon.policy.faults import Fault
from donjon.policy.forms import MAX_FORM, Form, unwrap
from donjon.policy.parsing import decode, parse
from donjon.policy.syntax import Policy

MAX_CLAIMS_FILE = 4 << 20  # bytes

_TOKEN = re.compile(r"\s*ey[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\s*", re.ASCII)


def read_policy(file: str) -> Policy:
    """The policy of a file; where it is none, every fault is told and the program ends."""
    return parse_form(read_form(file), file)


def read_form(file: str) -> Form:
    """The policy's text in a file, whatever is around it; that is told."""
    data = content(file, MAX_FORM)
    with within(file):
        form = unwrap(data)
    if form.wrappings:
        around = ", in ".join(reversed(form.wrappings))
        say(f"{display_name(file)}: the policy in {around}: lines are those of its text; no signature was checked", err=True)
    return form


def parse_form(form: Form, file: str) -> Policy:
    """The policy of that text; where it is none, every fault is told and the program ends."""
    try:
        return parse(form.text)
    except Fault as fault:
        for other in (fault, *fault.others):
            where = f"{display_name(file)}:{other.at.line}:{other.at.column}"
            say(f"{where}: {other.problem}; expected {other.expected} [{other.code}]", err=True)
        say(f"donjon explain {fault.code} tells more", err=True)
        sys.exit(EXIT_MALFORMED)


def read_claims(file: str) -> tuple[Claim, ...]:
    """The claims of a file in JSON; raises `Malformed` DJ408."""
    claims_text = text(file, MAX_CLAIMS_FILE)
    if _TOKEN.fullmatch(claims_text):
        raise Malformed("DJ408", f"claims: {display_name(file)} is a token, expected claims in JSON; say --token {file}")
    try:
        return claims(cast("Json", json.loads(claims_text, object_pairs_hook=_without_doubles)))
    except ValueError as error:
        raise Malformed("DJ408", f"claims: {display_name(file)} is no JSON: {error}") from error
    except RecursionError as error:
        raise Malformed(
            "DJ408", f"claims: {display_name(file)} is no JSON: its brackets stand too deeply within one another"
        ) from error


def _without_doubles(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a key stands twice in one object; write a list as its value")
    return members


def text(file: str, bound: int) -> str:
    """What stands in a file; raises `Malformed` as `content` does, and DJ400 for no UTF-8."""
    data = content(file, bound)
    with within(file):
        return decode(data)
