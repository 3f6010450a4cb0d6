"""What came of the cases beside policies: for people, for programs, and for pipelines."""

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from donjon.cli.terminal import plain
from donjon.formats.json import Json, JsonObject
from donjon.policy.cases import Case, differences
from donjon.policy.decision import Decision

_NO_XML = {0xFFFE: 0xFFFD, 0xFFFF: 0xFFFD}
"""What `plain` leaves and no XML may hold (XML 1.0, section 2.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """One case: in what its decision is not as expected, and the decision's own reasons."""

    name: str
    differences: tuple[str, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteResult:
    """The cases of one file, and the rules that none of them made fire."""

    file: str
    cases: tuple[CaseResult, ...]
    idle: tuple[str, ...]

    @property
    def failures(self) -> int:
        """How many cases are not as expected."""
        return sum(bool(each.differences) for each in self.cases)


def case_result(case: Case, decision: Decision) -> CaseResult:
    """What came of that case."""
    reasons = tuple(finding.sentence() for finding in decision.findings)
    return CaseResult(name=case.name, differences=tuple(differences(case, decision)), reasons=reasons)


def lines(suites: tuple[SuiteResult, ...]) -> Iterator[str]:
    """For people."""
    for suite in suites:
        for case in suite.cases:
            yield f"{suite.file}: {case.name}: {'FAILED' if case.differences else 'ok'}"
            for line in (*case.differences, *case.reasons) if case.differences else ():
                yield f"    {line}"
        idle = f"; fired in no case: {', '.join(suite.idle)}" if suite.idle else ""
        yield f"{suite.file}: {len(suite.cases)} cases, {suite.failures} failed{idle}"


def as_json(suites: tuple[SuiteResult, ...]) -> JsonObject:
    """For programs."""
    return {"suites": [_suite_json(each) for each in suites]}


def as_junit(suites: tuple[SuiteResult, ...]) -> str:
    """JUnit XML, as pipelines read it: a suite a file, a test case a case."""
    root = Element("testsuites")
    for suite in suites:
        counts: dict[str, str] = {"tests": str(len(suite.cases)), "failures": str(suite.failures), "errors": "0", "skipped": "0"}
        element = SubElement(root, "testsuite", {"name": _xml(suite.file), **counts})
        for case in suite.cases:
            test_case = SubElement(element, "testcase", classname=_xml(suite.file), name=_xml(case.name))
            if case.differences:
                failure = SubElement(test_case, "failure", message=_xml("; ".join(case.differences)))
                failure.text = "\n".join(map(_xml, (*case.differences, *case.reasons)))
    indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{tostring(root, encoding="unicode")}\n'


def _suite_json(suite: SuiteResult) -> JsonObject:
    cases: list[Json] = [
        {"name": each.name, "ok": not each.differences, "differences": [*each.differences], "reasons": [*each.reasons]}
        for each in suite.cases
    ]
    return {"file": suite.file, "cases": cases, "failures": suite.failures, "fired_in_no_case": [*suite.idle]}


def _xml(text: str) -> str:
    return plain(text).translate(_NO_XML)
