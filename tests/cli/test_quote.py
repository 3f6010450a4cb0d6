"""`donjon quote` as a person or a script meets it."""

import base64
import json
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.attestation.vectors import ROOT
from tests.simulation.intel import MOMENT, world

from donjon.cli.quote.command import quote
from donjon.collateral import bundle
from donjon.errors import DonjonError
from donjon.formats.json import JsonObject, at, objects
from donjon.simulation.intel.world import World

SGX = ROOT / "dcap-qvl/quotes/f8b81014b6e4_v3_sgx_00a067110000.bin"
SGX_BUNDLE = ROOT / "dcap-qvl/sgx_quote_collateral.json"
SGX_TIME = "2025-06-20T00:00:00Z"
SW_HARDENING = ROOT / "teepot/sw_hardening"
SW_HARDENING_TIME = "1684165303"


def run(*arguments: str | Path, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(quote, [str(each) for each in arguments], input=stdin)


def verdict(*arguments: str | Path, code: int) -> JsonObject:
    done = run("verify", *arguments, "--output", "json")
    assert done.exit_code == code, done.output
    told: JsonObject = json.loads(done.stdout)
    return told


def codes(told: JsonObject) -> list[object]:
    return [reason["code"] for reason in objects(told["reasons"])]


@pytest.fixture
def valid(tmp_path: Path) -> list[str]:
    return written(world(), tmp_path)


def written(made: World, folder: Path) -> list[str]:
    """The world's quote, bundle, root and moment, as arguments."""
    (folder / "quote").write_bytes(made.quote.data)
    (folder / "bundle.json").write_bytes(bundle.encode(made.collateral))
    (folder / "root.der").write_bytes(made.root)
    options = ["--collateral", str(folder / "bundle.json"), "--unsafe-trust-root", str(folder / "root.der")]
    return [str(folder / "quote"), *options, "--at", MOMENT.isoformat()]


@pytest.mark.parametrize("form", ["raw", "hex", "0x hex", "base64", "base64url", "pem", "open enclave"])
def test_show_reads_every_form(form: str, tmp_path: Path) -> None:
    raw = SGX.read_bytes()
    text = base64.encodebytes(raw)
    forms = {
        "raw": raw,
        "hex": raw.hex().encode() + b"\n",
        "0x hex": b"0x" + raw.hex().upper().encode(),
        "base64": text,
        "base64url": base64.urlsafe_b64encode(raw).rstrip(b"="),
        "pem": b"-----BEGIN SGX QUOTE-----\n" + text + b"-----END SGX QUOTE-----\n",
        "open enclave": (1).to_bytes(4, "little") + (2).to_bytes(4, "little") + len(raw).to_bytes(8, "little") + raw,
    }
    (tmp_path / "quote").write_bytes(forms[form])
    done = run("show", tmp_path / "quote", "-o", "json")
    assert done.exit_code == 0
    body = at(json.loads(done.stdout), "quote", "body")
    assert at(body, "report_data") == b"Hello, world!".ljust(64, b"\0").hex()
    assert at(json.loads(done.stdout), "quote", "platform", "fmspc") == "00a067110000"


def test_show_tells_people_everything_and_reads_standard_input() -> None:
    done = run("show", "-", stdin=SGX.read_bytes())
    assert done.exit_code == 0
    assert done.stdout.startswith("standard input:\n  version: 3\n  tee: SGX\n")
    assert "    debug: no\n" in done.stdout


@pytest.mark.parametrize("content", [b"", b"hello", b"\x03\x00\x02\x00", b"-----BEGIN X-----\n!\n-----END X-----"])
def test_show_refuses_what_is_no_quote(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "quote").write_bytes(content)
    done = run("show", tmp_path / "quote")
    assert done.exit_code == 2
    assert "[DJ20" in done.stdout


def test_show_of_json_with_a_quote_in_it_says_how_to_take_it_out(tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text(json.dumps({"quote": base64.b64encode(SGX.read_bytes()).decode()}))
    done = run("show", tmp_path / "request.json")
    assert (done.exit_code, "jq -r .quote" in done.output) == (2, True), done.output


def test_show_of_a_local_report_says_that_only_its_machine_can_check_it(tmp_path: Path) -> None:
    (tmp_path / "report").write_bytes((1).to_bytes(4, "little") * 2 + (432).to_bytes(8, "little") + bytes(432))
    assert "a local report" in run("show", tmp_path / "report").stdout


def test_verify_accepts_a_make_believe_quote_under_its_own_root_and_says_so(valid: list[str]) -> None:
    told = verdict(*valid, code=0)
    assert told["verified"] is told["acceptable"] is True
    assert told["tcb"] == {"status": "UpToDate", "date": "2026-02-21T00:00:00Z", "advisories": [], "evaluation_number": 20}
    assert told["trust_root"] == "unsafe"
    assert told["reasons"] == told["outside_validity"] == []
    assert "a root that is not Intel's" in run("verify", *valid).stderr


def test_what_had_ended_of_collateral_that_is_taken_all_the_same_is_named_and_no_moment_that_has_passed(valid: list[str]) -> None:
    late = [*valid[:-1], (MOMENT + timedelta(days=29)).isoformat(), "--staleness", "30d"]
    done = run("verify", *late)
    assert done.exit_code == 0, done.output
    assert "of its collateral these had ended, the first " in done.stdout
    assert ", ".join(map(str, verdict(*late, code=0)["outside_validity"])) in done.stdout  # type: ignore[arg-type] # A list.
    assert "this holds until" not in done.stdout


def test_verify_refuses_a_make_believe_quote_under_intels_root(valid: list[str]) -> None:
    told = verdict(*valid[:3], *valid[5:], code=1)
    assert told["verified"] is told["acceptable"] is False
    assert told["tcb"] is None
    assert codes(told) == ["DJ220"]


def test_verify_of_a_real_quote_tells_its_status_and_can_be_told_to_accept_it() -> None:
    arguments = (SGX, "--collateral", SGX_BUNDLE, "--at", SGX_TIME)
    told = verdict(*arguments, code=1)
    assert (told["verified"], told["acceptable"], told["trust_root"]) == (True, False, "intel")
    assert at(told, "tcb", "status") == "ConfigurationAndSWHardeningNeeded"
    assert codes(told) == ["DJ260"]
    assert verdict(*arguments, "--accept", "ConfigurationAndSWHardeningNeeded", code=0)["acceptable"] is True


def test_verify_takes_a_folder_as_intels_library_leaves_it() -> None:
    arguments = (SW_HARDENING / "quote.bin", "--collateral", SW_HARDENING, "--at", SW_HARDENING_TIME)
    assert at(verdict(*arguments, code=0), "tcb", "status") == "SWHardeningNeeded"
    assert codes(verdict(*arguments, "--accept", "UpToDate", code=1)) == ["DJ260"]


def test_verify_without_a_source_names_the_three_choices() -> None:
    done = run("verify", SGX)
    assert isinstance(done.exception, DonjonError)
    assert done.exception.code == "DJ280"
    assert all(choice in done.exception.message for choice in ("--collateral", "--pccs", "--pcs"))


@pytest.mark.parametrize("status", ["Revoked", "NotSupported", "Unrecognized"])
def test_verify_cannot_be_told_to_accept_a_terminal_status(status: str) -> None:
    done = run("verify", SGX, "--collateral", SGX_BUNDLE, "--accept", status)
    assert isinstance(done.exception, DonjonError)
    assert done.exception.code == "DJ271"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--at", "yesterday"], 2),
        (["--grace", "soon"], 2),
        (["--mrenclave", "xyz"], 2),
        (["--mrenclave", "ab"], 2),
        (["--report-data", "0"], 2),
        (["--advisory", "CVE-1"], 2),
        (["--advisory", "INTEL-SA-00615@2027-02-31"], 2),
        (["--min-evaluation", "0"], 2),
        (["--min-tcb-date", "last year"], 2),
        (["--accept", "Fine"], 2),
        (["--service-td", "66"], 2),
        (["--allow-attributes", "DEBUG"], 2),
        (["--allow-features", "16"], 2),
    ],
)
def test_verify_refuses_options_that_say_nothing(options: list[str], code: int) -> None:
    assert run("verify", SGX, "--collateral", SGX_BUNDLE, *options).exit_code == code


