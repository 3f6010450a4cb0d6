"""`donjon epc top` as a person meets it, against a cluster that is a fake."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.adapters.fakecluster import FakeCluster, cluster
from tests.cli.calling import call
from tests.diagnosis.installations import own_pod
from tests.kube.epc import MIB, container, held, report

from donjon.formats.json import JsonObject, at
from donjon.kube.epc_report import encode
from donjon.sgx.epc import EpcSource, EpcUse

PODS = "/api/v1/namespaces/donjon/pods"
BUSY = report(container(10, held(20, 4, debug=1)), container(0, held(1), pod="quiet", namespace="bank"), node="a")
CALM = report(container(10, held(3), pod="app-2"), node="b")


def agent(node: str) -> JsonObject:
    """An agent's pod with a meter beside it."""
    pod = own_pod("node", node)
    spec = at(pod, "spec")
    assert isinstance(spec, dict)
    return {**pod, "spec": {**spec, "hostPID": True, "containers": [{"name": "node"}, {"name": "meter"}]}}


def place(node: str) -> str:
    return f"{PODS}/{at(agent(node), 'metadata', 'name')}:9810/proxy/epc"


@pytest.fixture
def fake() -> Iterator[FakeCluster]:
    with cluster() as made:
        made.things = {PODS: [agent("a"), agent("b"), own_pod("admission", "a")]}
        made.answers = {place("a"): encode(BUSY), place("b"): encode(CALM)}
        yield made


def top(fake: FakeCluster, folder: Path, *words: str) -> tuple[int, str, str]:
    done = call("epc", "top", "--kubeconfig", fake.kubeconfig(folder), *words)
    return done.returncode, done.stdout, done.stderr


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if line.strip()]


def test_who_holds_most_stands_first_and_who_asked_for_too_little_is_seen(fake: FakeCluster, tmp_path: Path) -> None:
    code, out, err = top(fake, tmp_path)
    assert (code, err) == (0, "")
    assert rows(out) == [
        ["node", "EPC", "free", "resident", "peak", "evicted", "of", "EPC", "requested", "guests", "of", "no", "pod", "source"],
        ["a", "8Gi", "4Gi", "21Mi", "0", "0", "0", "%", "10Mi", "0", "0", "bpf"],
        ["b", "8Gi", "4Gi", "3Mi", "0", "0", "0", "%", "10Mi", "0", "0", "bpf"],
        ["namespace", "pod", "node", "requested", "resident", "evicted", "of", "request", "peak", "enclaves"],
        ["shop", "app-1", "a", "10Mi", "20Mi", "4Mi", "240", "%", "20Mi", "1", "(1", "debug)"],
        ["shop", "app-2", "b", "10Mi", "3Mi", "0", "30", "%", "3Mi", "1"],
        ["bank", "quiet", "a", "0", "1Mi", "0", "nothing", "asked", "1Mi", "1"],
    ]


def forged(namespace: str, **spec: object) -> JsonObject:
    """A pod of somebody else that calls itself the agent of node a."""
    pod = agent("a")
    metadata, own = at(pod, "metadata"), at(pod, "spec")
    assert isinstance(metadata, dict)
    assert isinstance(own, dict)
    changed: JsonObject = json.loads(json.dumps({"metadata": {**metadata, "namespace": namespace}, "spec": {**own, **spec}}))
    return {**pod, **changed}


def test_a_pod_of_another_namespace_that_calls_itself_an_agent_is_not_asked(fake: FakeCluster, tmp_path: Path) -> None:
    _, truth, _ = top(fake, tmp_path)
    fake.things["/api/v1/namespaces/shop/pods"] = [forged("shop")]
    fake.answers[place("a").replace("/donjon/", "/shop/")] = encode(replace(BUSY, containers=()))
    assert top(fake, tmp_path) == (0, truth, "")


def test_where_nobody_knows_which_agents_are_the_releases_none_is_believed(fake: FakeCluster, tmp_path: Path) -> None:
    fake.things = {f"/api/v1/namespaces/{each}/pods": [forged(each)] for each in ("shop", "sgx")}
    fake.answers = {place("a").replace("/donjon/", f"/{each}/"): encode(BUSY) for each in ("shop", "sgx")}
    _, out, err = top(fake, tmp_path)
    assert "app-1" not in out
    assert "pods of several namespaces say that they are its meter: sgx, shop" in " ".join((out + err).split())


