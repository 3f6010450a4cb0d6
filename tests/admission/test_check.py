"""`donjon check` on what people write: what it says, where, and how it ends."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click import Command
from click.testing import CliRunner
from hypothesis import assume, example, given
from hypothesis import strategies as st
from tests.admission.checks import FAQ_JOB, checked, pod

from donjon.admission.manifests.documents import MAX_DEPTH, MAX_SIZE, MAX_TWICE, read
from donjon.admission.manifests.workloads import TEMPLATES
from donjon.admission.policies.printing import manifest
from donjon.cli.admission.command import policies
from donjon.cli.check import check
from donjon.errors import Malformed


def test_the_faqs_job_is_admitted_and_comes_out_wired() -> None:
    done = checked(FAQ_JOB, "--output", "yaml")
    assert done.exit_code == 0
    assert "limits:\n            sgx.intel.com/epc: 10Mi\n            sgx.intel.com/enclave: '1'" in done.stdout
    assert "sgx_epc_mem_in_MiB: 10" not in done.stdout
    assert "annotations:\n        sgx.intel.com/epc: 10Mi" in done.stdout


def test_the_faqs_job_as_it_was_printed_is_unreadable_and_the_blank_is_named() -> None:
    done = checked(FAQ_JOB.replace("sgx-test:1.0", "sgx-test: 1.0"))
    assert done.exit_code == 2
    assert "line 10: no YAML" in done.stderr
    assert "image has a blank in it: write oeciteam/sgx-test:1.0 [DJ930]" in done.stderr


def test_what_comes_out_is_admitted_as_it_is() -> None:
    again = checked(checked(FAQ_JOB, "-o", "yaml").stdout, "-o", "json")
    (told,) = json.loads(again.stdout)["checked"]
    assert (told["patch"], told["findings"], told["refused"]) == ([], [], False)


@pytest.mark.parametrize("kind", TEMPLATES)
def test_every_kind_with_a_pod_is_looked_into(kind: str) -> None:
    body: object = {
        "spec": {
            "containers": [{"name": "app", "image": "a", "resources": {"limits": {"sgx.intel.com/epc": 10}}}],
            "nodeName": "n",
        },
    }
    for step in reversed(TEMPLATES[kind]):
        body = {step: body}
    assert isinstance(body, dict)
    done = checked(json.dumps({"apiVersion": "v1", "kind": kind, "metadata": {"name": "w"}, **body}))
    assert done.exit_code == 1
    assert "error: pod: spec.nodeName is n" in done.stdout
    assert "warning: container app: asks for sgx.intel.com/epc: 10" in done.stdout


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (FAQ_JOB, 0),
        (pod('{limits: {"sgx.intel.com/ecp": 10Mi}}'), 1),
        (pod("{limits: {sgx.intel.com/epc: 10}}"), 1),
        ("apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: q}\nspec: {hard: {sgx.intel.com/epc: 1Gi}}\n", 1),
    ],
    ids=["the FAQ's Job", "a misspelt name", "ten bytes", "a quota that counts nothing"],
)
def test_a_warning_is_a_no_for_who_asks_strictly_and_for_nobody_else(text: str, code: int) -> None:
    assert checked(text).exit_code == 0
    strict = checked(text, "--strict")
    assert (strict.exit_code, strict.stdout) == (code, checked(text).stdout)


def test_lists_and_several_documents_are_told_with_their_lines() -> None:
    listed = (
        f"apiVersion: v1\nkind: List\nitems:\n- {pod('{limits: {sgx.intel.com/epc: 10}}').replace(chr(10), chr(10) + '  ')}\n"
    )
    second = pod("{limits: {sgx.intel.com/provision: 1}}")
    done = checked(f"{listed}---\n---\n{second}", "-o", "json")
    assert done.exit_code == 1
    assert [(each["line"], each["findings"][0]["line"]) for each in json.loads(done.stdout)["checked"]] == [(4, 12), (16, 24)]


def test_an_entry_of_a_list_is_replaced_not_doubled() -> None:
    inner = pod("{limits: {alibabacloud.com/sgx_epc_MiB: 1}}").replace("\n", "\n  ")
    done = checked(f"apiVersion: v1\nkind: PodList\nitems:\n- {inner}\n", "-o", "yaml")
    assert done.stdout.count("name: app") == 1
    assert "sgx.intel.com/epc: 1Mi" in done.stdout


def test_the_right_of_the_namespace_is_told_by_its_label() -> None:
    asks = pod("{limits: {sgx.intel.com/epc: 1Mi, sgx.intel.com/provision: 1}}")
    assert checked(asks).exit_code == 1
    assert "kubectl label namespace team donjon.dev/provision=allowed" in checked(asks, "--namespace", "team").stdout
    assert checked(asks, "--namespace-label", "donjon.dev/provision=allowed").exit_code == 0


QUOTES_BY_ITSELF = """\
apiVersion: v1
kind: Pod
metadata: {name: p, annotations: {sgx.intel.com/quote-provider: app}}
spec:
  serviceAccountName: signer
  containers: [{name: app, image: registry.example/app:1, resources: {limits: {sgx.intel.com/epc: 1Mi}}}]
