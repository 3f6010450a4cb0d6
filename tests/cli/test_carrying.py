"""`donjon collateral export` and `import`: from one database to another, nothing believed on the way."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.adapters.fakepccs import Pccs, answers, certified, serving
from tests.collateral.machines import HIGH, LOW
from tests.services.pccs import V4, running, settings
from tests.simulation.intel import world

from donjon.cli.collateral.command import collateral
from donjon.collateral.bundle import encode, files, parse
from donjon.errors import DonjonError, Malformed
from donjon.simulation.intel.certificates import SimulatedRole
from donjon.simulation.intel.machines import pck_certificate
from donjon.simulation.intel.world import World


@pytest.fixture
def made() -> World:
    return world(ca=SimulatedRole.PLATFORM_CA)


@pytest.fixture
def root(made: World, tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "root.der").write_bytes(made.root)
    return "--unsafe-trust-root", str(tmp_path / "root.der")


def ask(folder: Path, made: World, upstream: str) -> dict[str, bytes]:
    """What a service over the folder's database answers."""
    query = {"fmspc": made.setting.extension.fmspc.hex(), "ca": "platform", "encoding": "der"}

    async def run() -> dict[str, bytes]:
        async with running(settings(folder, made.root, upstream)) as here:
            found = {path: await here.get(f"{V4}/{path}", **query) for path in ("tcb", "qe/identity", "pckcrl", "rootcacrl")}
            found["pckcert"] = await here.certificate(HIGH)
            assert {each.status_code for each in found.values()} == {200}
            return {path: each.content for path, each in found.items()}

    return asyncio.run(run())


def filled(folder: Path, made: World) -> Path:
    folder.mkdir()
    with serving(Pccs({**answers(made), f"{V4}/pckcerts": certified(made, [HIGH])})) as upstream:
        ask(folder, made, upstream.address)
    return folder


def url(folder: Path) -> tuple[str, str]:
    return "--database", f"sqlite:///{folder}/attestation.db"


def carry(command: str, file: Path, *said: str) -> str:
    """What it says, or the code with which it fails."""
    done = CliRunner().invoke(collateral, [command, str(file), *said])
    if isinstance(done.exception, DonjonError):
        assert ("--unsafe-trust-root" in done.exception.message) is (done.exception.code == "DJ220" and not said[2:])
        return done.exception.code
    assert done.exit_code == 0, done.output
    return done.output


def test_what_one_side_has_fetched_the_other_serves_without_a_network(made: World, root: tuple[str, str], tmp_path: Path) -> None:
    here, there, file = filled(tmp_path / "here", made), tmp_path / "there", tmp_path / "carried.json"
    there.mkdir()
    assert ": 5 documents, 1 platforms; the first document that ends: " in carry("export", file, *url(here), *root)
    assert ": 5 documents, 1 platforms; " in carry("import", file, *url(there), *root)
    parts = files(made.collateral)
    found = ask(there, made, "")
    assert (found["tcb"], found["qe/identity"]) == (parts["tcb_info.json"], parts["qe_identity.json"])
    assert found["pckcert"] == pck_certificate(made.setting, HIGH)
    assert (found["pckcrl"], found["rootcacrl"]) == (made.pck_crl, made.root_ca_crl.hex().encode())


def test_under_another_root_neither_side_believes_it(made: World, root: tuple[str, str], tmp_path: Path) -> None:
    here, file = filled(tmp_path / "here", made), tmp_path / "carried.json"
    assert carry("export", file, *url(here)) == "DJ220"
    assert not file.exists()
    carry("export", file, *url(here), *root)
    assert carry("import", file, *url(tmp_path)) == "DJ220"