def test_a_pod_that_sees_no_others_processes_is_no_meter(fake: FakeCluster, tmp_path: Path) -> None:
    fake.things = {"/api/v1/namespaces/shop/pods": [forged("shop", hostPID=False)]}
    fake.answers = {place("a").replace("/donjon/", "/shop/"): encode(BUSY)}
    code, _, err = top(fake, tmp_path)
    assert code != 0
    assert "DJ784" in err


def test_of_one_namespace_and_by_node(fake: FakeCluster, tmp_path: Path) -> None:
    _, out, _ = top(fake, tmp_path, "-n", "bank", "--by", "container")
    assert [line[:3] for line in rows(out)[4:]] == [["bank", "quiet", "app"]]
    _, out, _ = top(fake, tmp_path, "--by", "node")
    assert len(rows(out)) == 3


def test_an_upper_bound_is_marked_as_one(fake: FakeCluster, tmp_path: Path) -> None:
    bound = container(10, EpcUse(resident=64 * MIB, existing=None, evicted=None, enclaves=1), pod="app-3")
    fake.answers[place("b")] = encode(replace(report(bound, node="b", source=EpcSource.MAPS), use=bound.use))
    _, out, _ = top(fake, tmp_path)
    assert "≤ at most: by the sizes of mapped areas" in out
    assert ["shop", "app-3", "b", "10Mi", "≤", "64Mi", "?", "≤", "640", "%", "≤", "64Mi", "?"] in rows(out)
    assert ["b", "8Gi", "4Gi", "≤", "64Mi", "≤", "0", "?", "≤", "1", "%", "10Mi", "≤", "0", "≤", "0", "maps"] in rows(out)


def test_a_node_whose_enclaves_are_larger_than_its_epc_is_seen(fake: FakeCluster, tmp_path: Path) -> None:
    fake.answers[place("b")] = encode(replace(CALM, use=held(8 << 10, 4 << 10)))
    _, out, _ = top(fake, tmp_path, "--by", "node")
    assert ["b", "8Gi", "4Gi", "8Gi", "0", "4Gi", "150", "%", "10Mi", "0", "0", "bpf"] in rows(out)


def test_a_process_that_could_not_be_read_is_told_since_autoscalers_then_have_no_figure(
    fake: FakeCluster, tmp_path: Path
) -> None:
    assert "could not be read" not in top(fake, tmp_path)[1]
    fake.answers[place("b")] = encode(replace(CALM, unreadable=1))
    _, out, _ = top(fake, tmp_path, "--by", "node")
    assert rows(out)[-1][:7] == ["b:", "1", "process", "could", "not", "be", "read,"]
    assert "autoscalers take no figure of the node's pods [DJ709]" in " ".join(out.split())


def test_where_a_namespace_holds_nothing_it_is_named(fake: FakeCluster, tmp_path: Path) -> None:
    assert "no pod of namespace calm holds or asked for EPC" in top(fake, tmp_path, "-n", "calm")[1]


def test_with_every_it_goes_on_until_it_is_interrupted(
    fake: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        fake.answers[place("a")] = fake.answers[place("b")] = b"no pass yet [DJ703]"
        if len(pauses) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("donjon.adapters.clock.pause", pause)
    code, out, err = top(fake, tmp_path, "--every", "5s")
    assert (code, err, pauses) == (0, "", [5.0, 5.0])
    before, after = out.split("meter of a: no pass yet")
    assert "app-1" in before
    assert "[DJ785]" in after


def test_a_lower_bound_is_marked_as_one(fake: FakeCluster, tmp_path: Path) -> None:
    part = replace(container(10, held(20), pod="app-3"), at_least=True)
    fake.answers[place("b")] = encode(report(part, node="b"))
    _, out, _ = top(fake, tmp_path)
    assert "≥ at least: of such a container more is there than the meter counts" in out
    assert [line for line in rows(out) if "app-3" in line and "≥" in line]
    assert [line for line in rows(out) if line[:1] == ["b"] and "≥" in line]


def test_for_programs_amounts_are_bytes_and_what_is_unknown_is_null(fake: FakeCluster, tmp_path: Path) -> None:
    fake.answers[place("b")] = b"no pass yet [DJ703]"
    code, out, _ = top(fake, tmp_path, "-o", "json")
    page = json.loads(out)
    assert code == 0
    assert [node["name"] for node in page["nodes"]] == ["a"]
    assert page["unknown"] == [{"node": "b", "why": "no pass yet [DJ703]"}]
    assert page["rows"][0]["namespace"] == "shop"
    assert (page["rows"][0]["resident"], page["rows"][0]["request"]) == (20 * MIB, 10 * MIB)
    assert page["nodes"][0]["unaccounted"] is None


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"no pass is young enough", "no pass is young enough"),
        (b"{}", "version: expected a string, found nothing"),
        (encode(replace(CALM, node="another")), "the meter says that it is of node another"),
        (encode(CALM)[:-1], "no JSON that is read here"),
        (b"", "the meter says nothing"),
        (b"{" + b" " * (5 << 20), "expected at most 4194304"),
    ],
)
def test_a_meter_that_says_no_report_is_named_and_the_others_are_shown(
    fake: FakeCluster, tmp_path: Path, answer: bytes, words: str
) -> None:
    fake.answers[place("b")] = answer
    code, out, err = top(fake, tmp_path)
    assert code == 0
    assert "app-1" in out
    assert err.startswith("b: unknown: ")
    assert words in err


