"""The user's own cluster: kubeconfigs good and bad, rights that are missing, answers that are none."""

import json
import re
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from tests.adapters.fakecluster import TOKEN, FakeCluster, cluster

from donjon.adapters.cluster import client
from donjon.adapters.cluster.client import EVENT, NODE, POD, open_cluster
from donjon.errors import Misconfigured, Unavailable
from donjon.formats.json import JsonObject

SERVER = "server: 'https://127.0.0.1:1'"
WITH_USER = "contexts: [{name: a, context: {cluster: a, user: a}}]\nusers: [{name: a, user: {}}]\ncurrent-context: a\n"
PODS = "/api/v1/namespaces/shop/pods"


@pytest.fixture
def fake() -> Iterator[FakeCluster]:
    with cluster() as made:
        made.things[PODS] = [{"metadata": {"name": f"p{number}"}, "spec": {"unknown": number}} for number in range(5)]
        yield made


def test_a_thing_comes_as_it_is_and_one_that_is_not_there_as_nothing(fake: FakeCluster, tmp_path: Path) -> None:
    mine = open_cluster({}, kubeconfig=fake.kubeconfig(tmp_path), context=None)
    assert mine.namespace == "shop"
    assert mine.get(POD, "p3", "shop") == {"metadata": {"name": "p3"}, "spec": {"unknown": 3}}
    assert mine.get(POD, "nobody", "shop") is None


def test_a_list_is_read_in_all_its_pages_here_and_everywhere(fake: FakeCluster, tmp_path: Path) -> None:
    mine = open_cluster({}, kubeconfig=fake.kubeconfig(tmp_path), context=None)
    assert len(mine.list(POD, "shop")) == 5
    assert len(mine.list(POD)) == 5
    assert mine.list(NODE) == ()
    assert {method for method, _ in fake.asked} == {"GET"}


def test_a_list_is_narrowed_by_the_server(fake: FakeCluster, tmp_path: Path) -> None:
    fake.things["/api/v1/namespaces/shop/events"] = [
        {"reason": reason} for reason in ("FailedCreate", "Scheduled", "FailedCreate")
    ]
    mine = open_cluster({}, kubeconfig=fake.kubeconfig(tmp_path), context=None)
    assert len(mine.list(EVENT, "shop", selector={"reason": "FailedCreate"})) == 2


def test_kubeconfigs_in_the_environment_are_merged_and_the_earlier_one_stands(fake: FakeCluster, tmp_path: Path) -> None:
    first, second = tmp_path / "first", fake.kubeconfig(tmp_path)
    other: JsonObject = {
        "clusters": [],
        "users": [],
        "contexts": [{"name": "mine", "context": {"cluster": "fake", "user": "me"}}],
    }
    first.write_text(json.dumps(other | {"current-context": "mine"}))
    merged = {"KUBECONFIG": f"{first}:{tmp_path / 'absent'}:{second}"}
    assert open_cluster(merged, kubeconfig=None, context=None).namespace == "default"
    assert open_cluster(merged, kubeconfig=None, context="fake").get(POD, "p1", "shop") is not None


def test_a_login_program_of_the_kubeconfig_is_called(fake: FakeCluster, tmp_path: Path) -> None:
    said = json.dumps({"status": {"token": TOKEN}})
    login: JsonObject = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": sys.executable,
        "args": ["-c", f"print('{said}')"],
    }
    mine = open_cluster({}, kubeconfig=fake.kubeconfig(tmp_path, {"exec": login}), context=None)
    assert mine.get(POD, "p1", "shop") is not None


