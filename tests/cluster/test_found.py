"""What the tests know of a testbed that was up before them, by programs that answer as kubectl and Helm do."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from testbed import cluster
from testbed.layout import Layout, Node
from tests.cluster.found import Found, look

NODES = (
    Node(name="sgx-1", number=1, machine="dc2ds-v3", driver="in-tree"),
    Node(name="sgx-2", number=2, machine="dc1s-v2", driver="dcap"),
    Node(name="plain-1", number=21, machine="none", driver="in-tree"),
)
LEFT_BY_MAKE_UP = {"namespaces": ["default", "kube-system", "donjon"], "jobs": ["sgx-test"], "pods": []}


def checkout(folder: Path, releases: list[str], objects: dict[str, list[str]]) -> Layout:
    """A checkout whose testbed holds these."""
    layout = Layout(checkout=folder)
    layout.state.mkdir(parents=True)
    (layout.state / "nodes.json").write_text(json.dumps([asdict(node) for node in NODES]))
    say(layout.program("helm"), {"list": json.dumps([{"name": name} for name in releases])})
    say(layout.program("kubectl"), {kind: listed(names) for kind, names in objects.items()})
    return layout


def listed(names: list[str]) -> str:
    going = {"metadata": {"name": "going", "deletionTimestamp": "2026-11-28T23:00:00Z"}}
    return json.dumps({"items": [{"metadata": {"name": name}} for name in names] + [going]})


def say(program: Path, answers: dict[str, str]) -> None:
    """A program that answers by the first of its words that is known."""
    cases = "".join(f"{word}) echo '{answer}'; exit;; " for word, answer in answers.items())
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f'#!/bin/sh\nfor word in "$@"; do case $word in {cases}esac; done\n')
    program.chmod(0o755)


def test_what_make_up_leaves_can_all_be_put_back(tmp_path: Path) -> None:
    found = look(checkout(tmp_path, ["donjon"], LEFT_BY_MAKE_UP))
    assert found == Found(nodes=NODES, installed=True, job=True, others=())
    assert cluster.plan(found.wish) == NODES


def test_a_cluster_alone_is_put_back_without_donjon(tmp_path: Path) -> None:
    found = look(checkout(tmp_path, [], {"namespaces": ["default"], "jobs": [], "pods": []}))
    assert (found.installed, found.job, found.others) == (False, False, ())


@pytest.mark.parametrize(
    ("kind", "name", "told"),
    [
        ("namespaces", "mine", "namespace mine"),
        ("jobs", "mine", "job mine"),
        ("pods", "mine", "pod mine"),
        ("releases", "mine", "release mine"),
    ],
)
def test_what_others_put_there_is_named(tmp_path: Path, kind: str, name: str, told: str) -> None:
    objects = {**LEFT_BY_MAKE_UP} | ({} if kind == "releases" else {kind: [*LEFT_BY_MAKE_UP[kind], name]})
    found = look(checkout(tmp_path, ["donjon", *([name] if kind == "releases" else [])], objects))
    assert found.others == (told,)
