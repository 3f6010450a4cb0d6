"""docs/upgrading.md on the testbed, command by command."""

import json
from collections.abc import Iterator

import pytest
from tests import pages
from tests.cluster.conftest import Cluster
from tests.cluster.release import Release, installed, is_wired
from tests.cluster.test_readme import run

DIFFERENT = 1  # of kubectl diff


@pytest.fixture(scope="module")
def release(cluster: Cluster) -> Iterator[Release]:
    yield from installed(cluster)


def test_the_pages_commands_show_upgrade_and_bring_back(cluster: Cluster, release: Release) -> None:
    before = len(release.run("history", "donjon").splitlines())
    newest = json.loads(release.run("history", "donjon", "-o", "json"))[-1]["revision"]
    shown = pages.shown("upgrading.md", __file__)
    for command in shown:
        revised = command.replace("REVISION", str(newest))
        run(revised, kubeconfig=cluster.kubeconfig, ok=(0, DIFFERENT) if "kubectl diff" in command else (0,))
    assert [command.split()[1] for command in shown] == ["get", "template", "upgrade", "history", "rollback"]
    assert len(release.run("history", "donjon").splitlines()) == before + 2
    assert is_wired(cluster)