@pytest.mark.parametrize("when", ["2026-06-01T12:00:00Z", "2026-06-01T14:00:00+02:00", "2026-06-01T12:00:00", "1780315200"])
def test_verify_takes_the_moment_as_iso_8601_or_unix_seconds(when: str, valid: list[str]) -> None:
    assert verdict(*valid[:-1], when, code=0)["moment"] == "2026-06-01T12:00:00Z"


def test_verify_of_several_files_ends_with_the_highest_code_and_tells_all(valid: list[str], tmp_path: Path) -> None:
    (tmp_path / "broken").write_bytes(b"\x03\x00")
    told = verdict(*valid, tmp_path / "broken", tmp_path / "absent", SGX, code=2)
    assert [each["verified"] for each in objects(told["results"])] == [True, False, False, False]
    assert [codes(each) for each in objects(told["results"])] == [[], ["DJ200"], ["DJ932"], ["DJ220"]]


def test_verify_without_readable_collateral_could_not_look(valid: list[str], tmp_path: Path) -> None:
    told = verdict(valid[0], "--collateral", tmp_path / "absent.json", code=3)
    assert codes(told) == ["DJ281"]


def test_verify_takes_no_step_back_where_it_keeps_a_state(tmp_path: Path) -> None:
    older, newer = tmp_path / "older", tmp_path / "newer"
    older.mkdir()
    newer.mkdir()
    state = ("--state", tmp_path / "state.json")
    before = written(world(changes={"tcb_info.evaluation_number": 19, "qe_identity.evaluation_number": 19}), older)
    after = written(world(), newer)
    assert verdict(*before, *state, code=0)["acceptable"] is True
    assert verdict(*after, *state, code=0)["acceptable"] is True
    assert codes(verdict(*before, *state, code=1)) == ["DJ250"]
    assert verdict(*before, *state, "--update", "early", code=0)["acceptable"] is True
    assert verdict(*before, code=0)["acceptable"] is True


