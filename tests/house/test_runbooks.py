"""Every command of `donjon` that a runbook names is there, with its options; what asks a cluster is run on one by
tests/cluster/test_metrics.py.
"""

import shlex

import click
import pytest
from tests import runbooks

from donjon.cli import donjon

PAGES = runbooks.PROJECT / "src" / "donjon" / "findings" / "pages"

STATUS = {
    "DonjonAgentAbsent",
    "DonjonAgentRejected",
    "DonjonAgentsAbsent",
    "DonjonAttestationDown",
    "DonjonContainerWithoutDevice",
    "DonjonDatabaseAway",
    "DonjonGuardGap",
    "DonjonNodeNotReady",
    "DonjonWebhookCertificateEnds",
    "DonjonWebhookCertificateTrouble",
    "DonjonWebhookDown",
}
"""Where one look at all of Donjon says more than the alert does."""


@pytest.mark.parametrize("command", runbooks.of_donjon())
def test_a_command_of_donjon_in_a_runbook_is_there_with_its_options(command: str) -> None:
    _, *words = shlex.split(command)
    found: click.Command = donjon
    context = click.Context(donjon)
    while isinstance(found, click.Group) and words and not words[0].startswith("-"):
        name = words.pop(0)
        inner = found.get_command(context, name)
        assert inner is not None, f"{command}: no command {name}"
        found = inner
    options = {name for each in found.params for name in (*each.opts, *each.secondary_opts)}
    assert {word.partition("=")[0] for word in words if word.startswith("-")} <= options


@pytest.mark.parametrize("command", [each for each in runbooks.of_donjon() if each.startswith("donjon explain DJ")])
def test_a_code_that_a_runbook_has_explained_has_a_page(command: str) -> None:
    assert (PAGES / f"{command.rsplit(maxsplit=1)[-1]}.md").is_file()


def test_runbooks_begin_with_donjon_status_where_it_says_more_than_the_alert() -> None:
    assert {page.stem for page in runbooks.RUNBOOKS if "donjon status" in runbooks.blocks(page)} == STATUS
