"""`donjon collateral`, and `donjon quote verify` with a service, against a PCCS of the make-believe Intel's."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.adapters.fakepccs import Pccs, answers, serving
from tests.adapters.https import CONTEXT, SERVING
from tests.simulation.intel import MOMENT, world

from donjon.cli.collateral.command import collateral
from donjon.cli.quote.command import quote
from donjon.collateral import bundle
from donjon.errors import DonjonError
from donjon.formats.json import JsonObject, objects
from donjon.simulation.intel.certificates import SimulatedRole
from donjon.simulation.intel.world import World

AT = ("--at", MOMENT.isoformat())


@pytest.fixture
def made() -> World:
    return world(ca=SimulatedRole.PLATFORM_CA)


@pytest.fixture
def pccs(made: World) -> Iterator[Pccs]:
    with serving(Pccs(answers(made))) as running:
        yield running


@pytest.fixture
def root(made: World, tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "root.der").write_bytes(made.root)
    return "--unsafe-trust-root", str(tmp_path / "root.der")


@pytest.fixture
def file(made: World, tmp_path: Path) -> Path:
    (tmp_path / "quote").write_bytes(made.quote.data)
    return tmp_path / "quote"


def fetch(*arguments: str | Path) -> Result:
    return CliRunner().invoke(collateral, ["fetch", *map(str, arguments)])


def show(*arguments: str | Path) -> Result:
    return CliRunner().invoke(collateral, ["show", *map(str, arguments)])


def verify(*arguments: str | Path) -> Result:
    return CliRunner().invoke(quote, ["verify", *map(str, arguments)])


def code(done: Result) -> str:
    assert isinstance(done.exception, DonjonError), done.output
    return done.exception.code


@pytest.mark.parametrize("target", ["bundle.json", "folder"])
def test_fetched_collateral_verifies_the_quote_without_the_service(
    pccs: Pccs, file: Path, root: tuple[str, str], tmp_path: Path, target: str
) -> None:
    done = fetch(file, "--to", tmp_path / target, "--pccs", pccs.address, *root)
    assert done.exit_code == 0, done.output
    assert "SGX, FMSPC" in done.stdout
    assert verify(file, "--collateral", tmp_path / target, *root, *AT).exit_code == 0


def test_the_service_is_asked_for_the_quotes_platform(pccs: Pccs, made: World, file: Path, root: tuple[str, str]) -> None:
    assert verify(file, "--pccs", pccs.address, *root, *AT).exit_code == 0
    names = ("pckcrl", "tcb", "qe/identity", "rootcacrl")
    assert [path for path, _ in pccs.asked] == [f"/sgx/certification/v4/{name}" for name in names]
    assert pccs.asked[0][1] == {"ca": "platform", "encoding": "der"}
    assert pccs.asked[1][1] == {"fmspc": made.setting.extension.fmspc.hex().upper(), "update": "standard"}


def test_verify_asks_the_service_once_for_all_quotes_of_a_platform(pccs: Pccs, file: Path, root: tuple[str, str]) -> None:
    done = verify(file, file, "--pccs", f"{pccs.address}/sgx/certification/v4/", "--update", "early", *root, *AT)
    assert done.exit_code == 0, done.output
    assert len(pccs.asked) == 4
    assert pccs.asked[1][1]["update"] == "early"


def test_a_trust_domain_has_documents_of_its_own(tmp_path: Path) -> None:
    made = world("v4 TDX 1.0")
    (tmp_path / "quote").write_bytes(made.quote.data)
    (tmp_path / "root").write_bytes(made.root)
    with serving(Pccs(answers(made))) as pccs:
        done = verify(tmp_path / "quote", "--pccs", pccs.address, "--unsafe-trust-root", tmp_path / "root", *AT)
    assert done.exit_code == 0, done.output
    assert {path for path, _ in pccs.asked} >= {"/tdx/certification/v4/tcb", "/tdx/certification/v4/qe/identity"}


def test_a_quote_without_chain_is_looked_up_by_its_encrypted_identifier(tmp_path: Path) -> None:
    made = world(changes={"quote.certification_type": 3, "quote.user_data": bytes(range(20))})
    (tmp_path / "quote").write_bytes(made.quote.data)
    (tmp_path / "root").write_bytes(made.root)
    with serving(Pccs(answers(made))) as pccs:
        done = fetch(
            tmp_path / "quote", "--to", tmp_path / "b.json", "--pccs", pccs.address, "--unsafe-trust-root", tmp_path / "root"
        )
    assert done.exit_code == 0, done.output
    path, asked = pccs.asked[0]
    assert path == "/sgx/certification/v4/pckcert"
    assert {name: len(value) for name, value in asked.items()} == {
        "qeid": 32,
        "encrypted_ppid": 768,
        "cpusvn": 32,
        "pcesvn": 4,
        "pceid": 4,
    }
    offline = verify(tmp_path / "quote", "--collateral", tmp_path / "b.json", "--unsafe-trust-root", tmp_path / "root", *AT)
    assert offline.exit_code == 0, offline.output


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("tcb", (404, {}, b"")),
        ("qe/identity", (500, {}, b"")),
        ("pckcrl", (200, {}, b"no chain")),
        ("rootcacrl", (302, {"Location": "http://127.0.0.1:1/"}, b"")),
        ("rootcacrl", (200, {}, bytes(bundle.MAX_BUNDLE + 1))),
    ],
    ids=["unknown platform", "broken", "without a chain", "elsewhere", "endless"],
)
def test_what_the_service_does_not_have_could_not_be_looked_at(
    pccs: Pccs, file: Path, root: tuple[str, str], path: str, answer: tuple[int, dict[str, str], bytes]
) -> None:
    pccs.answers[f"/sgx/certification/v4/{path}"] = answer
    done = verify(file, "--pccs", pccs.address, *root, *AT, "-o", "json")
    assert done.exit_code == 3
    assert [each["code"] for each in objects(json.loads(done.stdout)["reasons"])] == ["DJ281"]


def test_a_service_that_is_not_there_could_not_be_looked_at(file: Path, root: tuple[str, str]) -> None:
    assert verify(file, "--pccs", "http://127.0.0.1:1", *root, *AT).exit_code == 3
    assert verify(file, "--pccs", "no address", *root, *AT).exit_code == 3


def test_a_service_behind_a_certificate_of_its_own_is_trusted_where_the_environment_says_so(
    made: World, file: Path, root: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "authority.pem").write_bytes(SERVING.authority.pem)
    with serving(Pccs(answers(made)), CONTEXT) as pccs:
        untrusted = verify(file, "--pccs", pccs.address, *root, *AT)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        trusted = verify(file, "--pccs", pccs.address, *root, *AT)
    assert (untrusted.exit_code, trusted.exit_code) == (3, 0), trusted.output
    assert "CERTIFICATE_VERIFY_FAILED" in untrusted.output
    assert "name that authority: SSL_CERT_FILE=FILE in the environment" in untrusted.output


def test_what_the_service_answers_is_believed_by_nobody(pccs: Pccs, file: Path, tmp_path: Path) -> None:
    assert code(fetch(file, "--to", tmp_path / "bundle.json", "--pccs", pccs.address)) == "DJ220"
    assert not (tmp_path / "bundle.json").exists()


def test_sources_exclude_one_another(file: Path) -> None:
    assert verify(file, "--pccs", "http://127.0.0.1:1", "--collateral", file).exit_code == 2


def test_quotes_of_several_platforms_are_fetched_apart(pccs: Pccs, file: Path, root: tuple[str, str], tmp_path: Path) -> None:
    other = world(changes={"extension.fmspc": bytes(6), "tcb_info.fmspc": bytes(6)})
    (tmp_path / "other").write_bytes(other.quote.data)
    pccs.answers["/sgx/certification/v4/tcb", "000000000000"] = answers(other)["/sgx/certification/v4/tcb"]
    assert code(fetch(file, tmp_path / "other", "--to", tmp_path / "b.json", "--pccs", pccs.address, *root)) == "DJ283"


def _told(made: World, tmp_path: Path, root: tuple[str, str], *arguments: str, code: int) -> JsonObject:
    (tmp_path / "bundle.json").write_bytes(bundle.encode(made.collateral))
    done = show(tmp_path / "bundle.json", *root, *arguments, "-o", "json")
    assert done.exit_code == code, done.output
    told: JsonObject = json.loads(done.stdout)
    return told


def test_show_tells_what_is_there_and_what_ends_soon(made: World, tmp_path: Path, root: tuple[str, str]) -> None:
    told = _told(made, tmp_path, root, *AT, code=0)
    standing = {str(part["name"]): part["standing"] for part in objects(told["parts"])}
    assert standing == {
        "tcb_info": "ends soon",
        "qe_identity": "ends soon",
        "pck_crl": "ends soon",
        "root_ca_crl": "holds",
        "certificate": "holds",
    }


@pytest.mark.parametrize(
    ("later", "standing"), [(timedelta(days=28, seconds=1), "ended"), (-timedelta(days=2, seconds=1), "not yet")]
)
def test_show_says_no_where_something_does_not_hold(
    made: World, tmp_path: Path, root: tuple[str, str], later: timedelta, standing: str
) -> None:
    told = _told(made, tmp_path, root, "--at", (MOMENT + later).isoformat(), code=1)
    assert [part["standing"] for part in objects(told["parts"]) if part["name"] == "tcb_info"] == [standing]


def test_show_prints_a_line_a_part_for_people(made: World, tmp_path: Path, root: tuple[str, str]) -> None:
    (tmp_path / "bundle.json").write_bytes(bundle.encode(made.collateral))
    lines = show(tmp_path / "bundle.json", *root, *AT).stdout.splitlines()
    assert len(lines) == 7
    assert "evaluation 20" in lines[1]


def test_show_of_what_is_not_there_could_not_look(tmp_path: Path) -> None:
    assert code(show(tmp_path / "absent.json")) == "DJ281"
    (tmp_path / "folder").mkdir()
    assert code(show(tmp_path / "folder")) == "DJ213"


@pytest.mark.parametrize(
    "address", ["https://user:hunter2@127.0.0.1:1", "https://user:hunt@er2@127.0.0.1:1", "https:/user:hunter2@x"]
)
def test_no_error_prints_the_password_of_an_address(file: Path, tmp_path: Path, address: str) -> None:
    done = fetch(file, "--pccs", address, "--to", tmp_path / "bundle.json")
    assert isinstance(done.exception, DonjonError)
    assert "hunt" not in str(done.exception)
    assert "er2" not in str(done.exception)
    told = verify(file, "--pccs", address).output
    assert "not verified" in told
    assert "er2" not in told
