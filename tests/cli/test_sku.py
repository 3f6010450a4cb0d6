"""`donjon sku` as its user calls it, on the catalogue that is shipped."""

import json
from datetime import date

import pytest
from click.testing import CliRunner, Result
from tests.admission.checks import FAQ_JOB

from donjon.cli.sku.command import catalogue, sku
from donjon.errors import Malformed
from donjon.fleet.machines.catalogue import METAL

MIB, GIB = 1 << 20, 1 << 30
AZURE = {
    "DC1s_v2": 28 * MIB,
    "DC2s_v2": 56 * MIB,
    "DC4s_v2": 112 * MIB,
    "DC8_v2": 168 * MIB,
    **{f"DC{cores}{d}s_v3": cores * 4 * GIB for cores in (1, 2, 4, 8, 16) for d in ("", "d")},
    **{f"DC{cores}{d}s_v3": epc * GIB for cores, epc in ((24, 128), (32, 192), (48, 256)) for d in ("", "d")},
}
"""EPC as Microsoft prints it; two sizes were read by CPUID and were exact."""


def called(*arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(sku, arguments, input=text)


def test_the_faqs_sizes_are_there_with_their_epc() -> None:
    """F8: DCSv2 or DCSv3."""
    machines = catalogue().machines
    for name, epc in AZURE.items():
        assert machines[f"Standard_{name}"].epc == epc


def test_each_statement_has_a_source_and_no_day_is_of_the_future() -> None:
    whole = catalogue()
    for machine in whole.machines.values():
        for fact in machine.facts.values():
            for each in fact.statements:
                assert each.source.title
                assert each.source.place
                assert not each.source.place.startswith("/")
                assert each.day <= whole.day <= date(2026, 11, 30)


def test_accelerated_networking_is_of_v3_and_not_of_v2_and_the_contradiction_is_shown() -> None:
    """F2: DCSv3 nodes have it, DCSv2 nodes do not."""
    machines = catalogue().machines
    assert machines["Standard_DC4s_v3"].has("accelerated_networking") is True
    assert machines["Standard_DC4s_v2"].has("accelerated_networking") is False
    shown = called("show", "DC4s_v3").stdout
    assert "sources differ" in shown


def test_all_azure_sizes_are_of_generation_2() -> None:
    """F10: generation 2 virtual machines."""
    machines = catalogue().machines
    assert {machines[f"Standard_{name}"].has("generation2") for name in AZURE} == {True}


def test_a_list_is_of_one_provider_and_one_region() -> None:
    told = json.loads(called("list", "--provider", "azure", "--region", "westeurope", "-o", "json").stdout)
    assert {each["provider"] for each in told["machines"]} == {"azure"}
    assert all(list(each["prices"]) == ["westeurope"] for each in told["machines"])
    assert {each["name"] for each in told["machines"]} == {f"Standard_{name}" for name in AZURE}


def test_ways_out_are_listed_where_they_are_asked_for() -> None:
    names = called("list", "--protection", "tdx").stdout
    assert "Standard_DC4es_v6" in names
    assert "Standard_DC4s_v3" not in names


def test_a_list_fits_a_terminal_of_80_columns_with_every_name_whole() -> None:
    machines = catalogue().machines
    lines = called("list").stdout.splitlines()
    names = [line.split()[0] for line in lines]
    assert {each.name for each in machines.values() if each.protection == "sgx"} <= set(names)
    assert max(len(line.rstrip()) for line in lines[:-3]) <= 80  # The last ones are sentences.


def test_sizes_that_the_same_rules_out_stand_in_one_line() -> None:
    lines = called("recommend", "--epc", "20Gi", "--region", "westeurope").stdout.splitlines()
    assert sum("not offered in westeurope" in line for line in lines) == 1
    assert len(lines) < 24


def test_metal_is_not_recommended_without_saying_that_models_differ() -> None:
    shown = called("recommend", "--epc", "20Gi", "--replicas", "6").stdout
    assert shown.index("or metal of your own: 1 server of 2 sockets") < shown.index("not every model")


def test_the_prices_of_all_regions_are_one_line_of_what_is_known() -> None:
    lines = called("show", "DC4ds_v3").stdout.splitlines()
    assert sum("USD" in line for line in lines) == 1


def test_metal_is_listed_by_what_a_socket_may_have() -> None:
    assert "xeon-scalable-3" in called("list", "--provider", METAL).stdout


@pytest.mark.parametrize("name", ["Standard_DC4s_v3", "dc4s_v3", "STANDARD_DC4S_V3"])
def test_a_size_is_found_by_its_short_name_too(name: str) -> None:
    told = json.loads(called("show", name, "-o", "json").stdout)
    assert (told["name"], told["epc"], told["ends"]) == ("Standard_DC4s_v3", 16 * GIB, "2029-10-31")
    assert told["facts"]["accelerated_networking"]["disputed"] is True


def test_an_unknown_size_is_refused_with_the_nearest() -> None:
    done = called("show", "Standard_DC4s_v33")
    assert done.exception is not None
    assert "DJ803" in str(done.exception)
    assert "did you mean Standard_DC4s_v3?" in str(done.exception)


def test_the_issues_own_question_is_answered_with_count_cost_and_reasons() -> None:
    words = "--epc 20Gi --replicas 6 --memory 8Gi --accelerated-networking --region westeurope"
    told = json.loads(called("recommend", *words.split(), "-o", "json").stdout)
    assert (told["name"], told["count"]) == ("Standard_DC24s_v3", 1)
    assert told["monthly_cost"] == round(2.76 * 730, 2)
    ruled_out = {each["name"]: each["why"] for each in told["ruled_out"]}
    assert ruled_out["Standard_DC4s_v3"].startswith("16Gi of EPC")
    assert "taken away" in ruled_out["Standard_DC4s_v2"]
    assert {"DJ810", "DJ811", "DJ813", "DJ814"} <= {each["code"] for each in told["warnings"]}
    assert told["metal"]


def test_manifests_are_added_up_and_an_autoscaler_counts_at_its_most() -> None:
    autoscaler = (
        "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: h}\n"
        "spec: {maxReplicas: 9, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: vault}}\n"
    )
    template = "{spec: {containers: [{name: a, image: i, resources: {limits: {sgx.intel.com/sgx_epc_mem_in_MiB: 3000}}}]}}"
    deployment = (
        f"apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: vault}}\nspec: {{replicas: 2, template: {template}}}\n"
    )
    shown = called("recommend", "-", "--provider", "azure", text=f"{deployment}---\n{autoscaler}---\n{FAQ_JOB}").stdout
    assert "Deployment vault: 9 pods, each with 2.9Gi of EPC" in shown
    assert "Job sgx-test: 1 pod, each with 10Mi of EPC" in shown


def test_where_no_size_does_the_exit_code_is_1_and_the_ways_out_are_said() -> None:
    done = called("recommend", "--epc", "2Ti", "-o", "json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["name"], told["count"]) == (1, None, 0)
    assert "DJ812" in {each["code"] for each in told["warnings"]}


def test_where_one_cloud_alone_was_asked_that_is_said_and_the_others_are_pointed_to() -> None:
    shown = called("recommend", "--epc", "20Gi", "--memory", "900Gi", "--provider", "azure").stdout
    assert "would do, of azure" in shown
    assert "ask again without --provider and --region" in shown
    assert "ask again" not in called("recommend", "--epc", "2Ti").stdout


@pytest.mark.parametrize(
    "words",
    [
        "",
        "--epc 20Gi file.yaml",
        "--epc twenty",
        "--epc -1",
        "--epc 1Gi --replicas 0",
        "--epc 1Gi --replicas 1000001",
        "--epc 1Gi --region atlantis",
        "--epc 99999999999999999999",
        "--epc 100m",
        "--epc 20",
        "--memory 1e-9",
        f"--epc {'9' * 100_000}",
    ],
)
def test_impossible_questions_are_usage_errors(words: str) -> None:
    done = called("recommend", *words.split())
    assert done.exit_code == 2
    assert len(done.output) < 1000


@pytest.mark.parametrize(("words", "meant"), [("20GB", "20Gi"), ("20gb", "20Gi"), ("512 MiB", "512Mi")])
def test_an_amount_in_other_words_is_refused_with_the_one_that_was_meant(words: str, meant: str) -> None:
    assert f"did you mean {meant}?" in called("recommend", "--epc", words).output


def test_a_region_that_is_nearly_one_is_named() -> None:
    assert "did you mean westeurope?" in called("list", "--region", "westeuropa").output


POD = "{apiVersion: v1, kind: Pod, metadata: {name: v}, spec: {containers: [{name: a, image: i, resources: {limits: {%s}}}]}}"
DEPLOYMENT = (
    "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, "
    "spec: {replicas: %s, template: {spec: {containers: [{name: a, image: i}]}}}}"
)
AUTOSCALER = (
    "{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: h}, "
    "spec: {maxReplicas: %s, scaleTargetRef: {kind: Deployment, name: d}}}"
)


@pytest.mark.parametrize("amount", ["-1", ".nan", "1e400", "[1]", '"１Gi"', "9" * 30, "100Ti", "100m", "{a: b}"])
@pytest.mark.parametrize("name", ["sgx.intel.com/epc", "kubernetes.azure.com/sgx_epc_mem_in_MiB"])
def test_impossible_amounts_of_manifests_are_refused_and_not_counted_as_nothing(amount: str, name: str) -> None:
    done = called("recommend", "-", text=POD % f"{name}: {amount}")
    assert isinstance(done.exception, Malformed)
    assert done.exception.code in {"DJ103", "DJ120"}
    assert "standard input:1" in done.exception.message


@pytest.mark.parametrize("number", ["-5", ".nan", "1e400", "2.5", '"7"', "true", "[1]", "1000001", "9" * 20])
def test_impossible_numbers_of_pods_are_refused(number: str) -> None:
    for text in (DEPLOYMENT % number, f"{DEPLOYMENT % 1}\n---\n{AUTOSCALER % number}"):
        done = called("recommend", "-", text=text)
        assert isinstance(done.exception, Malformed)
        assert "expected a whole number" in done.exception.message
    assert called("recommend", "-", text=DEPLOYMENT % "null").exit_code == 0


def test_more_workloads_than_can_be_reckoned_with_in_a_minute_are_refused() -> None:
    done = called("recommend", "-", text="\n---\n".join([DEPLOYMENT % 1] * 1001))
    assert "DJ931" in str(done.exception)


def test_nobody_is_told_of_a_provider_that_was_not_asked_for() -> None:
    assert "Standard_" not in called("recommend", "--epc", "1Gi", "--provider", "alibaba").stdout
