"""What fails around the running service: it says so with a code, tells that it is not ready, and goes on by itself afterwards."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx2
from testbed import clock
from tests.adapters.postgres import Server
from tests.endurance import disks, process
from tests.endurance.clients import Ledger
from tests.endurance.process import INSTANCES, SGX, Process

TOLD = 10.0  # seconds in which /readyz knows
MENDED = 10.0  # seconds in which all is as before


@contextmanager
def service_on_a_small_disk(folder: Path) -> Iterator[tuple[Path, Process]]:
    with disks.small(folder / "disk") as disk, process.process(folder, f"sqlite:///{disk}/x.db") as service:
        yield disk, service


@contextmanager
def running(service: Process) -> Iterator[tuple[Ledger, httpx2.Client]]:
    """Started, with something that was acknowledged."""
    service.start()
    ledger = Ledger(INSTANCES[0], SGX)
    with process.client(service) as client:
        service.back(client)
        ledger.turn(client)
        yield ledger, client


def refuses(service: Process, ledger: Ledger, client: httpx2.Client) -> None:
    """Whoever asks for something that must be kept is told so, and by /readyz everybody."""
    for answer in (process.attest(client, ledger.instance), ledger.put(client)):
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "ServiceUnavailable")
        assert "DJ502" in answer.text
    assert clock.wait_until(lambda: not service.ready(), seconds=TOLD)


def recovers(service: Process, ledger: Ledger, client: httpx2.Client) -> None:
    """Without a hand, and with all that was acknowledged; what was refused has not happened."""
    assert clock.wait_until(lambda: process.attest(client, ledger.instance).is_success, seconds=MENDED)
    before = ledger.acknowledged
    ledger.look(client)
    assert ledger.acknowledged == before
    ledger.turn(client)
    assert clock.wait_until(service.ready, seconds=TOLD)
    assert ledger.wrong == []


def test_a_full_disk(tmp_path: Path) -> None:
    with service_on_a_small_disk(tmp_path) as (disk, service), running(service) as (ledger, client):
        with disks.full(disk):
            refuses(service, ledger, client)
        recovers(service, ledger, client)


def test_a_database_that_is_read_only(tmp_path: Path) -> None:
    with service_on_a_small_disk(tmp_path) as (disk, service), running(service) as (ledger, client):
        service.kill()
        disks.remount(disk, "ro")
        service.start()
        assert clock.wait_until(service.answers, seconds=TOLD)
        refuses(service, ledger, client)
        disks.remount(disk, "rw")
        recovers(service, ledger, client)


def test_a_database_that_another_process_holds(tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    with process.process(tmp_path, f"sqlite:///{file}") as service, running(service) as (ledger, client):
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            refuses(service, ledger, client)
        recovers(service, ledger, client)


def test_a_database_server_that_is_away(tmp_path: Path, postgresql: Server) -> None:
    with process.process(tmp_path, postgresql.database()) as service, running(service) as (ledger, client):
        postgresql.stop()
        try:
            refuses(service, ledger, client)
        finally:
            postgresql.start()
        recovers(service, ledger, client)


def test_a_database_server_that_takes_nothing(tmp_path: Path, postgresql: Server) -> None:
    """As one that stands by for another."""
    address = postgresql.database()
    name = address.partition("@/")[2].partition("?")[0]
    with process.process(tmp_path, address) as service, running(service) as (ledger, client):
        postgresql.run(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        postgresql.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'donjon' AND pid <> pg_backend_pid()"
        )
        refuses(service, ledger, client)
        postgresql.run(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        recovers(service, ledger, client)


def test_without_its_database_it_does_not_start_and_says_why(tmp_path: Path, postgresql: Server) -> None:
    with process.process(tmp_path, postgresql.database()) as service:
        postgresql.stop()
        try:
            service.start()
            assert service.ended() == 3
        finally:
            postgresql.start()
        assert "DJ502" in service.told()


def test_an_upstream_that_is_away(tmp_path: Path) -> None:
    """What is not here cannot be judged by; what is here was kept, and is enough, also after a new start."""
    with process.process(tmp_path, f"sqlite:///{tmp_path}/x.db") as service, process.client(service) as client:
        service.upstream.away = True
        service.start()
        assert clock.wait_until(service.answers, seconds=TOLD)
        answer = process.attest(client, INSTANCES[0])
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "ServiceUnavailable")
        assert "DJ" in answer.text
        service.upstream.away = False
        assert clock.wait_until(lambda: process.attest(client, INSTANCES[0]).is_success, seconds=MENDED)
        service.upstream.away = True
        service.kill()
        service.start()
        assert service.back(client)
        assert service.ready()
