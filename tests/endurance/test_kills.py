"""Nothing lost: the service is killed while clients set policies and attest, and started again, many times."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from itertools import chain, product
from pathlib import Path

import pytest
from click.testing import CliRunner
from testbed import clock
from tests.endurance import process
from tests.endurance.clients import Ledger
from tests.endurance.process import BACK, INSTANCES, OPEN_ENCLAVE, SETTLED, SGX, Process

from donjon.adapters.storage.database import Database
from donjon.adapters.storage.records import snapshot
from donjon.cli.audit.command import audit

ROUNDS = int(os.environ.get("DONJON_ENDURANCE_ROUNDS", "5"))


def recorded(address: str) -> set[str]:
    """What the audit knows of, hashes of policy tokens and identifiers of tokens; its chains are whole."""
    verified = CliRunner().invoke(audit, ["verify", "--database", address])
    assert verified.exit_code == 0, verified.output
    with closing(Database(address)) as database, snapshot(database) as found:
        facts = [json.loads(each.event)["facts"] for each in found.chains(pytest.fail)]
    return {each[name] for each in facts for name in ("token", "jti") if name in each}


def returned(service: Process, ledgers: list[Ledger]) -> float:
    """It is started, and has every policy; seconds until it answered."""
    service.start()
    with process.client(service) as client:
        waited = service.back(client)
        for each in ledgers:
            each.look(client)
    return waited


def worked(ledgers: list[Ledger], rounds: int) -> bool:
    """Whether each has done something in each of so many rounds, however slow the machine, or one was answered wrongly."""
    return min(len(each.kept) for each in ledgers) > 2 * rounds or any(each.wrong for each in ledgers)


def test_killed_at_any_moment_it_is_back_at_once_and_has_all_that_it_acknowledged(tmp_path: Path, address: str) -> None:
    ledgers = [Ledger(*each) for each in product(INSTANCES, (SGX, OPEN_ENCLAVE))]
    waits = []
    with process.process(tmp_path, address) as service, ThreadPoolExecutor(len(ledgers)) as threads:
        returned(
            service, ledgers
        )  # The first time it makes its tables, and fetches what it will have afterwards: that is not back.
        for number in range(ROUNDS):
            working = [threads.submit(each.work, service) for each in ledgers]
            clock.wait_until(partial(worked, ledgers, number + 1), seconds=SETTLED)
            clock.pause(0.1 + number / ROUNDS)
            service.kill()
            for task in working:
                task.result()
            waits.append(returned(service, ledgers))
            assert set(chain.from_iterable(each.kept for each in ledgers)) <= recorded(address)
    assert [each.wrong for each in ledgers if each.wrong] == []
    assert min(len(each.kept) for each in ledgers) > 2 * ROUNDS, "they had the time to do something"
    assert max(waits) < BACK, waits
