"""The relying parties that the page shows, in three languages: they accept the enclave that is meant, and say why no other."""

import base64
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx2
import pytest
from ruamel.yaml import YAML
from testbed import clock
from tests import pages
from tests.adapters.https import trusting
from tests.cli.calling import call
from tests.pages import PROJECT, Terminal
from tests.pki.clientcerts import ClientAuthority
from tests.ports import free_port
from tests.services.test_attestation_rehearsal import listens, rehearse

from donjon.adapters.keys.signing import parse_key_file
from donjon.formats.json import Json
from donjon.signing.signer import serialize

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
COMMAND, *OTHERS = pages.shown("relying-parties.md", __file__)
NONCE = "sent-by-us"
LANGUAGES = ("python", "node", "go")
Program = Callable[[Path, Mapping[str, str]], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """The folder of a rehearsal whose service runs, and the name in its tokens."""
    folder, port = tmp_path_factory.mktemp("relying") / "rehearsal", free_port()
    rehearse(folder, port)
    command = (sys.executable, "-m", "donjon", "attestation", "serve", "--config", str(folder / "attestation.toml"))
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as service:
        assert clock.wait_until(lambda: listens(port), seconds=30, every=0.05)
        yield folder, f"https://127.0.0.1:{port}"
        service.send_signal(signal.SIGTERM)


@pytest.fixture(scope="module")
def token(here: tuple[Path, str]) -> str:
    folder, issuer = here
    with httpx2.Client(verify=trusting((folder / "authority.pem").read_bytes())) as client:
        evidence = {**json.loads((folder / "sgx.json").read_text()), "nonce": NONCE}
        answer = client.post(f"{issuer}/attest/SgxEnclave?api-version=2020-10-01", json=evidence)
    text: str = answer.raise_for_status().json()["token"]
    return text


@pytest.fixture(scope="module", params=LANGUAGES)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Program:
    """One of the three, ready to run on a file with a token."""
    scripts = {"python": (sys.executable, str(EXAMPLES / "check_token.py")), "node": ("node", str(EXAMPLES / "check_token.mjs"))}
    command = scripts.get(request.param) or (str(tmp_path_factory.mktemp("go") / "check"),)
    dash = "-" if request.param == "go" else "--"
    if request.param == "go":
        if shutil.which("go") is None:
            pytest.skip("needs Go")
        subprocess.run(("go", "build", "-o", command[0], str(EXAMPLES / "check_token.go")), check=True, cwd=EXAMPLES)
    elif shutil.which(command[0]) is None:
        pytest.skip(f"needs {request.param}")

    def run(file: Path, options: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        said = [word for name, value in options.items() for word in (f"{dash}{name}", *([value] if value else []))]
        return subprocess.run([*command, *said, str(file)], capture_output=True, text=True, check=False, timeout=60)

    return run


def payload(token: str) -> dict[str, object]:
    part = token.split(".")[1]
    claims: dict[str, object] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims


@pytest.fixture
def options(here: tuple[Path, str], token: str) -> dict[str, str]:
    """What is asked for, so that the rehearsal's enclave is it."""
    folder, issuer = here
    claims = payload(token)
    return {
        "issuer": issuer,
        "authority": str(folder / "authority.pem"),
        "mrsigner": str(claims["x-ms-sgx-mrsigner"]),
        "product-id": str(claims["x-ms-sgx-product-id"]),
        "min-svn": str(claims["x-ms-sgx-svn"]),
        "simulated": "",
    }


def test_the_enclave_that_is_meant_is_accepted(program: Program, token: str, options: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "token.jwt").write_text(f"{token}\n")
    done = program(tmp_path / "token.jwt", options)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("accepted; what the enclave bound to its quote: ")
    assert json.loads(done.stdout.partition("quote: ")[2]) == payload(token)["x-ms-runtime"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"mrsigner": "ab" * 32}, "another signer"),
        ({"product-id": "77"}, "another product"),
        ({"min-svn": "9999"}, "too old"),
        ({"nonce": "mine"}, "another nonce"),
        ({"simulated": None}, "simulated"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_any_other_is_refused_with_the_reason(
    program: Program, token: str, options: dict[str, str], tmp_path: Path, *, changes: dict[str, str | None], reason: str
) -> None:
    (tmp_path / "token.jwt").write_text(token)
    said = {name: value for name, value in {**options, **changes}.items() if value is not None}
    done = program(tmp_path / "token.jwt", said)
    assert (done.returncode, done.stderr.strip()) == (1, f"refused: {reason}")


def altered(token: str) -> str:
    """The same with another claim, and the signature as it was."""
    head, _, signature = token.split(".")
    body = json.dumps({**payload(token), "x-ms-sgx-svn": 60_000}).encode()
    return f"{head}.{base64.urlsafe_b64encode(body).decode().rstrip('=')}.{signature}"


def unsigned(token: str) -> str:
    head = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    return f"{head}.{token.split('.')[1]}."


@pytest.mark.parametrize("forge", [altered, unsigned, lambda _: "no.token"], ids=["altered", "unsigned", "nothing"])
def test_what_the_issuer_did_not_sign_is_refused(
    program: Program, token: str, options: dict[str, str], tmp_path: Path, forge: Callable[[str], str]
) -> None:
    (tmp_path / "token.jwt").write_text(forge(token))
    done = program(tmp_path / "token.jwt", options)
    assert done.returncode == 1
    assert done.stderr.startswith("refused: ")
    assert "Traceback" not in done.stderr


def unreachable(options: dict[str, str], _: Path) -> dict[str, str]:
    return {**options, "issuer": f"https://127.0.0.1:{free_port()}"}


def another_authority(options: dict[str, str], folder: Path) -> dict[str, str]:
    (folder / "other.pem").write_bytes(ClientAuthority().pem)
    return {**options, "authority": str(folder / "other.pem")}


def no_authority(options: dict[str, str], folder: Path) -> dict[str, str]:
    return {**options, "authority": str(folder / "absent.pem")}


@pytest.mark.parametrize("change", [unreachable, another_authority, no_authority], ids=lambda change: change.__name__)
def test_an_issuer_that_gives_no_keys_is_told_in_one_line(
    program: Program,
    token: str,
    options: dict[str, str],
    tmp_path: Path,
    change: Callable[[dict[str, str], Path], dict[str, str]],
) -> None:
    (tmp_path / "token.jwt").write_text(token)
    done = program(tmp_path / "token.jwt", change(options, tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("refused: ")
    assert len(done.stderr.splitlines()) == 1


def test_who_names_no_authority_is_told_how_where_the_certificate_is_not_known(
    program: Program, token: str, options: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "token.jwt").write_text(token)
    done = program(tmp_path / "token.jwt", {name: value for name, value in options.items() if name != "authority"})
    assert done.returncode == 1
    assert "; name who signed its certificate by -" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    known = program(tmp_path / "token.jwt", unreachable(options, tmp_path))
    assert "authority FILE" not in known.stderr


@pytest.mark.parametrize("left_out", ["issuer", "mrsigner", "product-id", "min-svn"])
def test_who_leaves_out_what_is_needed_is_told_the_usage(
    program: Program, options: dict[str, str], tmp_path: Path, left_out: str
) -> None:
    done = program(tmp_path / "token.jwt", {name: value for name, value in options.items() if name != left_out})
    assert done.returncode == 2
    assert left_out in done.stderr
    assert "usage" in done.stderr.lower()


def test_a_token_that_is_not_there_is_told_in_one_line(program: Program, options: dict[str, str], tmp_path: Path) -> None:
    done = program(tmp_path / "token.jwt", options)
    assert done.returncode == 1
    assert "token.jwt" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def attesting_job() -> str:
    """The program of the Job that the page shows."""
    (job,) = YAML(typ="safe").load_all((EXAMPLES / "attest-in-a-cluster.yaml").read_text())
    (container,) = job["spec"]["template"]["spec"]["containers"]
    program: str = container["command"][-1]
    return program


@pytest.mark.parametrize("fault", ["unreachable", "another authority", "no evidence"])
def test_the_job_that_attests_tells_what_is_in_its_way_in_one_line(here: tuple[Path, str], tmp_path: Path, fault: str) -> None:
    folder, issuer = here
    for name in ("authority.pem", "sgx.json"):
        shutil.copy(folder / name, tmp_path / name)
    if fault == "another authority":
        (tmp_path / "authority.pem").write_bytes(ClientAuthority().pem)
    if fault == "no evidence":
        (tmp_path / "sgx.json").unlink()
    asked = f"https://127.0.0.1:{free_port()}" if fault == "unreachable" else issuer
    words = (sys.executable, "-c", attesting_job().replace("/evidence", str(tmp_path)))
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60, env={"ISSUER": asked})
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert ("lacks sgx.json" if fault == "no evidence" else f"{asked}: ") in done.stderr


@pytest.mark.parametrize(
    ("claim", "reason"),
    [("x-donjon-simulated", "simulated"), ("x-donjon-judged-at", "judged as of another time")],
    ids=["simulated", "judged before"],
)
@pytest.mark.parametrize("value", ["yes", 0])
def test_what_weakens_a_token_is_refused_in_whatever_form_it_is_said(
    program: Program,
    here: tuple[Path, str],
    token: str,
    options: dict[str, str],
    tmp_path: Path,
    *,
    claim: str,
    reason: str,
    value: Json,
) -> None:
    signer = parse_key_file("one", (here[0] / "keys" / "one.pem").read_bytes()).signer
    head = {"alg": str(signer.algorithm), "kid": signer.kid}
    claims = {**payload(token), "x-donjon-simulated": False, claim: value}
    (tmp_path / "token.jwt").write_text(serialize(json.dumps(head).encode(), json.dumps(claims).encode(), signer))
    done = program(tmp_path / "token.jwt", {name: each for name, each in options.items() if name != "simulated"})
    assert (done.returncode, done.stderr.strip()) == (1, f"refused: {reason}")


def test_an_authority_is_instead_of_those_of_the_system(
    program: Program, token: str, options: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here the system trusts the issuer's authority, and the relying party another one."""
    (tmp_path / "token.jwt").write_text(token)
    (tmp_path / "other.pem").write_bytes(ClientAuthority().pem)
    for variable in ("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"):
        monkeypatch.setenv(variable, options["authority"])
    assert program(tmp_path / "token.jwt", {**options, "authority": str(tmp_path / "other.pem")}).returncode == 1
    without = {name: value for name, value in options.items() if name != "authority"}
    assert program(tmp_path / "token.jwt", without).returncode == 0


def test_the_command_of_the_page_accepts_the_enclave_that_is_meant_by_the_keys_of_its_issuer(
    token: str, options: dict[str, str], tmp_path: Path
) -> None:
    """As the page shows it, with the values of this enclave; of a rehearsal, whose authority the system does not know."""
    shown = COMMAND.removeprefix("donjon token verify token.jwt ")
    values = {**options, "nonce": NONCE}
    asked = [word for name in shown.split()[::2] for word in (name, values[name.removeprefix("--")])]
    file, rehearsal = tmp_path / "token.jwt", ("--authority", options["authority"], "--allow-simulated")
    file.write_text(token)
    done = call("token", "verify", file, *asked, *rehearsal)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.dumps(payload(token)["x-ms-runtime"]) in done.stdout
    assert "simulated: " in call("token", "show", file).stdout
    file.write_text(altered(token))
    assert call("token", "verify", file, *asked, *rehearsal).returncode == 1
    assert call("token", "verify", file, "--issuer", f"https://127.0.0.1:{free_port()}").returncode == 3


@pytest.mark.parametrize("command", OTHERS, ids=lambda command: command.split()[0])
def test_the_pages_commands_run_the_programs(command: str, token: str, options: dict[str, str], tmp_path: Path) -> None:
    if shutil.which(command.split(maxsplit=1)[0]) is None and not command.startswith(".venv"):
        pytest.skip(f"needs {command.split(maxsplit=1)[0]}")
    (tmp_path / "token.jwt").write_text(token)
    (tmp_path / "docs").symlink_to(PROJECT / "docs")
    dash = "-" if command.startswith("go ") else "--"
    rehearsal = f"{options['issuer']} {dash}authority {options['authority']} {dash}simulated"
    instead = {
        ".venv/bin": str(Path(sys.executable).parent),
        "TOKEN.jwt": "token.jwt",
        "https://attest.example": rehearsal,
        "HEX": options["mrsigner"],
        "product-id 1": f"product-id {options['product-id']}",
        "min-svn 2": f"min-svn {options['min-svn']}",
    }
    assert Terminal(folder=tmp_path, environment={}, instead=instead).run(command).startswith("accepted")


def test_the_request_by_hand_that_a_page_shows_is_answered_with_a_token(here: tuple[Path, str]) -> None:
    folder, issuer = here
    (command,) = pages.shown("attestation-service.md", __file__)
    reader = Terminal(folder=folder.parent, environment={}, instead={"https://127.0.0.1:8081": issuer})
    assert '{"token":' in reader.run(command)
