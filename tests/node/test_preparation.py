"""A node's preparation: which steps follow from which findings and wishes, and what is left to a person."""

import json
import re
import shlex
from contextlib import suppress
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from donjon.errors import Malformed
from donjon.findings import codes
from donjon.node.preparation import texts, wishes
from donjon.node.preparation.outline import HostOutline, NodeRuntime, parse
from donjon.node.preparation.planning import prepare
from donjon.node.preparation.role import ROLE, role
from donjon.node.preparation.script import _KINDS, ShellParts, script
from donjon.node.preparation.steps import NodeChange, NodeFile, NodePreparation, NodeStep
from donjon.node.preparation.wishes import NodeWishes

PARTS = ShellParts(begin="", end="")
ALL_WISHES = NodeWishes(
    cache="https://pccs.example/sgx/certification/v4/",
    authority="-----BEGIN CERTIFICATE-----\n",
    runtime=NodeRuntime.CRIO,
    aesm=True,
    registration=True,
    source=wishes.package_source("https://packages.example/sgx", "noble"),
    driver=wishes.driver("sgx/1.41"),
)
WORST = frozenset(value for name, value in vars(codes).items() if name.isupper() and isinstance(value, str))


def host(
    *found: str,
    virtual: bool | None = False,
    old: bool | None = True,
    sections: int | None = 1,
    ownership: bool | None = False,
    runtime: str = "containerd",
) -> HostOutline:
    return HostOutline(
        codes=frozenset(found),
        virtual=virtual,
        old=old,
        sections=sections,
        ownership=ownership,
        runtimes=(NodeRuntime(runtime),),
    )


def steps(of: HostOutline, wish: NodeWishes | None = None) -> dict[str, NodeStep]:
    return {each.name: each for each in prepare(of, wish or NodeWishes()).steps}


def whole() -> NodePreparation:
    return prepare(host(*WORST), ALL_WISHES)


DEVICES = {"sgx", "sgx_prv", "rules", "enclave", "provision", "dcap-enclave", "dcap-provision", "aesmd-sgx", "aesmd-sgx-prv"}


@pytest.mark.parametrize(
    ("of", "wish", "more"),
    [
        (host(ownership=True), NodeWishes(), set()),
        (host(), NodeWishes(), {"containerd"}),
        (host(ownership=None), NodeWishes(), {"containerd"}),
        (host(runtime="k3s"), NodeWishes(), {"k3s"}),
        (host(runtime="cri-o"), NodeWishes(), {"cri-o"}),
        (host(runtime="rke2"), NodeWishes(), set()),
        (host(ownership=True), NodeWishes(runtime=NodeRuntime.CRIO), {"cri-o"}),
        (host(codes.NOSGX, ownership=True), NodeWishes(), {"nosgx"}),
        (host(codes.DEV_NOEXEC, ownership=True), NodeWishes(), {"dev-exec", "dev-exec-unit"}),
        (host(codes.DRIVERLESS, ownership=True), NodeWishes(), set()),
        (host(codes.DRIVERLESS, ownership=True), NodeWishes(driver=wishes.driver("sgx/1.41")), {"driver", "module"}),
        (host(ownership=True), NodeWishes(driver=wishes.driver("sgx/1.41")), set()),
        (host(codes.DRIVERLESS, ownership=True, old=None), NodeWishes(driver=wishes.driver("sgx/1.41")), {"driver", "module"}),
        (host(codes.DRIVERLESS, ownership=True, old=False), NodeWishes(driver=wishes.driver("sgx/1.41")), set()),
        (host(ownership=True), NodeWishes(aesm=True), {"aesm"}),
        (host(ownership=True), NodeWishes(registration=True), {"registration"}),
        (host(ownership=True), NodeWishes(cache="https://a/sgx/certification/v4/"), {"cache"}),
    ],
)
def test_each_step_is_there_where_it_is_for_something(of: HostOutline, wish: NodeWishes, more: set[str]) -> None:
    assert set(steps(of, wish)) == DEVICES | more


def test_packages_come_behind_their_source_and_settings_behind_the_packages_that_bring_others() -> None:
    names = list(steps(host(), ALL_WISHES))
    assert names.index("source") < names.index("aesm") < names.index("aesmd-sgx") < names.index("cache")
    assert names.index("authority") < names.index("cache")
    assert names.index("sgx_prv") < names.index("rules") < names.index("provision")