def test_verify_holds_the_body_against_what_is_asked_for(valid: list[str]) -> None:
    told = verdict(*valid, "--mrenclave", "00" * 32, "--mrsigner", "00" * 32, "--product-id", "9", "--min-svn", "9", code=1)
    assert codes(told) == ["DJ269"] * 4
    assert verdict(*valid, "--report-data", "", code=0)["acceptable"] is True


def test_verify_refuses_a_td_that_can_be_taken_away_until_each_thing_is_named(tmp_path: Path) -> None:
    service = "66" * 48
    changes = {
        "quote.body.attributes": 1 << 28 | 1 << 29 | 1 << 27 | 1 << 40,
        "quote.body.mr_service_td": bytes.fromhex(service),
        "quote.body.xfam": 0x80003,
    }
    asked = written(world("v5 TDX 1.5", changes), tmp_path)
    told = verdict(*asked, code=1)
    assert codes(told) == ["DJ272", "DJ273", "DJ274", "DJ275"]
    assert "LASS, bit 40" in str(objects(told["reasons"])[2]["found"])
    names = ["--allow-migratable", "--service-td", service, "--allow-attributes", "LASS", "--allow-attributes", f"{1 << 40:#x}"]
    assert codes(verdict(*asked, *names, code=1)) == ["DJ275"]
    assert verdict(*asked, *names, "--allow-features", "APX", code=0)["acceptable"] is True


def test_verify_refuses_an_enclave_with_einittokenkey_until_it_is_named(tmp_path: Path) -> None:
    asked = written(world("v3 SGX", {"quote.body.flags": 0x25}), tmp_path)
    assert codes(verdict(*asked, code=1)) == ["DJ276"]
    assert verdict(*asked, "--allow-einittoken-key", code=0)["acceptable"] is True


def test_show_tells_attributes_by_name_and_what_has_none(tmp_path: Path) -> None:
    written(world("v5 TDX 1.5", {"quote.body.attributes": 1 << 29 | 1 << 40, "quote.body.xfam": 0}), tmp_path)
    told = run("show", tmp_path / "quote").stdout
    for line in ("migratable: yes", "unknown_attributes: bit 40", "impossible_features: without x87 and SSE"):
        assert line in told


def test_verify_tells_people_in_one_line_a_quote_and_one_a_reason(valid: list[str]) -> None:
    done = run("verify", *valid, "--min-evaluation", "21")
    assert done.exit_code == 1
    head, reason = done.stdout.splitlines()
    assert "true, but refused: SGX, TCB UpToDate of 2026-02-21, evaluation 20" in head
    assert "error: evaluation number: 20, expected at least 21" in reason


@pytest.mark.parametrize(("date", "code"), [("2026-02-21", 0), ("2026-02-22", 1), ("1771632000", 0)])
def test_verify_refuses_a_tcb_that_is_older_than_a_date(valid: list[str], date: str, code: int) -> None:
    done = run("verify", *valid, "--min-tcb-date", date)
    assert (done.exit_code, "DJ436" in done.stdout) == (code, bool(code))
