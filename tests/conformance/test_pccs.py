"""dcap-qvl's own collateral client against `donjon attestation serve`, each a program of its own."""

import json
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from tests.adapters.fakepccs import Key, Pccs, Reply, answers, serving
from tests.attestation import vectors
from tests.attestation.vectors import POOL, ROOT
from tests.collateral.machines import HIGH, issuers
from tests.ports import free_port
from tests.simulation.intel import MOMENT, world

from donjon.pki import pem
from donjon.simulation.intel.certificates import SimulatedRole
from donjon.simulation.intel.machines import tcbm

REAL = (2, 4, 175, 199, 297)  # cases with quotes of both kinds, and collateral of 2023 to 2026
FETCHING = str(Path(__file__).with_name("fetching.py"))


@contextmanager
def service(folder: Path, upstream: str, moment: datetime, *more: str) -> Iterator[str]:
    port, probes = free_port(), free_port()
    said = (
        "--listen",
        f"127.0.0.1:{port}",
        "--probes",
        f"127.0.0.1:{probes}",
        "--unsafe-http",
        "true",
        "--upstream",
        upstream,
        "--drain",
        "0",
    )
    judged = (
        "--unsafe-clock",
        f"{moment:%Y-%m-%dT%H:%M:%SZ}",
        "--database",
        f"sqlite:///{folder}/cache.db",
        "--drain",
        "0",
        *more,
    )
    command = (sys.executable, "-m", "donjon", "attestation", "serve", *said, *judged)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        wait(probes, process)
        yield f"http://127.0.0.1:{port}"
        assert httpx2.get(f"http://127.0.0.1:{probes}/metrics").text.count("donjon_attestation_collateral_answers_total{") > 3
    finally:
        process.send_signal(signal.SIGTERM)
        told = process.communicate(timeout=20)[1]
    assert process.returncode == 0, told
    assert "unsafe-clock" in told
    assert json.loads(told.splitlines()[-1])["event"] == "attestation service stopped"


def wait(probes: int, process: "subprocess.Popen[str]") -> None:
    for _ in range(200):
        try:
            if httpx2.get(f"http://127.0.0.1:{probes}/readyz").status_code == 200:
                return
        except httpx2.ConnectError:
            select.select([], [], [], 0.05)
        assert process.poll() is None, process.communicate()[1]
    raise AssertionError("it does not come up")


def fetched(address: str, file: Path, moment: datetime, root: str = "") -> dict[str, Any]:
    """What dcap-qvl's client got and concluded; once in a while it crashes at its end, after it has told."""
    command = (sys.executable, FETCHING, address, str(file), str(int(moment.timestamp())), root)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def of_the_pool(case: vectors.Case) -> tuple[dict[Key, Reply], dict[str, bytes]]:
    """An upstream that has a case's documents, and the documents by their paths."""
    named, received = vectors.names(case), vectors.received(vectors.names(case))
    tee = "tdx" if "tdx" in case["tcb_info"] else "sgx"
    bodies = {
        f"/{tee}/certification/v4/tcb": (POOL / named.tcb_info).read_bytes(),
        f"/{tee}/certification/v4/qe/identity": (POOL / named.qe_identity).read_bytes(),
        "/sgx/certification/v4/pckcrl": received.pck_crl,
        "/sgx/certification/v4/rootcacrl": received.root_ca_crl.hex().encode(),
    }
    signers, issuers = quote(received.tcb_info_issuer_chain), quote(received.pck_crl_issuer_chain)
    headers: tuple[dict[str, str], ...] = (
        {"TCB-Info-Issuer-Chain": signers},
        {"SGX-Enclave-Identity-Issuer-Chain": signers},
        {"SGX-PCK-CRL-Issuer-Chain": issuers},
        {},
    )
    return {path: (200, header, body) for (path, body), header in zip(bodies.items(), headers, strict=True)}, bodies


@pytest.mark.parametrize("number", REAL)
def test_a_real_quote_is_verified_by_dcap_qvl_with_what_its_own_client_got_from_us(number: int, tmp_path: Path) -> None:
    case = vectors.cases()[number]
    replies, bodies = of_the_pool(case)
    fmspc = re.search("_v3_([0-9a-f]{12})_", case["tcb_info"])
    assert fmspc is not None
    with serving(Pccs(replies)) as upstream, service(tmp_path, upstream.address, vectors.moment(case)) as address:
        assert fetched(address, ROOT / case["quote"], vectors.moment(case))["status"] == case["expected"]["status"]
        count = len(upstream.asked)
        for path, body in bodies.items():
            query = {"fmspc": fmspc[1], "ca": case["ca"], "encoding": "der"}
            assert httpx2.get(address + path, params=query).content == body
        assert len(upstream.asked) == count


def test_a_make_believe_quote_too_under_its_own_root(tmp_path: Path) -> None:
    made = world(ca=SimulatedRole.PLATFORM_CA)
    (tmp_path / "quote").write_bytes(made.quote.data)
    (tmp_path / "root.pem").write_bytes(pem.encode((made.root,)))
    (tmp_path / "root.der").write_bytes(made.root)
    trusted = ("--unsafe-trust-root", str(tmp_path / "root.pem"))
    with serving(Pccs(answers(made))) as upstream, service(tmp_path, upstream.address, MOMENT, *trusted) as address:
        found = fetched(address, tmp_path / "quote", MOMENT, str(tmp_path / "root.der"))
        assert found["status"] == "UpToDate"
        assert found["collateral"]["tcb_info"].encode() == made.tcb_info
        assert bytes.fromhex(found["collateral"]["root_ca_crl"]) == made.root_ca_crl


def test_a_quote_without_a_chain_gets_its_certificate_from_us(tmp_path: Path) -> None:
    made = world(changes={"quote.certification_type": 3, "quote.user_data": bytes(range(20))})
    (tmp_path / "quote").write_bytes(made.quote.data)
    (tmp_path / "root.pem").write_bytes(pem.encode((made.root,)))
    (tmp_path / "root.der").write_bytes(made.root)
    trusted = ("--unsafe-trust-root", str(tmp_path / "root.pem"))
    leaf = {"tcbm": tcbm(HIGH), "cert": quote(made.certificates[SimulatedRole.PCK])}
    chain = {"SGX-PCK-Certificate-Issuer-Chain": quote(issuers(made))}
    intel = {**answers(made), "/sgx/certification/v4/pckcerts": (200, chain, json.dumps([leaf]).encode())}
    with serving(Pccs(intel)) as upstream, service(tmp_path, upstream.address, MOMENT, *trusted) as address:
        found = fetched(address, tmp_path / "quote", MOMENT, str(tmp_path / "root.der"))
        assert found["status"] == "UpToDate"
        told = found["collateral"]["pck_certificate_chain"].replace("\n\n", "\n").encode()
        assert told == made.certificates[SimulatedRole.PCK] + issuers(made)
        assert [path.rpartition("/")[2] for path, _ in upstream.asked].count("pckcerts") == 1