"""


@pytest.mark.parametrize(
    ("text", "chosen", "code"),
    [
        (QUOTES_BY_ITSELF, (), 1),
        (QUOTES_BY_ITSELF, ("--provision-by-annotation",), 0),
        (QUOTES_BY_ITSELF, ("--provision-account", "default:signer"), 0),
        (QUOTES_BY_ITSELF, ("--provision-account", "a:b", "--provision-account", "team:signer", "-n", "team"), 0),
        (QUOTES_BY_ITSELF, ("--provision-account", "default:default"), 1),
        (pod("{limits: {sgx.intel.com/provision: 1}}"), ("--provision-by-annotation",), 1),
        (pod("{}", "  volumes: [{name: d, hostPath: {path: /dev/sgx_enclave}}]"), (), 0),
        (pod("{}", "  volumes: [{name: d, hostPath: {path: /dev/sgx_enclave}}]"), ("--refuse-host-devices",), 1),
        (pod("{limits: {sgx.intel.com/epc: 1Mi}}", "    securityContext: {privileged: true}"), (), 0),
        (pod("{limits: {sgx.intel.com/epc: 1Mi}}", "    securityContext: {privileged: true}"), ("--refuse-host-devices",), 1),
        (pod("{}", "    securityContext: {privileged: true}"), ("--refuse-host-devices",), 0),
    ],
)
def test_what_the_cluster_has_chosen_is_chosen_here(text: str, chosen: tuple[str, ...], code: int) -> None:
    assert checked(text, *chosen).exit_code == code


def test_every_choice_of_the_policies_is_one_here() -> None:
    printing = {*option_names(policies)} - {"--namespace", "--service-account", "--cleanup-account", "--prefix", "--helm"}
    assert printing == {"--provision-account", "--provision-by-annotation", "--refuse-host-devices"}
    assert printing <= {*option_names(check)}


def option_names(command: Command) -> Iterator[str]:
    return (name for option in command.params for name in option.opts)


@pytest.mark.parametrize("account", ["signer", ":signer", "team:", "team:a:b", ""])
def test_an_account_without_its_namespace_is_no_account(account: str) -> None:
    done = checked(pod("{}"), "--provision-account", account)
    assert done.exit_code == 2
    assert "expected NAMESPACE:NAME, such as team:quoting" in done.stderr


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        ("{limits: {sgx.intel.com/epc: -1}}", "must be greater than or equal to 0"),
        ("{limits: {sgx.intel.com/sgx_epc_mem_in_MiB: 1.5}}", "must be an integer"),
        ("{limits: {sgx.intel.com/epc: 3}, requests: {sgx.intel.com/epc: 2}}", "must be equal to its limit 3"),
        ("{requests: {sgx.intel.com/epc: 2}}", "a limit must be set"),
        ("{limits: {cpu: 1}, requests: {cpu: 2}}", "must be less than or equal to its limit 1"),
        ("{limits: {memory: lots}}", "memory is lots, expected a quantity"),
        ("{limits: [a]}", "expected an object"),
    ],
)
def test_what_kubernetes_refuses_by_itself_is_refused_with_its_line(resources: str, words: str) -> None:
    done = checked(pod(resources))
    assert done.exit_code == 1
    assert f"standard input:9: error: container app: {words}" in done.stdout or words in done.stdout
    assert "[DJ120]" in done.stdout
    assert not {"[DJ101]", "[DJ102]"} & {*done.stdout.split()}


def test_an_amount_that_kubernetes_refuses_is_not_told_as_a_policy_that_is_missing() -> None:
    done = checked(pod('{limits: {kubernetes.azure.com/sgx_epc_mem_in_MiB: "0.5"}}'))
    assert (done.exit_code, "[DJ120]" in done.stdout, "[DJ102]" in done.stdout) == (1, True, False)


def test_steps_back_in_a_path_of_the_host_are_refused_with_their_line() -> None:
    text = "kind: Pod\nspec:\n  containers: []\n  volumes:\n  - {name: d, hostPath: {path: /dev/sgx/../sgx_enclave}}\n"
    done = checked(text)
    assert done.exit_code == 1
    assert "input:5: error: volume d: hostPath /dev/sgx/../sgx_enclave must not contain '..'" in done.output


def test_an_unquoted_number_in_the_environment_is_refused_as_kubernetes_does() -> None:
    done = checked(
        pod("{}", "    env:\n    - {name: THREADS, value: 4}\n    - {name: OK, value: 'on'}\n    - {name: C, value: on}\n")
    )
    assert done.exit_code == 1
    assert "standard input:11: error: container app: THREADS is 4, expected a string: put it into quotation marks" in done.stdout
    assert "standard input:13:" in done.stdout
    assert done.stdout.count("DJ120") == 2


def test_words_that_kubectl_reads_otherwise_stay_in_quotation_marks() -> None:
    done = checked(pod("{}", "    env:\n    - {name: A, value: 'on'}\n    - {name: B, value: '1e3'}\n"), "-o", "yaml")
    assert "value: 'on'" in done.stdout
    assert "value: '1e3'" in done.stdout


def test_ordinary_manifests_pass_without_a_word() -> None:
    done = checked("apiVersion: v1\nkind: Service\nmetadata: {name: s}\n---\n" + pod("{limits: {cpu: 1, memory: 1Gi}}"))
    assert done.exit_code == 0
    assert "[DJ" not in done.stdout


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "no YAML"),
        ("just words", "expected an object with apiVersion and kind"),
        ("- 1", "expected an object with apiVersion and kind"),
        ("kind: {{ .Values.kind }}\na: }", "helm template"),
        ("kind: Pod\nkind: Job\nmetadata: {name: sgx}", "kind is there twice"),
        ("a: *b", "*b names nothing"),
        ("a: &a [*a]", "*a names nothing"),
        ("? [a]\n: b", "a key that is no word"),
        ("\0", "no YAML"),
        ("a: " + "[" * (MAX_DEPTH + 1), "[DJ931]"),
        ("{" * 100_000, "[DJ931]"),
        (
            "a: &a [x, x]\n"
            + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(12)),
            "[DJ931]",
        ),
        ("#" * (MAX_SIZE + 1), "[DJ931]"),
    ],
    ids=range(13),
)
def test_what_cannot_be_read_ends_with_two_soon(text: str, words: str) -> None:
    done = checked(text)
    assert done.exit_code == 2
    assert words in done.stderr


FOREIGN = "apiVersion: example.org/v1\nkind: Widget\nmetadata: {name: w}\nspec: {size: 1, size: 2}\n"


def test_a_key_twice_where_nothing_speaks_of_sgx_is_told_and_the_last_is_taken() -> None:
    done = checked(FOREIGN + "---\n" + FAQ_JOB)
    assert done.exit_code == 0
    assert "input:4: warning: size: is there twice" in done.stdout
    assert done.stdout.count("[DJ160]") == 1
    assert read(FOREIGN)[0].line_of("/spec/size") == 4
    again = pod("{limits: {cpu: 1}, limits: {cpu: none}}")
    done = checked(again, "-o", "json")
    (told,) = json.loads(done.stdout)["checked"]
    assert [each["code"] for each in told["findings"]] == ["DJ160", "DJ120"]


@pytest.mark.parametrize(
    "key", ["size: sgx.intel.com/epc, size: 2", "size: 1, size: 2, note: SGX", '"epc": 1, "epc": 1', "size: /run/aesmd, size: 2"]
)
def test_a_key_twice_in_what_speaks_of_sgx_is_refused_also_where_the_last_does_not(key: str) -> None:
    done = checked(FOREIGN.replace("size: 1, size: 2", key))
    assert done.exit_code == 2
    assert "is there twice [DJ930]" in done.stderr


def test_of_very_many_keys_that_stand_twice_some_are_told() -> None:
    done = checked(FOREIGN.replace("size: 1, size: 2", ", ".join(f"a{n}: 1, a{n}: 2" for n in range(1000))))
    assert done.exit_code == 0
    assert done.stdout.count("[DJ160]") == MAX_TWICE


def test_a_file_that_is_not_there_is_told_beside_those_that_are(tmp_path: Path) -> None:
    good = tmp_path / "job.yaml"
    good.write_text(FAQ_JOB)
    done = CliRunner().invoke(check, [str(good), str(tmp_path / "none.yaml"), str(tmp_path)])
    assert done.exit_code == 2
    assert f"{good}:1: Job sgx-test: admitted" in done.stdout
    assert done.stderr.count("[DJ932]") == 2


def test_bytes_that_are_no_utf_8_are_told() -> None:
    done = CliRunner().invoke(check, ["-"], input=b"a: \xff")
    assert done.exit_code == 2
    assert "byte 3 is no UTF-8 [DJ930]" in done.stderr
    windows = CliRunner().invoke(check, ["-"], input="a: b".encode("utf-16"))
    assert "it looks like UTF-16, as PowerShell writes it: save it as UTF-8" in windows.stderr


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[
            ("y", True),
            ("No", False),
            ("on", True),
            ("010", 8),
            ("0o17", 15),
            ("0x1F", 31),
            ("1_000", 1000),
            ("1e3", 1000),
            (".5", 0.5),
        ],
        *[
            ("1e400", "1e400"),
            ("2024-01-01", "2024-01-01"),
            ("~", None),
            ("0b11", 3),
            ("08", 8),
            ("12:30", "12:30"),
            ("'1'", "1"),
        ],
        *[("!!str 1", "1"), ("yEs", "yEs"), ("10Mi", "10Mi")],
    ],
)
def test_plain_words_are_read_as_kubectl_reads_them(text: str, value: object) -> None:
    (document,) = read(f"x: {text}")
    assert document.json() == {"x": value}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: b\t\nc: d", {"a": "b", "c": "d"}),
        ("a: b\t# about b\nc:\td \t #\n", {"a": "b", "c": "d"}),
        ("a: 'b'\t\n", {"a": "b"}),
        ("a:\t\n  b: c\n", {"a": {"b": "c"}}),
        ("a: |\n  b\t\n", {"a": "b\t\n"}),
    ],
)
def test_tabs_are_blanks_where_kubectl_takes_them_for_such(text: str, value: object) -> None:
    (document,) = read(text)
    assert document.json() == value


@pytest.mark.parametrize("text", ["a:\n\tb: c", "\ta: b", "- a\n\t- b"])
def test_tabs_do_not_indent(text: str) -> None:
    with pytest.raises(Malformed):
        read(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [(r'"\ud83d\udd12"', "\U0001f512"), (r'"\ud83d"', "\ufffd"), (r'"\udd12\ud83d"', "\ufffd\ufffd"), ('"é"', "é")],
)
def test_characters_that_json_escapes_in_two_halves_are_one(text: str, value: str) -> None:
    (document,) = read(f'{{"x": {text}}}')
    assert document.json() == {"x": value}


def test_merge_keys_are_taken_over_without_what_is_said() -> None:
    (document,) = read("base: &b {x: 1, z: 2}\nown:\n  <<: *b\n  z: 3\n")
    assert document.json() == {"base": {"x": 1, "z": 2}, "own": {"x": 1, "z": 3}}
    assert document.line_of("/own/z") == 4
    assert document.line_of("/own/w") == 2


@given(st.text(), st.integers(1, 40))
@example("\x1f\n", 1)
@example(" \n", 41)
@example("#", 90)
@example("\ta\n", 30)
def test_whatever_text_is_printed_is_read_again(text: str, times: int) -> None:
    assume(text != "<<")  # As a key it merges, in quotation marks too; no object of Kubernetes has it.
    (document,) = read(manifest([{"x": text * times, text: 1}]))
    assert document.json() == {"x": text * times, text: 1}


@given(st.text(alphabet="abc:-[]{}&*!|>'\"#% \n0.~?,<", max_size=60))
def test_reading_gives_documents_or_a_coded_error(text: str) -> None:
    try:
        read(text)
    except Malformed as error:
        assert error.code in {"DJ930", "DJ931"}  # noqa: PT017 - either answer is well
