"""`donjon policy`: look at an attestation policy, format it, explain what it decides, and test it."""

import sys
from datetime import datetime
from pathlib import Path

import click

from donjon.cli.files import display_name, within
from donjon.cli.options import AT, FORM, TRUST_ROOT, StrictGroup, work
from donjon.cli.policy import online, results
from donjon.cli.policy.from_enclave import from_enclave
from donjon.cli.policy.options import STRICT
from donjon.cli.policy.reading import parse_form, read_claims, read_form, read_policy, text
from donjon.cli.policy.results import SuiteResult
from donjon.cli.terminal import say, say_finding, say_json, write
from donjon.errors import EXIT_NO, EXIT_YES, Malformed
from donjon.policy import cases as cases_file
from donjon.policy.advice import advice
from donjon.policy.decision import Decision, Entry, Outcome
from donjon.policy.evaluation import evaluate
from donjon.policy.forms import hash_of
from donjon.policy.printing import policy_text
from donjon.policy.reasons import rule_name
from donjon.policy.record import as_record
from donjon.policy.story import story
from donjon.policy.syntax import Part


@click.group(cls=StrictGroup)
def policy() -> None:
    """Attestation policies in the language of Microsoft Azure Attestation.

    Look, format, explain, test and sign need no service; show, diff, set and reset ask a running one, this one or Azure's.
    """


for _each in (*online.COMMANDS, from_enclave):
    policy.add_command(_each)


@policy.command(short_help="Check whether FILE is a policy, and what is wrong in it.")
@click.argument("file")
@STRICT
def check(file: str, *, strict: bool) -> None:
    """Check whether FILE is a policy, with line and column of what is wrong in it; - reads standard input.

    Tells the hash by which tokens and the audit name a policy of that text.

    Exit code 0 it is (warnings too, but 1 with --strict), 2 it is not, or cannot be read.
    """
    form = read_form(file)
    parsed_policy = parse_form(form, file)
    warnings = advice(parsed_policy)
    for finding in warnings:
        say_finding(finding, before=f"{display_name(file)}: ")
    rules = sum(len(parsed_policy.rules(part)) for part in Part)
    text_hash = hash_of(form.text)
    say(f"{display_name(file)}: a policy of version {parsed_policy.version} with {rules} rules, hash {text_hash}")
    sys.exit(EXIT_NO if strict and warnings else EXIT_YES)


@policy.command("format", short_help="Print FILE in the canonical form of policies.")
@click.argument("file")
def format_(file: str) -> None:
    """Print FILE in the canonical form of policies; comments and meaning stay. - reads standard input."""
    write(policy_text(read_policy(file)))


@policy.command(short_help="Show what a policy decides, and why.")
@click.argument("file")
@click.option("--claims", "claims_file", metavar="C.json", help="The claims, as JSON; - reads standard input.")
@click.option("--token", "token_file", metavar="T.jwt", help="The claims of this token; - reads standard input.")
@click.option("--quote", "quote_file", metavar="Q.bin", help="The claims of this quote; - reads standard input.")
@click.option(
    "--collateral", type=click.Path(path_type=Path), metavar="BUNDLE.json|DIR", help="What Intel states of the quote's platform."
)
@AT
@TRUST_ROOT
@FORM
def explain(
    file: str,
    *,
    claims_file: str | None,
    token_file: str | None,
    quote_file: str | None,
    collateral: Path | None,
    at: datetime | None,
    unsafe_trust_root: Path | None,
    form: str,
) -> None:
    """Show what the policy FILE decides about an enclave, and why, rule by rule.

    The enclave is one of --claims, --token or --quote. Claims are an object of types and values, such as {"x-ms-sgx-svn": 3}, or
    a list of objects with type, value and issuer. A quote is verified with --collateral; what the service's gate would refuse
    before any policy is told. Warnings of the policy, as check has them, go to standard error.

    Exit code 0 permitted, 1 not, 2 malformed, 3 no collateral.
    """
    if len([each for each in (claims_file, token_file, quote_file) if each is not None]) != 1:
        raise click.UsageError("say one of --claims, --token and --quote: of which enclave it is to be explained")
    if (quote_file is None) is not (collateral is None):
        raise click.UsageError("--quote and --collateral belong together")
    tried_policy = read_policy(file)
    if claims_file is not None:
        incoming = read_claims(claims_file)
    elif token_file is not None:
        incoming = work("donjon.cli.policy.sources").of_token(token_file)
    else:
        incoming = work("donjon.cli.policy.sources").of_quote(quote_file, collateral, at, unsafe_trust_root)
    for finding in advice(tried_policy):
        say_finding(finding, before=f"{display_name(file)}: ", err=True)
    decision = evaluate(tried_policy, incoming)
    if form == "json":
        say_json(as_record(decision))
    for line in story(decision) if form != "json" else ():
        say(line)
    sys.exit(EXIT_YES if decision.permitted else EXIT_NO)


@policy.command(short_help="Run the cases beside the policies in DIR.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--output",
    "-o",
    type=click.Choice(["text", "json", "junit"]),
    default="text",
    show_default=True,
    help="For people, for programs, or for a pipeline (JUnit XML).",
)
def test(folder: Path, *, output: str) -> None:
    """Test the policies in DIR with the cases beside them (NAME.cases.toml); what check warns of goes to standard error.

    Exit code 0 all cases are as expected, 1 some are not, 2 malformed or no cases.
    """
    files = _cases_in(folder)
    if not files:
        raise Malformed("DJ409", f"cases: {folder} holds no file NAME{cases_file.SUFFIX}")
    suites = tuple(map(_run_cases, files))
    match output:
        case "json":
            say_json(results.as_json(suites))
        case "junit":
            write(results.as_junit(suites))
        case _:
            for line in results.lines(suites):
                say(line)
    sys.exit(EXIT_NO if any(suite.failures for suite in suites) else EXIT_YES)


def _run_cases(file: Path) -> SuiteResult:
    """What came of the cases of a file."""
    cases_text = text(str(file), cases_file.MAX_SIZE)
    with within(str(file)):
        suite = cases_file.parse(cases_text)
    policy_under_test = read_policy(str(file.parent / suite.policy))
    for finding in advice(policy_under_test):
        say_finding(finding, before=f"{display_name(str(file.parent / suite.policy))}: ", err=True)
    decisions = [evaluate(policy_under_test, case.claims) for case in suite.cases]
    return SuiteResult(
        file=str(file),
        cases=tuple(results.case_result(case, decision) for case, decision in zip(suite.cases, decisions, strict=True)),
        idle=tuple(map(rule_name, _idle(decisions))),
    )


def _idle(decisions: list[Decision]) -> list[Entry]:
    """The rules that no case made fire: what they do, nobody has tried."""
    entries_by_rule = zip(*(decision.trace for decision in decisions), strict=True)
    return [entries[0] for entries in entries_by_rule if all(entry.outcome is not Outcome.FIRED for entry in entries)]


def _cases_in(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.name.endswith(cases_file.SUFFIX))
    except OSError as error:
        raise Malformed("DJ932", f"{folder}: cannot be read: {error.strerror or error}") from error
