"""The testbed as the tests found it: what `make up` and `make cluster` leave is put back; what others put there stays."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from testbed import cluster, demo
from testbed.commands import run
from testbed.layout import Layout, Node

KUBERNETES = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})
JOB = "sgx-test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was there."""

    nodes: tuple[Node, ...]
    installed: bool  # Donjon, by Helm
    job: bool  # the FAQ's, which `make up` runs
    others: tuple[str, ...]  # what nobody here could put back

    @property
    def wish(self) -> cluster.Wish:
        """What to ask of the testbed to have these nodes."""
        sgx = [node for node in self.nodes if node.machine != "none"]
        return cluster.Wish(
            sgx=len(sgx),
            plain=len(self.nodes) - len(sgx),
            machines=tuple(node.machine for node in sgx) or None,
            drivers=tuple(node.driver for node in sgx) or None,
        )


def look(layout: Layout) -> Found:
    """What is there now."""
    releases = json.loads(run(layout.program("helm"), "list", "-A", "-o", "json", "--kubeconfig", layout.kubeconfig))
    jobs = _names(layout, "jobs", "-n", "default")
    return Found(
        nodes=cluster.nodes(layout),
        installed=any(release["name"] == demo.RELEASE for release in releases),
        job=JOB in jobs,
        others=tuple(_others(layout, releases)),
    )


def put_back(layout: Layout, found: Found) -> None:
    """Make it so again, whatever is there now."""
    cluster.up(layout, found.wish)
    now = look(layout)
    if found.installed:
        demo.install(layout)
    elif now.installed:
        demo.helm(layout, "uninstall", demo.RELEASE, "--wait")
    if found.job and not now.job:
        demo.run_the_job(layout)


def _others(layout: Layout, releases: list[dict[str, Any]]) -> Iterator[str]:
    yield from (f"release {release['name']}" for release in releases if release["name"] != demo.RELEASE)
    ours = KUBERNETES | {demo.NAMESPACE}
    yield from (f"namespace {name}" for name in _names(layout, "namespaces") if name not in ours)
    pods = _names(layout, "pods", "-n", "default", "-l", f"app!={JOB}")
    yield from (f"pod {name}" for name in pods)
    yield from (f"job {name}" for name in _names(layout, "jobs", "-n", "default") if name != JOB)


def _names(layout: Layout, *what: str) -> list[str]:
    listed = json.loads(run(*demo.kubectl(layout), "get", *what, "-o", "json"))
    return [item["metadata"]["name"] for item in listed["items"] if "deletionTimestamp" not in item["metadata"]]
