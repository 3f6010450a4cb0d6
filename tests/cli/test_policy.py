"""`donjon policy` as a security officer or a script meets it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from tests import pages
from tests.cli.calling import call

from donjon.formats import base64url
from donjon.maa.policies import parse_stored, unsecured_token
from donjon.policy.budget import MAX_STEPS
from donjon.policy.claims import MAX_CLAIMS, MAX_TEXT
from donjon.policy.matching import MAX_COMBINATIONS
from donjon.policy.parsing import MAX_SIZE
from donjon.policy.query import MAX_NESTING, MAX_QUERY
from donjon.policy.tree import MAX_DEPTH

PROJECT = Path(__file__).parents[2]
EXAMPLES = PROJECT / "docs" / "examples" / "policies"
POLICY = EXAMPLES / "enclave.policy"
CASES = "enclave.cases.toml"
HASH = parse_stored(unsecured_token(POLICY.read_text(encoding="utf-8"))).hash
QUOTE = PROJECT / "vectors" / "teepot" / "sw_hardening"


def policy(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return call("policy", *arguments)


def written(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The example, to be changed."""
    for file in EXAMPLES.iterdir():
        written(tmp_path, file.name, file.read_text(encoding="utf-8"))
    return tmp_path


def test_check_says_what_the_file_is() -> None:
    done = policy("check", POLICY)
    assert (done.returncode, done.stdout) == (0, f"{POLICY}: a policy of version 1.2 with 4 rules, hash {HASH}\n")


def test_check_tells_every_fault_with_line_and_column(tmp_path: Path) -> None:
    wrong = written(
        tmp_path, "wrong.policy", 'version=1.0;\nauthorizationrules\n{\n  ![type=="a"] => permit();\n  [value<"b"] => deny();\n};'
    )
    done = policy("check", wrong)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"{wrong}:4:3: ! in version 1.0; expected version=1.2; [DJ402]",
        f"{wrong}:5:10: < with a text; expected a whole number: only those are ordered [DJ407]",
        "donjon explain DJ402 tells more",
    ]


def test_a_policy_is_read_as_it_travels_and_lines_are_those_of_its_text(tmp_path: Path) -> None:
    text = POLICY.read_text(encoding="utf-8")
    shown = written(tmp_path, "show.json", json.dumps({"additionalProperties": {}, "token": unsecured_token(text)}))
    done = policy("check", shown)
    assert (done.returncode, done.stdout) == (0, f"{shown}: a policy of version 1.2 with 4 rules, hash {HASH}\n")
    assert "the policy in AttestationPolicy, in a token with algorithm none, in token" in done.stderr
    assert "no signature was checked" in done.stderr
    done = policy("format", shown)
    assert done.stdout == text
    done = policy("explain", shown, "--claims", EXAMPLES / "claims.json", "--output", "json")
    assert (done.returncode, json.loads(done.stdout)["verdict"]) == (1, "not permitted")
    wrong = written(tmp_path, "wrong.jwt", unsecured_token("version=1.0;\nauthorizationrules\n{\n  => permit(;\n};"))
    done = policy("check", wrong)
    assert done.returncode == 2
    assert f"{wrong}:4:13: found ';'" in done.stderr


def test_a_token_of_attestation_is_told_to_be_one(tmp_path: Path) -> None:
    done = policy("check", written(tmp_path, "token.json", json.dumps({"x-ms-policy-hash": "h", "iss": "https://a.example"})))
    assert done.returncode == 2
    assert "an attestation token, which names its policy by the hash alone" in done.stderr
    assert "DJ291" in done.stderr


def test_check_warns_and_says_yes(tmp_path: Path) -> None:
    done = policy("check", written(tmp_path, "loose.policy", "version=1.0; authorizationrules { => deny() };"))
    assert done.returncode == 0
    assert "[DJ420]" in done.stdout
    assert "[DJ421]" in done.stdout


def test_a_strict_check_of_what_it_warns_of_is_a_no(tmp_path: Path) -> None:
    loose = written(tmp_path, "loose.policy", "version=1.0; authorizationrules { => deny() };")
    assert (policy("check", "--strict", loose).returncode, policy("check", "--strict", POLICY).returncode) == (1, 0)


@pytest.mark.parametrize("output", ["text", "json", "junit"])
def test_cases_do_not_hide_a_claim_that_nobody_states(folder: Path, output: str) -> None:
    said = POLICY.read_text(encoding="utf-8").replace("x-ms-sgx-is-debuggable", "x-ms-sgx-is-debugable")
    written(folder, "enclave.policy", said)
    done = policy("test", folder, "--output", output)
    assert "enclave.policy: warning: " in done.stderr
    assert "[DJ425]" in done.stderr
    assert "DJ425" not in done.stdout


