"""The report of a node's EPC crosses the network: it reads back as it was written, and nothing else is read."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from donjon.errors import Malformed
from donjon.kube import epc_report
from donjon.kube.epc_report import ContainerEpc, EpcReport, PodContainer, decode, encode
from donjon.sgx.epc import EpcSource, EpcUse

amounts = st.integers(0, (1 << 63) - 1)
perhaps = st.none() | amounts
names = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,60}[a-z0-9])?", fullmatch=True)
uses = st.builds(EpcUse, resident=amounts, existing=perhaps, evicted=perhaps, enclaves=amounts, debug=amounts, building=amounts)
containers = st.builds(
    ContainerEpc,
    name=st.builds(PodContainer, namespace=names, pod=names, pod_uid=names, container=names),
    request=amounts,
    use=uses,
    guests=amounts,
    peak=amounts,
    processes=amounts,
    at_least=st.booleans(),
)
reports = st.builds(
    EpcReport,
    node=names,
    moment=st.just("2026-11-30T02:39:23Z"),
    source=st.sampled_from(EpcSource),
    total=perhaps,
    free=perhaps,
    use=uses,
    guests=amounts,
    unaccounted=perhaps,
    system=uses,
    system_guests=amounts,
    reclaimer_seconds=st.none() | st.integers(0, 10**12).map(lambda milliseconds: milliseconds / 1000),
    unreadable=amounts,
    containers=st.lists(containers, max_size=4).map(tuple),
    left_out=amounts,
    strangers=st.lists(st.uuids().map(str), max_size=3).map(tuple),
)
EMPTY = EpcReport(node="sgx-1", moment="2026-11-30T02:39:23Z", source=EpcSource.BPF, total=None, free=None, use=EpcUse())
NAME = PodContainer(namespace="tenant", pod="p", pod_uid="u", container="c")


@given(reports)
def test_a_report_reads_back_as_it_was_written(report: EpcReport) -> None:
    assert decode(encode(report), "meter") == report


@pytest.mark.parametrize(
    ("member", "value", "words"),
    [
        ("version", "donjon.dev/epc/v2", "expected donjon.dev/epc/v1"),
        ("node", "", "1 to 253 characters"),
        ("node", "n" * 254, "1 to 253 characters"),
        ("node", "a\nb", "1 to 253 characters"),
        ("node", "../../secrets", "1 to 253 characters"),
        ("node", "(unnamed)", "1 to 253 characters"),
        ("moment", "yesterday", "expected a date"),
        ("source", "guess", "expected one of bpf, maps"),
        ("total", -1, "expected a number from 0"),
        ("free", 1 << 63, "expected a number from 0"),
        ("guests", True, "expected a number from 0"),
        ("use", [], "expected an object"),
        ("containers", {"a": 1}, "expected a list"),
        ("strangers", "a", "expected a list"),
        ("strangers", ["a\nb"], "uids of pods"),
        ("strangers", ["a" * 254], "uids of pods"),
        ("strangers", ["a"] * 4097, "uids of pods"),
        ("containers", [1], "expected objects"),
    ],
)
def test_what_is_no_report_is_refused(member: str, value: object, words: str) -> None:
    text = json.dumps(json.loads(encode(EMPTY)) | {member: value}).encode()
    with pytest.raises(Malformed, match=words):
        decode(text, "meter of sgx-1")


def test_a_report_is_bounded() -> None:
    container = ContainerEpc(name=NAME, request=0, use=EpcUse())
    most = replace(EMPTY, containers=(container,) * epc_report.MAX_CONTAINERS)
    assert decode(encode(most), "meter") == most
    with pytest.raises(Malformed, match="4097 containers"):
        decode(encode(replace(most, containers=(*most.containers, container))), "meter")
    with pytest.raises(Malformed, match="expected at most"):
        decode(encode(EMPTY) + b" " * epc_report.MAX_BYTES, "meter")


def test_what_one_does_not_know_the_sum_does_not_know() -> None:
    exact, bound = EpcUse(resident=4096, existing=8192, evicted=4096, enclaves=1), EpcUse(resident=1, existing=None, evicted=None)
    assert exact + exact == EpcUse(resident=8192, existing=16384, evicted=8192, enclaves=2)
    assert exact + bound == EpcUse(resident=4097, existing=None, evicted=None, enclaves=1)


@pytest.mark.parametrize("member", ["namespace", "pod", "podUid", "container"])
def test_a_name_that_is_none_goes_into_no_address(member: str) -> None:
    body = json.loads(encode(replace(EMPTY, containers=(ContainerEpc(name=NAME, request=0, use=EpcUse()),))))
    for word in ("..", "a/b", "a?b", "a%2fb", "\x1b[2J", ""):
        body["containers"][0][member] = word
        with pytest.raises(Malformed, match=f"{member}: expected"):
            decode(json.dumps(body).encode(), "meter")


def test_a_container_that_has_no_name_yet_reads_back() -> None:
    nameless = ContainerEpc(name=replace(NAME, container=epc_report.UNNAMED), request=0, use=EpcUse())
    assert decode(encode(replace(EMPTY, containers=(nameless,))), "meter").containers == (nameless,)