def looked_at(of: HostOutline, wish: NodeWishes | None = None) -> str:
    return " | ".join(f"{each.what}: {each.do}" for each in prepare(of, wish or NodeWishes()).looks)


@pytest.mark.parametrize(
    ("of", "words"),
    [
        (host(codes.SGX_OFF), "enable memory encryption (TME) first"),
        (host(codes.LOCKED), "set launch control to unlocked"),
        (host(codes.NO_EPC), "PRMRR; of each socket a power of two"),
        (host(codes.NO_EPC, virtual=True), "have whoever runs the hypervisor"),
        (host(codes.DRIVERLESS), "--driver sgx/1.41"),
        (host(codes.DRIVERLESS, old=False), "as distributions' own are"),
        (host(sections=2), "this machine has several sockets"),
        (host(sections=None), "where this machine has several sockets"),
        (host(runtime="rke2"), "as its own pages say"),
        (host(codes.NOSGX), "restart the machine"),
    ],
)
def test_what_no_program_does_is_said_to_a_person(of: HostOutline, words: str) -> None:
    assert words in looked_at(of)


@pytest.mark.parametrize(
    ("of", "words"),
    [
        (host(), "several sockets"),
        (host(virtual=True, sections=2), "several sockets"),
        (host(virtual=True), "firmware"),
        (host(), "hypervisor"),
        (host(codes.DRIVERLESS, old=False), "--driver"),
        (host(ownership=True, runtime="rke2"), "RKE2"),
    ],
)
def test_nobody_is_sent_to_look_at_what_is_not_his(of: HostOutline, words: str) -> None:
    assert words not in looked_at(of)


def test_who_has_named_no_runtime_where_none_was_seen_is_asked_for_it() -> None:
    of = HostOutline(codes=frozenset(), virtual=False, old=False, sections=1, ownership=None, runtimes=())
    assert "name it: --runtime" in looked_at(of)
    assert set(steps(of)) == DEVICES


def test_a_finding_that_a_step_ends_is_no_look_of_the_same_name_and_no_finding_is_lost() -> None:
    """But for those that a start alone ends, each finding about the machine is either ended or said."""
    preparation = prepare(host(*WORST), ALL_WISHES)
    ended = {code for each in preparation.steps for code in each.ends}
    said = {code for each in preparation.looks for code in each.codes}
    assert ended & said == {codes.NOSGX}
    assert ended | said >= {f"DJ0{number:02}" for number in (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 34, 35, 36, 37, 38)}


def test_a_file_that_is_not_anothers_has_our_name_in_its_own() -> None:
    files = [each.change for each in whole().steps if isinstance(each.change, NodeFile)]
    assert len(files) > 4
    assert [each.path for each in files if not each.keep and "donjon" not in each.path] == []
    assert [each.path for each in files if each.keep] == [texts.SETTINGS]


def test_every_kind_of_change_has_its_functions() -> None:
    assert set(_KINDS) == set(get_args(NodeChange))


def test_a_step_is_one_call_whose_words_are_what_they_are() -> None:
    preparation = prepare(host(), ALL_WISHES)
    calls = [
        words[1:]
        for words in (shlex.split(part) for part in re.split(r"^(?=step )", script(preparation, PARTS, "0"), flags=re.MULTILINE))
        if words[:1] == ["step"]
    ]
    assert [each[0] for each in calls] == [each.name for each in preparation.steps]
    assert [each[3] for each in calls] == [each.what for each in preparation.steps]
    (cache,) = [each for each in calls if each[0] == "cache"]
    assert cache[1] == "settings"
    assert json.loads(cache[6])["pccs_url"] == ALL_WISHES.cache


def test_every_text_that_ansible_would_fill_in_is_ours() -> None:
    marks = re.findall(r"\{\{.*?\}\}|\{%.*?%\}|\{#", json.dumps(role(whole())))
    assert {re.sub(r"\W+", " ", each).strip() for each in marks} == {f"if {ROLE}_restart bool else no restart"}


def test_every_handler_that_is_told_is_there() -> None:
    files = role(whole())
    told = set(re.findall(r'"notify": "([^"]+)"', json.dumps(files[f"roles/{ROLE}/tasks/main.yml"])))
    heard = set(re.findall(r'"listen": "([^"]+)"', json.dumps(files[f"roles/{ROLE}/handlers/main.yml"])))
    assert told <= heard


