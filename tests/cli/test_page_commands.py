"""What pages show of commands that need no cluster, run as it stands there, in a folder of the test's own."""

import re
import ssl
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import pages
from tests.adapters import fakepccs
from tests.adapters.fakepccs import Pccs
from tests.adapters.https import SERVING
from tests.pages import PROJECT, Terminal
from tests.ports import free_port
from tests.services.attesting import chosen, instance, serving
from tests.services.test_attestation_audit import PATH, POLICY

from donjon.adapters import clock
from donjon.collateral import bundle
from donjon.formats import base64url

QUOTE = PROJECT / "vectors" / "dcap-qvl" / "quotes" / "f8b81014b6e4_v3_sgx_00a067110000.bin"
COLLATERAL = PROJECT / "vectors" / "dcap-qvl" / "sgx_quote_collateral.json"
THEN = "2025-06-20T00:00:00Z"
LISTENS = "attestation service listens"
REFUSED = 1
DATABASE = "/var/lib/donjon/attestation.db"


def test_the_page_on_keys_makes_two_and_lists_them(tmp_path: Path) -> None:
    reader = Terminal(folder=tmp_path, environment={}, instead={})
    first, second, table = (reader.run(command) for command in pages.shown("callers-and-keys.md", __file__))
    assert first.endswith("\n")
    assert ": RS256, signs at once, until " in first
    assert ": RS256, is published now and signs from " in second
    assert [line.split()[2] for line in table.splitlines()] == ["signs", "next"]


@pytest.fixture
def tls(tmp_path: Path) -> Path:
    folder = tmp_path / "tls"
    folder.mkdir()
    (folder / "tls.crt").write_bytes(SERVING.certificate)
    (folder / "tls.key").write_bytes(SERVING.key)
    (tmp_path / "authority.pem").write_bytes(SERVING.authority.pem)
    return folder


def test_the_page_on_the_audit_shows_keeps_signs_and_verifies(tmp_path: Path, tls: Path, intel: Pccs) -> None:
    show, changes, keep, keys, new, serve, verify = pages.shown("audit.md", __file__)
    judged = {"upstream": intel.address, "unsafe-clock": THEN}
    with serving(tmp_path, chosen(tmp_path, instance(tmp_path, "aad"), judged)) as service:
        assert service.put(PATH, POLICY).status_code == 200
        assert service.attest({"quote": base64url.encode(QUOTE.read_bytes())}).status_code == 400
    (tmp_path / "donjon.toml").write_text(f'tls-dir = "{tls}"\nmode = "offline"\n' + instance(tmp_path, "aad"))
    port = free_port()
    reader = Terminal(
        folder=tmp_path,
        environment={
            "DONJON_LISTEN": f"127.0.0.1:{port}",
            "DONJON_PROBES": f"127.0.0.1:{port + 1}",
            "DONJON_DRAIN": "0",
            "DONJON_DATABASE": f"sqlite:///{tmp_path}/attestation.db",
        },
        instead={DATABASE: f"{tmp_path}/attestation.db"},
    )
    assert " refused attest aad " in reader.run(show)
    (digest,) = set(re.findall(r'"policy": ?"([\w-]+)"', reader.run(changes)))
    reader.run(keep.replace("HASH", digest))
    assert "permit()" in (tmp_path / "replaced.policy").read_text()
    assert " keys " in reader.run(keys)
    reader.run(new)
    with reader.serving(serve, LISTENS, tmp_path / "service.log"):
        pass
    said = reader.run(verify, ok=(REFUSED,))
    assert "[DJ601]" in said
    assert reader.run(f"{verify} --unsigned-before {clock.moment():%FT%TZ}").rstrip().endswith("whole")


@pytest.fixture
def intel() -> Iterator[Pccs]:
    """Who has the collateral of a recorded quote."""
    with fakepccs.serving(Pccs(fakepccs.collateral(bundle.parse(COLLATERAL.read_bytes()), "sgx"))) as running:
        yield running


def test_the_page_on_the_cache_fetches_carries_over_and_serves_offline(tmp_path: Path, tls: Path, intel: Pccs) -> None:
    serve, leave, enter, offline, verify = pages.shown("collateral-cache.md", __file__)
    (tmp_path / "quote.bin").write_bytes(QUOTE.read_bytes())
    port = free_port()
    common = {
        "DONJON_LISTEN": f"127.0.0.1:{port}",
        "DONJON_PROBES": f"127.0.0.1:{port + 1}",
        "DONJON_DRAIN": "0",
        "DONJON_UPSTREAM": intel.address,
        "DONJON_UNSAFE_CLOCK": THEN,
        "SSL_CERT_FILE": str(tmp_path / "authority.pem"),
    }
    here, there = (
        Terminal(
            folder=tmp_path,
            environment=common,
            instead={
                "/etc/donjon/tls": str(tls),
                "pccs.example:8081": f"127.0.0.1:{port}",
                DATABASE: f"{tmp_path}/{name}.db",
            },
        )
        for name in ("here", "there")
    )
    with here.serving(serve, LISTENS, tmp_path / "here.log"):
        said = here.run(verify, ok=(REFUSED,))
    assert "ConfigurationAndSWHardeningNeeded" in said
    asked = len(intel.asked)
    assert asked
    here.run(leave)
    there.run(enter)
    with there.serving(offline, LISTENS, tmp_path / "there.log"):
        address = f"https://127.0.0.1:{port}/sgx/certification/v4/qe/identity"
        context = ssl.create_default_context(cafile=str(tmp_path / "authority.pem"))
        with urllib.request.urlopen(address, context=context) as answer:
            assert b"enclaveIdentity" in answer.read()
    assert len(intel.asked) == asked
