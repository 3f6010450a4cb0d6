"""The table of names against the page that shows it, and against the names that the product uses."""

import re
from pathlib import Path

import pytest

import donjon
from donjon.kube import names
from donjon.kube.vocabulary import CLOSED, NAMES, TABLE, Field, is_nfd, is_ours, without_quota

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "coming-from.md").read_text(encoding="utf-8")
ANY = re.compile(r"(?:sgx\.intel\.com|donjon\.dev)/[-A-Za-z0-9_.]*[A-Za-z0-9]")

IMAGE = "donjon.dev/donjon"  # the name of an image


def test_every_name_has_its_line_on_the_page_about_coming_from_elsewhere() -> None:
    for each in NAMES:
        places = " or ".join(str(place) for place in Field if place in each.places) or "nowhere"
        instead = f"; {each.instead}" if each.instead else ""
        assert f"| `{each.name}` | {places} | {each.becomes}{instead} |\n" in PAGE


def test_no_name_is_there_twice_and_who_belongs_nowhere_says_what_to_write() -> None:
    assert len(TABLE) == len(NAMES)
    assert all(bool(each.places) is not bool(each.instead) for each in NAMES)


def test_every_name_that_the_product_says_is_in_the_table() -> None:
    said = {value for value in vars(names).values() if isinstance(value, str) and ANY.fullmatch(value)}
    said -= {names.POLICY_VERSION}
    assert said <= TABLE.keys()
    assert {*names.EPC_UNITS, *names.NODE_LABELS} <= TABLE.keys()
    assert len(said) > len(names.NODE_LABELS)


def test_every_name_in_the_documents_and_the_chart_is_in_the_table() -> None:
    texts = [*(PROJECT / "docs").glob("*.md"), *(PROJECT / "deploy" / "chart").rglob("*.yaml"), PROJECT / "README.md"]
    found = {name for path in texts for name in ANY.findall(path.read_text(encoding="utf-8"))}
    assert found - TABLE.keys() - {names.POLICY_VERSION} == {IMAGE}


def test_the_pages_of_codes_name_others_only_as_examples_of_what_is_wrong() -> None:
    pages = Path(donjon.__file__).parent / "findings" / "pages"
    unknown = {
        path.stem for path in pages.iterdir() for name in ANY.findall(path.read_text(encoding="utf-8")) if name not in TABLE
    }
    assert unknown <= {"DJ151"}


@pytest.mark.parametrize("domain", CLOSED)
@pytest.mark.parametrize(
    ("word", "ours"),
    [("{}/x", True), ("{}/sgx_epc.MiB-2", True), ("{}", False), ("{}/", False), ("a.{}/x", False), ("{}/a b", False)],
)
def test_a_name_in_a_closed_domain_is_known_as_one(domain: str, word: str, *, ours: bool) -> None:
    assert is_ours(word.format(domain)) is ours
    assert not is_ours(f"{domain}/{'x' * 400}")


@pytest.mark.parametrize(
    ("label", "nfds"),
    [
        ("feature.node.kubernetes.io/cpu-cpuid.SGX", True),
        ("intel.feature.node.kubernetes.io/sgx", True),
        ("nfd.k8s-sigs.io/sgx", True),
        ("feature.node.kubernetes.io/cpu-cpuid.AVX", False),
        ("example.com/sgx", False),
        ("sgx", False),
    ],
)
def test_a_label_of_node_feature_discovery_about_sgx_is_known_as_one(label: str, *, nfds: bool) -> None:
    assert is_nfd(label) is nfds


@pytest.mark.parametrize("key", ["sgx.intel.com/epc", "requests.sgx.intel.com/epc", "limits.sgx.intel.com/epc"])
def test_a_quotas_key_names_its_resource(key: str) -> None:
    assert without_quota(key) == "sgx.intel.com/epc"


def test_a_word_longer_than_any_name_is_none_of_ours_and_no_label() -> None:
    assert (is_ours(f"{CLOSED[0]}/{'x' * 303}"), is_ours(f"{CLOSED[0]}/{'x' * 304}")) == (True, False)
    label = "feature.node.kubernetes.io/cpu-sgx."
    assert (is_nfd(label.ljust(317, "x")), is_nfd(label.ljust(318, "x"))) == (True, False)