@given(st.text(max_size=60))
def test_no_address_that_is_taken_holds_more_than_an_address(text: str) -> None:
    for make in (wishes.cache_address, wishes.package_source, lambda each: wishes.cache_address(f"https://{each}")):
        with suppress(Malformed):
            address = make(text)
            assert re.fullmatch(r"[\w.:/\[\]~-]+", str(getattr(address, "uri", address)), re.ASCII)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://pccs.example",
        "https://",
        "https://pccs.example/sgx/certification/v3/",
        "https://user:word@pccs.example",
        "https://pccs.example:99999",
        "https://pccs.example:0",
        "https://pccs.example/$(reboot)",
        "https://pccs.example/{{ lookup('pipe', 'reboot') }}",
        "https://pccs.example\n",
        "https://pccs.example?x",
        "https://" + "a" * 600,
    ],
)
def test_what_is_no_address_of_a_cache_is_refused(text: str) -> None:
    with pytest.raises(Malformed, match="expected") as refusal:
        wishes.cache_address(text)
    assert refusal.value.code == "DJ861"


@pytest.mark.parametrize(
    "text", ["pccs.example", "pccs.example/", "pccs.example/sgx/certification/v4/", "pccs.example/sgx/certification/v4"]
)
def test_an_address_of_a_cache_has_its_path_once(text: str) -> None:
    assert wishes.cache_address(f"https://{text}") == "https://pccs.example/sgx/certification/v4/"


@pytest.mark.parametrize(
    ("uri", "suite", "fingerprint"),
    [
        ("ftp://a/b", "", wishes.INTELS_KEY),
        ("https://a b/c", "", wishes.INTELS_KEY),
        ("https://a/'", "", wishes.INTELS_KEY),
        ("https://a/b", "noble main\nTrusted: yes", wishes.INTELS_KEY),
        ("https://a/b", "", "1504"),
        ("https://a/b", "", wishes.INTELS_KEY + "$(id)"),
    ],
)
def test_what_apt_would_not_take_or_take_for_more_is_refused(uri: str, suite: str, fingerprint: str) -> None:
    with pytest.raises(Malformed) as refusal:
        wishes.package_source(uri, suite, fingerprint)
    assert refusal.value.code == "DJ862"


@pytest.mark.parametrize("text", ["", "sgx", "sgx/", "../x/1", "sgx/1.41;reboot", "sgx/1/2"])
def test_what_dkms_does_not_know_is_refused(text: str) -> None:
    with pytest.raises(Malformed) as refusal:
        wishes.driver(text)
    assert refusal.value.code == "DJ863"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b'{"facts": []}',
        b'{"facts": [{"name": "epc", "source": "x"}]}',
        b'{"facts": [{"name": 1, "source": "x"}], "findings": []}',
        b'{"facts": [{"name": "epc", "source": "x"}], "findings": [{"code": 7}]}',
        b'{"facts": [{"name": "epc", "source": "x"}], "findings": {}}',
        b"\xff",
        b"[" * 5000,
        b" " * ((1 << 20) + 1),
    ],
)
def test_what_doctor_does_not_print_is_refused(text: bytes) -> None:
    with pytest.raises(Malformed) as refusal:
        parse(text)
    assert refusal.value.code == "DJ860"


def test_nothing_that_a_file_of_facts_says_is_printed() -> None:
    evil = "$(reboot)'\"{{ evil }}\x1b"
    lines = [
        {"name": name, "value": evil, "source": f"/etc/containerd/config.toml{evil}"} for name in ("driver", "epc sections", evil)
    ]
    facts = json.dumps({"facts": lines, "findings": [{"code": evil}, {"code": "DJ009", "do": evil}]}).encode()
    preparation = prepare(parse(facts), NodeWishes())
    for text in (script(preparation, PARTS, "0"), json.dumps(role(preparation))):
        assert "reboot" not in text
        assert "evil" not in text


def test_the_settings_are_those_of_the_page_on_the_cache() -> None:
    settings = json.loads(texts.settings("https://pccs.example/sgx/certification/v4/"))
    assert settings["use_secure_cert"] is True
    assert "collateral_service" not in settings
