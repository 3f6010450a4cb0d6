"""`donjon policy`: look at an attestation policy, format it, explain what it decides, and test it."""

import sys
from pathlib import Path

import click

from donjon.cli.files import display_name
from donjon.cli.policy import online
from donjon.cli.policy.reading import read_claims, read_policy, text
from donjon.cli.terminal import say, say_json, write
from donjon.errors import EXIT_NO, EXIT_YES, Malformed, Unavailable
from donjon.policy import cases as cases_file
from donjon.policy.advice import advice
from donjon.policy.decision import Decision, Outcome
from donjon.policy.evaluation import evaluate
from donjon.policy.printing import policy_text
from donjon.policy.reasons import rule_name
from donjon.policy.record import as_record
from donjon.policy.story import story
from donjon.policy.syntax import Part


@click.group()
def policy() -> None:
    """Attestation policies in the language of Microsoft Azure Attestation.

    Look, format, explain, test and sign need no service; show, diff, set and reset ask a running one, this one or Azure's.
    """


for _each in online.COMMANDS:
    policy.add_command(_each)


@policy.command(short_help="Check whether FILE is a policy, and what is wrong in it.")
@click.argument("file")
def check(file: str) -> None:
    """Check whether FILE is a policy, with line and column of what is wrong in it; - reads standard input.

    Exit code 0 it is (warnings too), 2 it is not, 3 could not look.
    """
    parsed_policy = read_policy(file)
    for finding in advice(parsed_policy):
        say(f"{display_name(file)}: {finding.severity}: {finding.sentence()}")
    rules = sum(len(parsed_policy.rules(part)) for part in Part)
    say(f"{display_name(file)}: a policy of version {parsed_policy.version} with {rules} rules")


@policy.command("format", short_help="Print FILE in the canonical form of policies.")
@click.argument("file")
def format_(file: str) -> None:
    """Print FILE in the canonical form of policies; comments and meaning stay. - reads standard input."""
    write(policy_text(read_policy(file)))


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
    decision = evaluate(read_policy(file), read_claims(claims_file))
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
    suite = cases_file.parse(text(str(file), cases_file.MAX_SIZE))
    policy_under_test = read_policy(str(file.parent / suite.policy))
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
