"""docs/upgrading.md on the testbed, command by command."""

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
    shown = pages.shown("upgrading.md", __file__)
    for command in shown:
        run(command, kubeconfig=cluster.kubeconfig, ok=(0, DIFFERENT) if "kubectl diff" in command else (0,))
    assert [command.split()[1] for command in shown] == ["get", "template", "upgrade", "rollback"]
    assert len(release.run("history", "donjon").splitlines()) == before + 2
    assert is_wired(cluster)
