"""Fortanix's client of a PCCS, unmodified and over TLS: every document, every edition, and the walk through all TCB levels.

The program is `rust/src/main.rs`.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from tests.adapters.fakepccs import Pccs, answers, certified
from tests.adapters.fakepccs import serving as upstream
from tests.collateral.machines import ENCRYPTED_PPID
from tests.conformance import kits
from tests.services.attesting import chosen, serving
from tests.services.pccs import V4
from tests.services.test_attestation_editions import HELD, listed, numbers
from tests.simulation.intel import MOMENT, world

from donjon.simulation.intel.machines import Svns, pck_certificate, tcbm
from donjon.simulation.intel.world import World

Said = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def made() -> World:
    return world()


def levels(made: World) -> list[Svns]:
    """For each of which the machine has a certificate, the highest first."""
    return list(dict.fromkeys((each.components, each.pce_svn) for each in made.setting.tcb_info.levels))


@pytest.fixture(scope="module")
def said(made: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Said]:
    """What the client says of each call."""
    home, folder = kits.home(kits.RUST), tmp_path_factory.mktemp("service")
    (folder / "root.der").write_bytes(made.root)
    intel = Pccs(answers(made))
    intel.answers[f"{V4}/pckcerts"] = certified(made, levels(made))
    intel.answers[f"{V4}/tcbevaluationdatanumbers"] = listed(made, numbers(made))
    with upstream(intel):
        flags = {"unsafe-trust-root": str(folder / "root.der"), "upstream": intel.address, "unsafe-clock": f"{MOMENT:%FT%TZ}"}
        with serving(folder, chosen(folder, "", flags)) as service:
            yield _told(home, _story(made, service.address), service.authority, folder)


def _story(made: World, address: str) -> dict[str, object]:
    shown = tcbm(levels(made)[0])
    return {
        "address": address,
        "fmspc": made.setting.extension.fmspc.hex(),
        "number": HELD,
        "encrypted_ppid": ENCRYPTED_PPID.hex(),
        "pce_id": 0,
        "cpu_svn": shown[:32],
        "pce_svn": int.from_bytes(bytes.fromhex(shown[32:]), "little"),
        "qe_id": "aa" * 16,
    }


def _told(home: Path, story: dict[str, object], authority: str, folder: Path) -> Said:
    file = folder / "story.json"
    file.write_text(json.dumps(story), encoding="utf-8")
    environment = {**os.environ, "SSL_CERT_FILE": authority}
    done = subprocess.run([home / "conformance", file], env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return {each.pop("name"): each for each in found}


def test_documents_come_as_they_were_signed(said: Said, made: World) -> None:
    for name in ("early", "number"):
        assert said[f"tcb info {name}"] == {"found": made.tcb_info.decode()}
        assert said[f"identity {name}"] == {"found": made.qe_identity.decode()}
    assert said["numbers"]["found"].encode() in numbers(made)


def test_an_edition_that_there_is_not_is_none(said: Said) -> None:
    for document in ("tcb info", "identity"):
        assert "Gone" in said[f"{document} older"]["error"]
        assert "NotFound" in said[f"{document} newer"]["error"]


def test_revocation_lists(said: Said, made: World) -> None:
    for name, der in (("root crl", made.root_ca_crl), ("processor crl", made.pck_crl)):
        found = x509.load_pem_x509_crl(said[name]["found"].encode())
        assert found == x509.load_der_x509_crl(der)


def test_what_the_make_believe_intel_does_not_have_is_told(said: Said) -> None:
    assert "NotFound" in said["tdx tcb info"]["error"]


def test_the_walk_through_all_tcb_levels_finds_every_certificate(said: Said, made: World) -> None:
    assert said["certificate"]["found"].encode() == pck_certificate(made.setting, levels(made)[0])
    assert said["all certificates"] == {"found": len(levels(made))}