def test_explain_says_which_claim_was_probably_meant_and_the_same_decision(tmp_path: Path) -> None:
    text = POLICY.read_text(encoding="utf-8")
    misspelt = written(tmp_path, "misspelt.policy", text.replace("x-ms-sgx-svn", "x-ms-sgx-svm"))
    for form in ("text", "json"):
        done = policy("explain", misspelt, "--claims", EXAMPLES / "claims.json", "--output", form)
        assert "did you mean x-ms-sgx-svn?" in done.stderr
        assert "did you mean" not in done.stdout
        assert "[DJ4" not in policy("explain", POLICY, "--claims", EXAMPLES / "claims.json", "--output", form).stderr


def test_format_prints_the_example_as_it_stands() -> None:
    done = policy("format", POLICY)
    assert (done.returncode, done.stdout) == (0, POLICY.read_text(encoding="utf-8"))


def test_format_mends_spelling(tmp_path: Path) -> None:
    done = policy("format", written(tmp_path, "loose.policy", 'version=1.0;authorizationrules{[type="a"]=>permit()}// ja'))
    assert done.stdout == 'version=1.0;\n\nauthorizationrules\n{\n    [type=="a"] => permit();\n};\n\n// ja\n'


def test_explain_of_a_no_tells_why_and_ends_with_1() -> None:
    done = policy("explain", POLICY, "--claims", EXAMPLES / "claims.json")
    assert done.returncode == 1
    assert done.stdout.startswith("NOT PERMITTED: no permit() fired.\n")
    assert "x-ms-sgx-svn has value 2, expected value>=3" in done.stdout


def test_explain_of_a_yes_tells_what_the_token_says(tmp_path: Path) -> None:
    stated = json.loads((EXAMPLES / "claims.json").read_text(encoding="utf-8")) | {"x-ms-sgx-svn": 7}
    done = policy("explain", POLICY, "--claims", written(tmp_path, "c.json", json.dumps(stated)))
    assert done.returncode == 0
    assert "  version = 7\n" in done.stdout


def test_explain_tells_programs_the_same() -> None:
    done = policy("explain", POLICY, "--claims", EXAMPLES / "claims.json", "--output", "json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["verdict"] == "not permitted"
    assert found["issued"] == {}
    assert [finding["code"] for finding in found["findings"]] == ["DJ411"]
    (refusing,) = [entry for entry in found["trace"] if entry["section"] == "authorizationrules" and "permit" in entry["text"]]
    assert (refusing["rule"], refusing["outcome"]) == (2, "did not fire")
    missed = refusing["conditions"][-1]
    assert not missed["holds"]
    assert missed["misses"] == ["x-ms-sgx-svn has value 2, expected value>=3"]
    signer = refusing["conditions"][0]
    assert signer["holds"]
    assert [claim["type"] for claim in signer["claims"]["claims"]] == ["x-ms-sgx-mrsigner"]


def test_a_long_value_is_cut_in_the_trace_and_whole_in_what_is_issued(tmp_path: Path) -> None:
    issuing = 'version=1.0;authorizationrules{=>permit();};issuancerules{c:[type=="a"]=>issue(claim=c);};'
    stated = written(tmp_path, "c.json", json.dumps({"a": "x" * 1000}))
    done = policy("explain", written(tmp_path, "p.policy", issuing), "--claims", stated, "--output", "json")
    found = json.loads(done.stdout)
    assert found["issued"] == {"a": ["x" * 1000]}
    assert found["trace"][1]["made"]["claims"][0]["value"] == "x" * 256 + "…"


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ("{", "is no JSON"),
        ('{"a": 1, "a": 2}', "a key stands twice"),
        ('{"a": null}', "its value is null"),
        ("[" * 9999, "is no JSON"),
    ],
)
def test_claims_that_are_none_end_with_2(tmp_path: Path, stated: str, said: str) -> None:
    done = policy("explain", POLICY, "--claims", written(tmp_path, "c.json", stated))
    assert done.returncode == 2
    assert said in done.stderr
    assert "[DJ408]" in done.stderr
    assert "Traceback" not in done.stderr


def test_test_runs_the_examples() -> None:
    done = policy("test", EXAMPLES)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == f"{EXAMPLES / CASES}: 4 cases, 0 failed"