def test_of_a_node_without_sgx_nothing_is_said(fake: FakeCluster, tmp_path: Path) -> None:
    fake.answers[place("b")] = b"meter: no pass within the last 60 s [DJ708]: meter: neither sgx_enclave nor sgx_vepc [DJ700]"
    code, out, err = top(fake, tmp_path)
    assert (code, err) == (0, "")
    assert [line[0] for line in rows(out)[:3]] == ["node", "a", "namespace"]
    fake.answers[place("b")] += b"; and by areas: the process lacks CAP_SYS_PTRACE [DJ709]"
    assert top(fake, tmp_path)[2].startswith("b: unknown: ")


def test_whoever_may_not_ask_the_pods_reads_why(fake: FakeCluster, tmp_path: Path) -> None:
    fake.answers = {}
    fake.forbidden = {place("a"), place("b")}
    code, out, err = top(fake, tmp_path)
    assert (code, out) == (3, "")
    assert "meter of a: ask pod donjon/" in err
    assert "is forbidden" in err
    assert "[DJ785]" in err


def test_whoever_may_not_list_the_agents_reads_which_role_lets_them(fake: FakeCluster, tmp_path: Path) -> None:
    fake.forbidden = {"/api/v1/pods", PODS}
    code, out, err = top(fake, tmp_path)
    assert (code, out) == (3, "")
    assert "list pods: 403" in err
    assert "the Role donjon-epc in namespace donjon gives that right [DJ785]" in err


def test_who_may_see_donjons_namespace_alone_sees_the_figures(fake: FakeCluster, tmp_path: Path) -> None:
    fake.forbidden = {"/api/v1/pods"}
    code, out, _ = top(fake, tmp_path)
    assert code == 0
    assert "app-1" in out


def test_where_no_meter_has_figures_a_few_say_why_and_none_that_has_nothing_to_count(fake: FakeCluster, tmp_path: Path) -> None:
    nodes = "abcdef"
    fake.things = {PODS: [agent(node) for node in nodes]}
    fake.answers = {place(node): b"meter: the kernel is locked down [DJ704]" for node in nodes}
    fake.answers[place("a")] = b"meter: no pass within the last 60 s [DJ708]: meter: no driver [DJ700]"
    code, _, err = top(fake, tmp_path)
    assert code == 3
    assert "meter of a:" not in err
    assert err.count("is locked down") == 3
    assert "; and 2 more [DJ785]" in err


def test_without_a_meter_it_says_how_one_is_turned_on(fake: FakeCluster, tmp_path: Path) -> None:
    fake.things = {PODS: [own_pod("node", "a")]}
    code, _, err = top(fake, tmp_path)
    assert code == 3
    assert "node.meter.enabled" in err


def test_what_a_meter_calls_things_cannot_steer_the_terminal(fake: FakeCluster, tmp_path: Path) -> None:
    fake.answers[place("b")] = encode(replace(CALM, containers=(container(1, held(1), pod="a\x1b[2J"),)))
    _, out, err = top(fake, tmp_path)
    assert "\x1b" not in out + err
    assert "pod: expected a name" in err


@pytest.mark.parametrize("words", [("--every", "0.1s"), ("--every", "soon"), ("--every", "5s", "-o", "json"), ("--by", "size")])
def test_what_cannot_be_meant_is_refused(fake: FakeCluster, tmp_path: Path, words: tuple[str, ...]) -> None:
    code, _, err = top(fake, tmp_path, *words)
    assert code == 2
    assert "Usage:" in err or "expected" in err
