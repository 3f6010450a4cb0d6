"""`donjon policy`: look at an attestation policy, format it, explain what it decides, and test it."""

import json
import sys
from pathlib import Path
from typing import cast

import click

from donjon.cli.files import display_name
from donjon.cli.terminal import say, say_json, write
from donjon.errors import EXIT_MALFORMED, EXIT_NO, EXIT_YES, Malformed, Unavailable
from donjon.policy import cases as cases_file
from donjon.policy.advice import advice
from donjon.policy.claims import Claim, Json, claims
from donjon.policy.decision import Decision, Outcome
from donjon.policy.evaluation import evaluate
from donjon.policy.faults import Fault
from donjon.policy.forms import MAX_FORM, unwrap
from donjon.policy.parsing import decode, parse
from donjon.policy.printing import policy_text
from donjon.policy.reasons import rule_name
from donjon.policy.record import as_record
from donjon.policy.story import story
from donjon.policy.syntax import Part, Policy

MAX_CLAIMS_FILE = 4 << 20  # bytes


@click.group()
def policy() -> None:
    """Attestation policies in the language of Microsoft Azure Attestation: look, format, explain, test. Needs no service."""


@policy.command(short_help="Check whether FILE is a policy, and what is wrong in it.")
@click.argument("file")
def check(file: str) -> None:
    """Check whether FILE is a policy, with line and column of what is wrong in it; - reads standard input.

    Exit code 0 it is (warnings too), 2 it is not, 3 could not look.
    """
    parsed_policy = _policy(file)
    for finding in advice(parsed_policy):
        say(f"{display_name(file)}: {finding.severity}: {finding.sentence()}")
    rules = sum(len(parsed_policy.rules(part)) for part in Part)
    say(f"{display_name(file)}: a policy of version {parsed_policy.version} with {rules} rules")


@policy.command("format", short_help="Print FILE in the canonical form of policies.")
@click.argument("file")
def format_(file: str) -> None:
    """Print FILE in the canonical form of policies; comments and meaning stay. - reads standard input."""
    write(policy_text(_policy(file)))


@policy.command(short_help="Show what a policy decides, and why.")
@click.argument("file")
@click.option("--claims", "claims_file", required=True, metavar="C.json", help="The claims, as JSON; - reads standard input.")
@click.option(
    "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="For people or for programs."
)
def explain(file: str, *, claims_file: str, output: str) -> None:
    """Show what the policy FILE decides about claims, and why, rule by rule.

    The claims are an object of types and values, such as {"x-ms-sgx-svn": 3}, or a list of objects with type, value and issuer.
    Exit code 0 permitted, 1 not, 2 malformed, 3 could not look.
    """
    decision = evaluate(_policy(file), _claims(claims_file))
    if output == "json":
        say_json(as_record(decision))
    for line in story(decision) if output != "json" else ():
        say(line)
    sys.exit(EXIT_YES if decision.permitted else EXIT_NO)


@policy.command(short_help="Run the cases beside the policies in DIR.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
def test(folder: Path) -> None:
    """Test the policies in DIR with the cases beside them (NAME.cases.toml).

    Exit code 0 all cases are as expected, 1 some are not, 2 malformed or no cases, 3 could not look.
    """
    files = _cases_in(folder)
    if not files:
        raise Malformed("DJ409", f"cases: {folder} holds no file NAME{cases_file.SUFFIX}")
    failures = sum(_run_cases(file) for file in files)
    sys.exit(EXIT_NO if failures else EXIT_YES)


def _run_cases(file: Path) -> int:
    """Run the cases of a file, print each; how many are not as expected."""
    suite = cases_file.parse(_text(str(file), cases_file.MAX_SIZE))
    policy_under_test = _policy(str(file.parent / suite.policy))
    decisions = [evaluate(policy_under_test, case.claims) for case in suite.cases]
    failures = 0
    for case, decision in zip(suite.cases, decisions, strict=True):
        lines = list(cases_file.differences(case, decision))
        say(f"{file}: {case.name}: {'FAILED' if lines else 'ok'}")
        for line in (*lines, *(finding.sentence() for finding in decision.findings)) if lines else ():
            say(f"    {line}")
        failures += bool(lines)
    say(f"{file}: {len(decisions)} cases, {failures} failed{_idle(decisions)}")
    return failures


def _idle(decisions: list[Decision]) -> str:
    """The rules that no case made fire: what they do, nobody has tried."""
    entries_by_rule = zip(*(decision.trace for decision in decisions), strict=True)
    idle = [entries[0] for entries in entries_by_rule if all(entry.outcome is not Outcome.FIRED for entry in entries)]
    return f"; fired in no case: {', '.join(map(rule_name, idle))}" if idle else ""


def _cases_in(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.name.endswith(cases_file.SUFFIX))
    except OSError as error:
        raise Unavailable("DJ424", f"{folder}: cannot be read: {error.strerror or error}") from error


def _policy(file: str) -> Policy:
    form = unwrap(_content(file, MAX_FORM))
    if form.wrappings:
        around = ", in ".join(reversed(form.wrappings))
        say(f"{display_name(file)}: the policy in {around}: lines are those of its text; no signature was checked", err=True)
    try:
        return parse(form.text)
    except Fault as fault:
        for other in (fault, *fault.others):
            where = f"{display_name(file)}:{other.at.line}:{other.at.column}"
            say(f"{where}: {other.problem}; expected {other.expected} [{other.code}]", err=True)
        say(f"donjon explain {fault.code} tells more", err=True)
        sys.exit(EXIT_MALFORMED)


def _claims(file: str) -> tuple[Claim, ...]:
    text = _text(file, MAX_CLAIMS_FILE)
    try:
        return claims(cast("Json", json.loads(text, object_pairs_hook=_without_doubles)))
    except (ValueError, RecursionError) as error:
        raise Malformed("DJ408", f"claims: {display_name(file)} is no JSON: {error}") from error


def _without_doubles(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a key stands twice in one object; write a list as its value")
    return members


def _text(file: str, bound: int) -> str:
    return decode(_content(file, bound))


def _content(file: str, bound: int) -> bytes:
    try:
        with click.open_file(file, "rb") as stream:
            content: bytes = stream.read(bound + 1)
    except OSError as error:
        raise Unavailable("DJ424", f"{display_name(file)}: cannot be read: {error.strerror or error}") from error
    if len(content) > bound:
        raise Malformed("DJ401", f"{display_name(file)}: more than {bound} bytes")
    return content
