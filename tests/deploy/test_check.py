"""The chart's own manifests under `donjon check`, as docs/checking-manifests.md says."""

import pytest
from click.testing import CliRunner, Result
from tests.deploy.conftest import PROJECT, Helm

from donjon.cli.check import check

QUOTE_HELPER = ("quoteHelper.enabled=true", 'quoteHelper.image="registry.example/aesmd:1"')
BY_ACCOUNT = ("--provision-account", "donjon:donjon-aesmd")
BY_LABEL = ("--namespace-label", "donjon:donjon.dev/provision=allowed")


def checked(helm: Helm, *settings: str, options: tuple[str, ...] = ()) -> Result:
    rendered = helm.refusal_or_text(*settings)
    assert rendered.returncode == 0, rendered.stderr
    return CliRunner().invoke(check, ["-", "-n", "donjon", *options], input=rendered.stdout)


@pytest.mark.parametrize("mode", ["policies", "webhook"])
@pytest.mark.parametrize("options", [BY_ACCOUNT, BY_LABEL], ids=["account", "label"])
def test_everything_that_the_chart_makes_passes_the_projects_own_check(helm: Helm, mode: str, options: tuple[str, ...]) -> None:
    done = checked(helm, f'admission.mode="{mode}"', 'cleanup.hooks="always"', *QUOTE_HELPER, options=options)
    assert done.exit_code == 0, done.output
    assert "DaemonSet donjon-aesmd: admitted" in done.stdout
    assert "[DJ" not in done.output


@pytest.mark.parametrize("settings", [(), ("attestation.enabled=true", "attestation.rehearsal=true")], ids=["plain", "rehearsal"])
def test_without_the_quote_helper_nothing_needs_to_be_said(helm: Helm, settings: tuple[str, ...]) -> None:
    done = checked(helm, *settings)
    assert done.exit_code == 0
    assert "[DJ" not in done.output


def test_the_quote_helper_needs_the_right_that_the_chart_gives_its_account(helm: Helm) -> None:
    done = checked(helm, "namespace.create=true", *QUOTE_HELPER)
    assert done.exit_code == 1
    assert done.stdout.count("[DJ104]") == 1


def test_the_page_about_checking_says_how() -> None:
    page = (PROJECT / "docs" / "checking-manifests.md").read_text(encoding="utf-8")
    assert f"| donjon check - -n donjon {' '.join(BY_ACCOUNT)}" in page