def test_test_tells_what_came_out_otherwise(folder: Path) -> None:
    weakened = (
        POLICY.read_text(encoding="utf-8").replace("value>=3", "value>=2").replace("value==true] => deny", "value==1] => deny")
    )
    written(folder, "enclave.policy", weakened)
    done = policy("test", folder)
    assert done.returncode == 1
    assert f"{folder / CASES}: a version that is known to be broken is refused: FAILED\n" in done.stdout
    assert "    the verdict is permitted, expected not permitted\n" in done.stdout
    assert "    the verdict is permitted, expected denied\n" in done.stdout
    assert done.stdout.splitlines()[-1].endswith("4 cases, 2 failed; fired in no case: line 7, rule 1 of authorizationrules")


def test_test_without_cases_is_no_success(tmp_path: Path) -> None:
    done = policy("test", tmp_path)
    assert done.returncode == 2
    assert "[DJ409]" in done.stderr


def test_cases_of_a_policy_that_is_not_there_end_with_2(folder: Path) -> None:
    (folder / "enclave.policy").unlink()
    assert policy("test", folder).returncode == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "nowhere.policy"),
        ("format", "nowhere.policy"),
        ("test", "nowhere"),
        ("explain", str(POLICY), "--claims", "nowhere.json"),
    ],
)
def test_what_cannot_be_read_ends_with_2(arguments: tuple[str, ...]) -> None:
    done = policy(*arguments)
    assert done.returncode == 2
    assert f"{arguments[-1]}: cannot be read: No such file or directory [DJ932]" in done.stderr


def test_what_is_too_long_or_no_text_ends_with_2(tmp_path: Path) -> None:
    long = written(tmp_path, "long.policy", " " * 70_000)
    assert "DJ401" in policy("check", long).stderr
    assert policy("check", long).returncode == 2
    (tmp_path / "binary.policy").write_bytes(b"\x80\x81")
    assert "DJ400" in policy("check", tmp_path / "binary.policy").stderr
    assert str(tmp_path / "binary.policy") in policy("check", tmp_path / "binary.policy").stderr


@pytest.mark.parametrize("content", [b"\x80\x81", b"no toml", b"policy = 'x'\n[[case]]\nname = 1\n"])
def test_a_faulty_file_of_cases_or_a_binary_policy_is_told_by_its_name(folder: Path, content: bytes) -> None:
    (folder / CASES).write_bytes(content)
    done = policy("test", folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"donjon: {folder / CASES}: " in done.stderr


# The page.

PAGE = (PROJECT / "docs" / "policies.md").read_text(encoding="utf-8")
CONSOLE = [
    (command, printed)
    for command, printed in re.findall(r"^```console\n\$ donjon (.+)\n((?:.+\n)*)```$", PAGE, re.MULTILINE)
    if f"donjon {command}" in pages.shown("policies.md", __file__)
]


@pytest.mark.parametrize(("command", "printed"), CONSOLE)
def test_the_page_shows_what_its_commands_print(command: str, printed: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "donjon", *command.split()], cwd=PROJECT, capture_output=True, text=True, check=False, timeout=30
    )
    assert done.stdout.startswith(printed)


def test_the_page_shows_every_command_and_lines_of_the_example() -> None:
    assert [f"donjon {command}" for command, _ in CONSOLE] == pages.shown("policies.md", __file__)
    assert [command.split()[1] for command, _ in CONSOLE] == ["check", "explain", "test"]
    for file, fence in ((POLICY, "```text\nversion"), (EXAMPLES / CASES, "```toml\n")):
        shown = PAGE.partition(fence)[2].partition("```")[0].splitlines()[1:]
        assert shown
        assert set(shown) <= set(file.read_text(encoding="utf-8").splitlines())


def test_the_page_states_the_bounds() -> None:
    bounds = (MAX_SIZE, MAX_DEPTH, MAX_CLAIMS, MAX_STEPS, MAX_COMBINATIONS, MAX_TEXT, MAX_QUERY, MAX_NESTING)
    section = PAGE.partition("## Bounds")[2].partition("## Where")[0]
    assert set(map(str, bounds)) <= set(re.findall(r"\d+", section))


def test_a_policy_comes_from_standard_input() -> None:
    command = [sys.executable, "-m", "donjon", "policy", "check", "-"]
    done = subprocess.run(command, input=POLICY.read_bytes(), capture_output=True, check=False, timeout=30)
    assert (done.returncode, done.stdout) == (0, f"standard input: a policy of version 1.2 with 4 rules, hash {HASH}\n".encode())


def statement(**claims: object) -> str:
    """A token of which nothing is proved."""
    return ".".join(base64url.encode(json.dumps(each).encode()) for each in ({"alg": "RS256"}, claims)) + ".AAAA"


GOOD = {
    "x-ms-sgx-is-debuggable": False,
    "x-ms-sgx-mrsigner": "83d719e77deaca1470f6baf62a4d774303c899db69020f9c70ee1dfc08c7ce9e",
    "x-ms-sgx-product-id": 1,
    "x-ms-sgx-svn": 3,
}


