"""`make up`: the FAQ's Job on a real cluster, from nothing to its log, and what to try next."""

import subprocess
import sys
from pathlib import Path

from testbed import cluster, images
from testbed.commands import run
from testbed.layout import HOST_ROOT, Layout, here
from testbed.trouble import Trouble

NAMESPACE = RELEASE = "donjon"
_JOB = Path(__file__).parent / "examples" / "sgx-test.yaml"
_IN_FORCE_TRIES = 50


def main() -> None:
    """Every step in turn; the first that fails says what to do."""
    import os  # noqa: PLC0415

    layout = here()
    cluster.up(layout, cluster.Wish.parse(os.environ))
    install(layout)
    _run_the_job(layout)
    _say_what_next(layout)


def install(layout: Layout) -> None:
    """Donjon's image in the nodes, its chart in the cluster; returns when agents are ready and policies in force."""
    _step("building Donjon's image")
    archive = _lines([str(layout.checkout / "deploy" / "images" / "build")])[-1]
    images.load(layout, cluster.nodes(layout), Path(archive))
    _step("installing Donjon with Helm")
    _helm(layout, "upgrade", "--install", RELEASE, str(layout.checkout / "deploy" / "chart"), "--namespace", NAMESPACE,
          "--create-namespace", "--set", f"node.hostRoot={HOST_ROOT}", "--set", "image.pullPolicy=Never", "--wait", "--timeout", "90s")
