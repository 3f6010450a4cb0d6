"""docs/upgrading.md on the testbed, command by command."""

import re
from collections.abc import Iterator

import pytest
from tests.cluster.conftest import Cluster
from tests.cluster.release import Release, installed, is_wired
from tests.cluster.test_readme import PROJECT, run

PAGE = PROJECT / "docs" / "upgrading.md"
DIFFERENT = 1  # of kubectl diff


@pytest.fixture(scope="module")
def release(cluster: Cluster) -> Iterator[Release]:
    yield from installed(cluster)


def test_the_pages_commands_show_upgrade_and_bring_back(cluster: Cluster, release: Release) -> None:
    before = len(release.run("history", "donjon").splitlines())
    shown = [line.strip() for line in re.findall(r"^\s*\$ (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)]
    for command in shown:
        run(command, kubeconfig=cluster.kubeconfig, ok=(0, DIFFERENT) if "kubectl diff" in command else (0,))
    assert [command.split()[1] for command in shown] == ["get", "template", "upgrade", "rollback"]
    assert len(release.run("history", "donjon").splitlines()) == before + 2
    assert is_wired(cluster)