def test_explain_takes_the_claims_of_a_token_without_what_another_policy_added(tmp_path: Path) -> None:
    text = 'version=1.0; authorizationrules { [type=="$svn", value==3] => permit(); [type=="mine"] => deny(); }; issuancerules{};'
    file = written(tmp_path, "p.policy", text)
    token = written(tmp_path, "t.jwt", statement(**GOOD, mine=True, iss="https://attest.example", fraction=1.5) + "\n")
    done = policy("explain", file, "--token", token)
    assert (done.returncode, "nothing is proved here" in done.stderr) == (0, True)
    done = policy("explain", POLICY, "--claims", token)
    assert (done.returncode, f"is a token, expected claims in JSON; say --token {token}" in done.stderr) == (2, True)


def test_explain_takes_a_quote_and_tells_what_the_gate_says_before() -> None:
    said = ("--quote", QUOTE / "quote.bin", "--collateral", QUOTE, "--at", "2023-05-15", "--output", "json")
    done = policy("explain", POLICY, *said)
    answer = json.loads(done.stdout)
    assert (done.returncode, done.stderr, answer["verdict"]) == (1, "", "not permitted")
    old = QUOTE.parent / "out_of_date"
    done = policy("explain", POLICY, "--quote", old / "quote.bin", "--collateral", old, "--at", "2023-05-15")
    assert done.returncode == 1
    assert "the gate refuses it before any policy, unless its settings allow it: TCB: OutOfDate" in done.stderr


def test_a_quote_that_is_not_true_is_explained_to_nobody(tmp_path: Path) -> None:
    raw = bytearray((QUOTE / "quote.bin").read_bytes())
    raw[48 + 64] ^= 1  # in MRENCLAVE
    (tmp_path / "quote.bin").write_bytes(raw)
    done = policy("explain", POLICY, "--quote", tmp_path / "quote.bin", "--collateral", QUOTE, "--at", "2023-05-15")
    assert (done.returncode, done.stdout, "[DJ243]" in done.stderr) == (1, "", True)


@pytest.mark.parametrize(
    "words", [(), ("--claims", "a", "--token", "b"), ("--quote", "a"), ("--claims", "a", "--collateral", "b")]
)
def test_explain_wants_one_enclave(words: tuple[str, ...]) -> None:
    assert policy("explain", POLICY, *words).returncode == 2


def test_cases_are_told_to_programs(folder: Path) -> None:
    broken = (folder / CASES).read_text(encoding="utf-8").replace('verdict = "denied"', 'verdict = "permitted"')
    written(folder, CASES, broken)
    done = policy("test", folder, "-o", "json")
    (suite,) = json.loads(done.stdout)["suites"]
    assert (done.returncode, suite["failures"], len(suite["cases"])) == (1, 1, 4)
    (failed,) = (each for each in suite["cases"] if not each["ok"])
    assert failed["differences"] == ["the verdict is denied, expected permitted"]
    assert policy("test", EXAMPLES, "-o", "json").returncode == 0


def test_cases_are_told_to_pipelines_in_the_form_that_pytest_tells_its_own(folder: Path, tmp_path: Path) -> None:
    """Every element and attribute is one that pytest's own file has, at the same place."""
    broken = (folder / CASES).read_text(encoding="utf-8").replace('verdict = "denied"', 'verdict = "permitted"')
    written(folder, CASES, broken.replace("a debug enclave", "<a> \\u0000\\uFFFE enclave"))
    done = policy("test", folder, "-o", "junit")
    assert done.returncode == 1
    root = ET.fromstring(done.stdout)  # noqa: S314 - our own.
    (suite,) = root
    assert (root.tag, suite.get("tests"), suite.get("failures")) == ("testsuites", "4", "1")
    (failure,) = root.iter("failure")
    assert failure.get("message") == "the verdict is denied, expected permitted"
    theirs = written(tmp_path, "test_theirs.py", "def test_good(): pass\ndef test_bad(): assert 0\n")
    command = (
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-c",
        "/dev/null",
        f"--junitxml={tmp_path}/x.xml",
        theirs,
    )
    subprocess.run(
        command, capture_output=True, check=False, cwd=tmp_path, env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    )
    assert shape(root) <= shape(ET.parse(tmp_path / "x.xml").getroot())  # noqa: S314 - pytest's.


def shape(element: ET.Element, path: str = "") -> set[tuple[str, str]]:
    place = f"{path}/{element.tag}".lstrip("/")
    return {(place, name) for name in ("", *element.keys())}.union(*(shape(each, place) for each in element))