def test_nothing_older_replaces_what_is_there_and_nothing_else_is_taken_either(
    made: World, root: tuple[str, str], tmp_path: Path
) -> None:
    old = world(changes={"qe_identity.evaluation_number": 19}, ca=SimulatedRole.PLATFORM_CA)
    here, there, file = filled(tmp_path / "here", old), filled(tmp_path / "there", made), tmp_path / "carried.json"
    carry("export", file, *url(here), *root)
    assert carry("import", file, *url(there), *root) == "DJ513"
    assert ask(there, made, "")["qe/identity"] == files(made.collateral)["qe_identity.json"]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        (("donjon collateral 1", "donjon collateral 2"), "DJ211"),
        (("update=standard", "update=sometimes"), "DJ511"),
        (("/sgx/certification/v4/rootcacrl?", "/sgx/certification/v4/rootcacrl?x"), "DJ511"),
        (('"body": "7b', '"body": "7b7'), "DJ211"),
        (('"body": "7b', '"body": "zz'), "DJ211"),
        (("BEGIN CERTIFICATE", "BEGIN CERTIFICATÉ"), "DJ211"),
        (("7b22746362496e666f", "7b22746362496e6670"), "DJ214"),
        (('"form"', '"format"'), "DJ211"),
        (('"pce_id": "0000"', '"pce_id": "0001"'), "DJ570"),
        (('"certificates": "-----BEGIN', '"certificates": "----BEGIN'), "DJ204"),
        (('"whole": 1', '"whole": true'), "DJ211"),
        (('"fetched": "2', '"fetched": "x'), "DJ211"),
    ],
)
def test_a_file_that_was_changed_on_the_way_is_refused(
    made: World, root: tuple[str, str], tmp_path: Path, changed: tuple[str, str], code: str
) -> None:
    old, new = changed
    here, file = filled(tmp_path / "here", made), tmp_path / "carried.json"
    carry("export", file, *url(here), *root)
    text = json.dumps(json.loads(file.read_bytes()), ensure_ascii=False)
    assert old in text
    file.write_text(text.replace(old, new))
    (tmp_path / "there").mkdir()
    assert carry("import", file, *url(tmp_path / "there"), *root) == code


def test_a_platform_with_another_machines_certificate_is_refused(made: World, root: tuple[str, str], tmp_path: Path) -> None:
    here, file = filled(tmp_path / "here", made), tmp_path / "carried.json"
    carry("export", file, *url(here), *root)
    content = json.loads(file.read_bytes())
    stranger = world(changes={"extension.ppid": bytes(16)}, ca=SimulatedRole.PLATFORM_CA)
    content["platforms"][0]["certificates"] += pck_certificate(stranger.setting, LOW).decode()
    file.write_text(json.dumps(content))
    assert carry("import", file, *url(tmp_path), *root) == "DJ570"


def test_one_flipped_bit_of_a_document_is_found(made: World, root: tuple[str, str], tmp_path: Path) -> None:
    here, file = filled(tmp_path / "here", made), tmp_path / "carried.json"
    carry("export", file, *url(here), *root)
    content = json.loads(file.read_bytes())
    name = next(each for each in content["documents"] if "/tcb?" in each)
    body = bytes.fromhex(content["documents"][name]["body"])
    content["documents"][name]["body"] = body.replace(b"UpToDate", b"UpToDatd").hex()
    file.write_text(json.dumps(content))
    assert carry("import", file, *url(tmp_path), *root) == "DJ230"


@pytest.mark.parametrize(("command", "code"), [("export", "DJ511"), ("import", "DJ281")])
def test_nothing_to_carry_is_told(command: str, code: str, root: tuple[str, str], tmp_path: Path) -> None:
    assert carry(command, tmp_path / "none.json", *url(tmp_path), *root) == code


def test_each_of_the_two_files_of_collateral_is_told_from_the_other(made: World, root: tuple[str, str], tmp_path: Path) -> None:
    archive, bundle = tmp_path / "archive.json", tmp_path / "bundle.json"
    carry("export", archive, *url(filled(tmp_path / "here", made)), *root)
    bundle.write_bytes(encode(made.collateral))
    with pytest.raises(Malformed, match=r"a cache's archive.*donjon collateral fetch QUOTE --to"):
        parse(archive.read_bytes())
    with pytest.raises(Malformed, match="a bundle of one platform's collateral, for --collateral of donjon quote verify"):
        CliRunner().invoke(collateral, ["import", str(bundle), *url(tmp_path), *root], catch_exceptions=False)