@pytest.mark.parametrize(
    ("changed", "family", "code"),
    [
        ({"command": "/nowhere/login"}, Unavailable, "DJ041"),
        ({"args": ["-c", "raise SystemExit('no session')"]}, Misconfigured, "DJ040"),
        ({"args": ["-c", "print('hello')"]}, Unavailable, "DJ041"),
        ({"apiVersion": "client.authentication.k8s.io/v7"}, Misconfigured, "DJ040"),
    ],
)
def test_a_login_program_that_fails_is_told(
    fake: FakeCluster, tmp_path: Path, changed: JsonObject, family: type[Unavailable | Misconfigured], code: str
) -> None:
    login: JsonObject = {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": sys.executable, "args": []}
    mine = open_cluster({}, kubeconfig=fake.kubeconfig(tmp_path, {"exec": login | changed}), context=None)
    with pytest.raises(family) as raised:
        mine.get(POD, "p1", "shop")
    assert raised.value.code == code


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "{",
        "[]",
        "clusters: []\ncontexts: []\n",
        "clusters: []\ncontexts: []\ncurrent-context: none\n",
        "clusters: []\ncontexts: [{name: a, context: {cluster: gone}}]\ncurrent-context: a\n",
        f"clusters: [{{name: a, cluster: {{{SERVER}}}}}]\ncontexts: [{{name: a, context: {{cluster: a}}}}]\ncurrent-context: a\n",
        f"clusters: [{{name: a, cluster: {{{SERVER}, certificate-authority: absent}}}}]\n{WITH_USER}",
    ],
)
def test_what_is_no_usable_kubeconfig_is_refused_with_a_code(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(Misconfigured) as raised:
        open_cluster({}, kubeconfig=path, context=None)
    assert raised.value.code == "DJ040"


def test_without_any_kubeconfig_it_says_where_it_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(Misconfigured, match="no KUBECONFIG"):
        open_cluster({}, kubeconfig=None, context=None)
    with pytest.raises(Misconfigured, match="not found"):
        open_cluster({}, kubeconfig=tmp_path / "absent", context=None)


def test_a_missing_right_is_told_in_the_servers_words(fake: FakeCluster, tmp_path: Path) -> None:
    fake.forbidden.add("/api/v1/nodes")
    mine = open_cluster({}, kubeconfig=fake.kubeconfig(tmp_path), context=None)
    with pytest.raises(Unavailable, match=r"403 /api/v1/nodes is forbidden"):
        mine.list(NODE)


@pytest.mark.parametrize("answer", [b"hello", b"[]", b"7", b'{"items": 7}', b"", b"\xff"])
def test_an_answer_that_is_none_is_told(fake: FakeCluster, tmp_path: Path, answer: bytes) -> None:
    fake.answers[PODS] = answer
    mine = open_cluster({}, kubeconfig=fake.kubeconfig(tmp_path), context=None)
    with pytest.raises(Unavailable) as raised:
        mine.list(POD, "shop")
    assert raised.value.code == "DJ041"


def test_a_server_that_is_gone_is_told(tmp_path: Path) -> None:
    with cluster() as gone:
        path = gone.kubeconfig(tmp_path)
    (server,) = re.findall(r"https?://[^\s\"]+", path.read_text(encoding="utf-8"))
    with pytest.raises(Unavailable, match=f"get pods p1 at {server}: .*refused"):
        open_cluster({}, kubeconfig=path, context=None).get(POD, "p1", "shop")


def test_a_server_that_takes_a_connection_and_is_silent_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "TIMEOUT", 0.3)
    config = tmp_path / "config"
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"https://127.0.0.1:{server.getsockname()[1]}"
        config.write_text(f"clusters: [{{name: a, cluster: {{server: '{address}'}}}}]\n{WITH_USER}")
        with pytest.raises(Unavailable, match=f"list nodes at {address}: no answer within 0.3 s"):
            open_cluster({}, kubeconfig=config, context=None).list(NODE)


def test_a_server_that_drips_its_answer_is_given_up(fake: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ALTOGETHER", 1.0)
    fake.drips = 0.05  # The answer has some fifty bytes.
    mine = open_cluster({}, kubeconfig=fake.kubeconfig(tmp_path), context=None)
    with pytest.raises(Unavailable, match="get pods p1: no whole answer within 1 s") as raised:
        mine.get(POD, "p1", "shop")
    assert raised.value.code == "DJ041"


def left_behind() -> int:
    return sum(each.name.startswith("asks the cluster") for each in threading.enumerate())


def wait_for_all() -> None:
    for _ in range(100):
        if not left_behind():
            return
        Event().wait(0.1)
    raise AssertionError("somebody still asks, for whom nobody waits")


def test_a_pod_that_drips_its_words_leaves_nobody_behind_who_asks(fake: FakeCluster, tmp_path: Path) -> None:
    fake.answers[f"{PODS}/p1:9809/proxy/readyz"] = b"x" * 9_000
    fake.drips, fake.slow = 0.1, f"{PODS}/p1:"
    mine = open_cluster({}, kubeconfig=fake.kubeconfig(tmp_path), context=None)
    for _ in range(3):
        with pytest.raises(Unavailable, match=r"no whole answer within 0\.3 s"):
            mine.pod_text("shop", "p1", 9809, "/readyz", seconds=0.3)
    wait_for_all()  # To its end the answer would take a quarter of an hour.


def test_a_list_for_which_nobody_waits_is_read_no_further(
    fake: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "ALTOGETHER", 0.3)
    fake.drips = 0.01
    fake.things[PODS] = [{"metadata": {"name": f"p{number}"}} for number in range(1_000)]
    mine = open_cluster({}, kubeconfig=fake.kubeconfig(tmp_path), context=None)
    with pytest.raises(Unavailable, match=r"list pods: no whole answer within 0\.3 s"):
        mine.list(POD, "shop")
    wait_for_all()
    assert len(fake.asked) < 20  # Of 500 pages.


def test_those_who_are_left_behind_do_not_pile_up(fake: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ALTOGETHER", 0.05)
    fake.drips = 0.05
    mine = open_cluster({}, kubeconfig=fake.kubeconfig(tmp_path), context=None)
    for _ in range(2 * client.MAX_BEHIND):
        with pytest.raises(Unavailable):
            mine.get(POD, "p1", "shop")
    assert left_behind() == client.MAX_BEHIND
    with pytest.raises(Unavailable, match="get pods p1: not asked, since 8 questions of before are without a whole answer"):
        mine.get(POD, "p1", "shop")
    wait_for_all()
