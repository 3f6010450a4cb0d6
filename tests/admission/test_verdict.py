"""A pod to its verdict, in Python; that the API server comes to the same is seen in tests/cluster/test_parity.py."""

import copy

import pytest
from tests.admission.pods import AKS, ALIBABA, ENCLAVE, EPC, FAQ, PROVISION, WIRED, asking, container, pod
from tests.admission.samples import (
    AESM_BY_HAND,
    AFFINITIES,
    MIRROR,
    QUOTE_PROVIDER,
    SAMPLES,
    SELECTORS,
    TOLERATIONS,
    limited,
    spec,
)

from donjon.admission.intent import read
from donjon.admission.manifests.api_server import complete
from donjon.admission.predicates import RuleInput
from donjon.admission.reasons import reasons
from donjon.admission.settings import AdmissionContext, Settings
from donjon.admission.verdict import AdmissionVerdict, decide
from donjon.formats.json import Json, JsonObject, at, objects
from donjon.kube.reserved import epc_total

PLAIN = AdmissionContext(namespace="team")
ALLOWED = AdmissionContext(namespace="team", labels={"donjon.dev/provision": "allowed"})


def verdict(made: JsonObject, around: AdmissionContext = PLAIN) -> AdmissionVerdict:
    return decide(made, around, Settings())


def codes(made: JsonObject, around: AdmissionContext = PLAIN) -> list[str]:
    return [finding.code for finding in verdict(made, around).findings]


def resources(made: JsonObject) -> dict[str, Json]:
    """The limits of each container as admitted, which its requests repeat."""
    found: dict[str, Json] = {}
    for field in ("initContainers", "containers"):
        for each in objects(at(verdict(made).admitted, "spec", field)):
            assert at(each, "resources", "limits") == at(each, "resources", "requests")
            found[str(each["name"])] = at(each, "resources", "limits")
    return found


@pytest.mark.parametrize(
    ("limits", "admitted"),
    [
        ({FAQ: 10}, WIRED),
        ({AKS: 10}, WIRED),
        ({ALIBABA: "10"}, WIRED),
        ({FAQ: 1024}, {EPC: "1Gi", ENCLAVE: "1"}),
        ({FAQ: "1e3"}, {EPC: "1000Mi", ENCLAVE: "1"}),
        ({FAQ: "0.5Ki"}, {EPC: "512Mi", ENCLAVE: "1"}),
        ({FAQ: 67108863}, {EPC: "67108863Mi", ENCLAVE: "1"}),
        ({FAQ: 67108864}, {FAQ: 67108864}),
        ({FAQ: "64Mi"}, {FAQ: "64Mi"}),
        ({EPC: "0.5Mi"}, {EPC: "0.5Mi", ENCLAVE: "1"}),
        ({EPC: "1e3"}, {EPC: "1e3", ENCLAVE: "1"}),
        ({EPC: 42}, {EPC: 42, ENCLAVE: "1"}),
        ({EPC: "10Mi", ENCLAVE: 1}, {EPC: "10Mi", ENCLAVE: 1}),
        ({EPC: "10485760", FAQ: 10}, {EPC: "10485760", ENCLAVE: "1"}),
        ({EPC: "10Mi", FAQ: 10, AKS: 10, ALIBABA: 10}, WIRED),
        ({EPC: 0}, {EPC: 0}),
        ({FAQ: 0}, {EPC: "0"}),
        ({ENCLAVE: 1}, {ENCLAVE: 1}),
        ({FAQ: 10, "cpu": "1", "example.com/gpu": 2}, {**WIRED, "cpu": "1", "example.com/gpu": 2}),
    ],
    ids=str,
)
def test_every_name_of_epc_becomes_epc_and_brings_its_device(limits: JsonObject, admitted: JsonObject) -> None:
    assert resources(pod(asking(limits))) == {"app": admitted}


def test_limits_without_requests_are_wired_with_both() -> None:
    assert resources(pod(container(resources={"limits": {FAQ: 10}}))) == {"app": WIRED}


def test_init_containers_and_sidecars_are_wired_each_by_itself() -> None:
    first, beside = asking({FAQ: 3}, "first"), asking({EPC: "5Mi"}, "beside", restartPolicy="Always")
    assert resources(pod(asking({AKS: 10}), init=(container("before"), first, beside))) == {
        "before": None,
        "first": {EPC: "3Mi", ENCLAVE: "1"},
        "beside": {EPC: "5Mi", ENCLAVE: "1"},
        "app": WIRED,
    }


@pytest.mark.parametrize(
    "limits", [{FAQ: -1}, {FAQ: "1.5"}, {FAQ: "1e400"}, {FAQ: "ten"}, {FAQ: True}, {FAQ: None}, {EPC: 10, FAQ: 10}], ids=str
)
def test_what_cannot_be_counted_stays_as_it_came(limits: JsonObject) -> None:
    assert verdict(pod(asking(limits))).patch == ()


@pytest.mark.parametrize(
    ("made", "found"),
    [
        (pod(asking({EPC: "10Mi", ENCLAVE: 0})), ["DJ101"]),
        (pod(asking({EPC: "10Mi", ENCLAVE: "0e3"})), ["DJ101"]),
        (pod(container(resources={"limits": {FAQ: 3}, "requests": {FAQ: 2}})), ["DJ102"]),
        (pod(asking({EPC: "1e400"})), ["DJ103"]),
        (pod(asking({EPC: "10Ei"})), ["DJ103"]),
        (pod(asking({FAQ: 8796093022208})), ["DJ103"]),
        (pod(asking({EPC: "10Mi", PROVISION: 1})), ["DJ104"]),
        (pod(init=(asking({PROVISION: 1}, "first"),)), ["DJ104"]),
        (pod(asking({FAQ: 10}), nodeName="sgx-1"), ["DJ105"]),
        (pod(asking({EPC: 0}), nodeName="sgx-1"), []),
        (pod(asking({EPC: 10, FAQ: 10})), ["DJ106", "DJ107"]),
        (pod(asking({EPC: 0, ALIBABA: 10})), ["DJ106"]),
        (pod(asking({EPC: 10})), ["DJ107"]),
        (pod(asking({ENCLAVE: 1})), ["DJ108"]),
        (pod(asking({EPC: "10M"})), ["DJ109"]),
        (complete(SAMPLES["odd"]), ["DJ122", "DJ109"]),
        (complete(SAMPLES["large-and-odd"]), ["DJ103"]),
        (complete(SAMPLES["sum-beyond-an-int64"]), ["DJ103"]),
        (complete(SAMPLES["devices-beyond-counting"]), ["DJ103"]),
        (pod(asking({EPC: "10Mi", ENCLAVE: 1})), []),
        (pod(asking({EPC: "10Mi", ENCLAVE: 3})), ["DJ117"]),
        (pod(init=(asking({EPC: "4Ki", ENCLAVE: 110}, "first"),)), ["DJ117"]),
        (pod(asking({ENCLAVE: "2e0"})), ["DJ108", "DJ117"]),
        (pod(asking({EPC: "1Mi", PROVISION: 2})), ["DJ104", "DJ117"]),
        (pod(asking({FAQ: "1Mi"})), ["DJ122"]),
        (pod(asking({FAQ: 1048576})), ["DJ122"]),
        (pod(asking({FAQ: "999Ki"})), []),
        (complete(SAMPLES["least-unlikely-one"]), ["DJ122"]),
        (complete(SAMPLES["bytes-in-mib"]), ["DJ122"]),
        (complete(SAMPLES["bytes-in-mib-beside-bytes"]), ["DJ106", "DJ122"]),
        (complete(SAMPLES["annotated-alone"]), ["DJ123"]),
        (complete(SAMPLES["annotated-and-asking-for-none"]), ["DJ123"]),
        (complete(SAMPLES["annotated-for-kata"]), []),
        (complete(SAMPLES["one-device-in-another-spelling"]), []),
        (complete(SAMPLES["most-devices-and-one-more"]), ["DJ103", "DJ104", "DJ108", "DJ117"]),
        (complete(SAMPLES["two-devices-beside-too-much"]), ["DJ103", "DJ117"]),
    ],
    ids=str,
)
def test_says_every_rule_that_holds(made: JsonObject, found: list[str]) -> None:
    assert codes(made) == found


def test_the_words_are_those_of_the_table_with_names_filled_in() -> None:
    first, second = verdict(
        pod(asking({EPC: 10, FAQ: 10, PROVISION: 1}, "a"), asking({PROVISION: 1}, "b"), nodeName="n")
    ).findings[::2]
    assert first.sentence().startswith("container a, b: asks for sgx.intel.com/provision: namespace team may not use")
    assert second.subject == "container a"
    assert second.observation == f"asks for {EPC}: 10 and {FAQ}: 10"


def test_more_than_one_device_is_told_by_container_and_the_right_to_the_key_is_no_right_to_two() -> None:
    made = complete(SAMPLES["two-devices"])
    (reason,) = [each for each in verdict(made, ALLOWED).findings if each.code == "DJ117"]
    assert reason.subject == "container app, b"
    assert reason.observation == f"asks for {ENCLAVE}: 2, {ENCLAVE}: 2e0 and {PROVISION}: 7"


def test_the_label_of_the_namespace_gives_the_provisioning_key() -> None:
    assert codes(pod(asking({EPC: "1Mi", PROVISION: 1})), ALLOWED) == []
    assert codes(pod(asking({PROVISION: 1})), AdmissionContext(namespace="team", labels={"donjon.dev/provision": "denied"})) == [
        "DJ104"
    ]


def test_a_pod_is_never_changed_in_place() -> None:
    made = pod(asking({FAQ: 10}))
    before = copy.deepcopy(made)
    verdict(made)
    assert made == before


MIB: JsonObject = {EPC: "1Mi"}


def of(sample: str) -> tuple[list[JsonObject], JsonObject]:
    """The containers of a sample as admitted, and its spec."""
    admitted = verdict(complete(SAMPLES[sample])).admitted
    return list(objects(at(admitted, "spec", "containers"))), spec(admitted)


def total(sample: str) -> Json:
    return at(verdict(complete(SAMPLES[sample])).admitted, "metadata", "annotations", EPC)


@pytest.mark.parametrize(
    ("sample", "provisioned", "volume", "annotated"),
    [
        ("intel-1", [], None, "1Mi"),
        ("intel-2", ["test"], None, "1Mi"),
        ("intel-3", ["aesmd"], "emptyDir", "2Mi"),
        ("intel-4", [], "hostPath", "1Mi"),
        ("intel-5", [], "hostPath", "3Mi"),
        ("intel-6", [], "emptyDir", "1Mi"),
    ],
)
def test_the_cases_of_intels_own_webhook_hold(sample: str, provisioned: list[str], volume: str | None, annotated: str) -> None:
    containers, whole = of(sample)
    volumes = [each for each in objects(whole.get("volumes")) if each["name"] == "aesmd-socket"]
    assert [kind for each in volumes for kind in each if kind != "name"] == ([volume] if volume else [])
    assert [each["name"] for each in containers if at(each, "resources", "limits", PROVISION)] == provisioned
    assert total(sample) == annotated
    for each in containers:
        assert at(each, "resources", "limits", ENCLAVE) == "1"
        assert [at(mount, "mountPath") for mount in objects(each.get("volumeMounts"))] == ["/var/run/aesmd"] * len(volumes)
        assert each.get("env", []) == [{"name": "SGX_AESM_ADDR", "value": "1"}] * len(volumes)


@pytest.mark.parametrize("sample", ["intel-2", "intel-3"])
def test_intels_cases_with_provision_need_the_right_or_the_compatibility_value(sample: str) -> None:
    made = complete(SAMPLES[sample])
    assert codes(made) == ["DJ104"]
    assert codes(made, ALLOWED) == []
    assert decide(made, PLAIN, Settings(provision_by_annotation=True)).findings == ()
    assert decide(made, PLAIN, Settings(provision_accounts=("team:default",))).findings == ()
    assert decide(made, PLAIN, Settings(provision_accounts=("other:default", "team:builder"))).is_refused


def test_the_compatibility_value_gives_nothing_to_whoever_does_not_annotate() -> None:
    assert decide(pod(asking({EPC: "1Mi", PROVISION: 1})), PLAIN, Settings(provision_by_annotation=True)).is_refused


@pytest.mark.parametrize(
    ("sample", "selected"),
    [
        *[("intel-4", True), ("intel-5", True), ("oe-helloworld", True), ("oe-helloworld-with-selector", True)],
        *[
            ("intel-1", False),
            ("intel-2", False),
            ("intel-3", False),
            ("intel-6", False),
            ("aesm-daemons", False),
            ("faq", False),
        ],
    ],
)
def test_pods_that_need_the_nodes_quoting_service_go_where_it_answers(sample: str, *, selected: bool) -> None:
    _, whole = of(sample)
    assert (at(whole, "nodeSelector", "donjon.dev/aesm") == "ready") is selected
    assert whole.get("affinity") == spec(SAMPLES[sample]).get("affinity")


OURS, ITS_OWN, NONE = "ours", "its own", "none"


@pytest.mark.parametrize(
    ("case", "where"),
    [
        ("folder", ITS_OWN),
        ("folder-with-a-slash", ITS_OWN),
        ("folder-of-run", ITS_OWN),
        ("folder-of-run-with-a-slash", ITS_OWN),
        ("socket", ITS_OWN),
        ("all-of-run", ITS_OWN),
        ("all-of-run-at-its-other-name", ITS_OWN),
        ("all-of-run-elsewhere", OURS),
        ("all-of-var", OURS),
        ("another-folder", OURS),
        ("another-folder-at-its-place", NONE),
    ],
)
def test_a_socket_mounted_by_hand_is_one_where_it_gives_the_socket(case: str, where: str) -> None:
    assert case in AESM_BY_HAND
    alone, annotated = (spec(verdict(complete(SAMPLES[f"aesm-{kind}-{case}"])).admitted) for kind in ("by-hand", "annotated"))
    assert (at(alone, "nodeSelector", "donjon.dev/aesm") == "ready") is (where == ITS_OWN)
    assert (at(annotated, "nodeSelector", "donjon.dev/aesm") == "ready") is (where != NONE)
    assert ("aesmd-socket" in {each["name"] for each in objects(annotated["volumes"])}) is (where == OURS)


def test_every_way_to_mount_the_socket_by_hand_is_told() -> None:
    assert len(AESM_BY_HAND) == 11


@pytest.mark.parametrize(
    "sample", ["faq", "quickstart-of-old", "oe-helloworld", "scone-las", "ego", "gramine", "zero", "ordinary"]
)
def test_the_sample_workloads_pass_as_they_are_where_they_have_the_right(sample: str) -> None:
    assert not verdict(complete(SAMPLES[sample]), ALLOWED).is_refused


def test_a_variable_of_the_users_is_never_overwritten() -> None:
    own: Json = [{"name": "SGX_AESM_ADDR", "value": "mine"}]
    admitted = verdict(pod(asking(MIB, "app", env=own), annotations={QUOTE_PROVIDER: "aesmd"})).admitted
    assert [each.get("env") for each in objects(at(admitted, "spec", "containers"))] == [own]


def test_the_pods_total_is_counted_as_kubernetes_counts() -> None:
    first, beside, last = asking({EPC: "8Mi"}, "i"), asking(MIB, "s", restartPolicy="Always"), asking({EPC: "9Mi"}, "j")
    admitted = verdict(pod(asking({EPC: "2Mi"}), asking({FAQ: 3}, "b"), init=(first, beside, last))).admitted
    assert at(admitted, "metadata", "annotations", EPC) == "10Mi"
    assert epc_total(admitted) == 10 << 20


@pytest.mark.parametrize(
    ("sample", "annotated"),
    [("most-counted", "134217726Mi"), ("least-uncounted", None), ("hundred-tebibytes", None), ("zero", None)],
)
def test_no_total_is_written_of_nothing_and_of_what_the_api_server_does_not_count(sample: str, annotated: str | None) -> None:
    assert total(sample) == annotated


@pytest.mark.parametrize(
    ("toleration", "added"),
    [
        ("of-any-effect", (FAQ, AKS, ALIBABA)),
        ("of-everything", ()),
        ("of-everything-that-keeps-away", ()),
        ("of-another-effect", (EPC, FAQ, AKS, ALIBABA)),
        ("of-everything-that-drives-away", (EPC, FAQ, AKS, ALIBABA)),
        ("of-one-value", (EPC, FAQ, AKS, ALIBABA)),
        ("of-no-value", (EPC, FAQ, AKS, ALIBABA)),
        ("of-another-key", (EPC, FAQ, AKS, ALIBABA)),
    ],
)
def test_only_a_toleration_of_any_value_of_the_taint_counts_as_one(toleration: str, added: tuple[str, ...]) -> None:
    ours = [{"key": name, "operator": "Exists", "effect": "NoSchedule"} for name in added]
    tolerations = spec(verdict(pod(asking(MIB), tolerations=[TOLERATIONS[toleration]])).admitted)["tolerations"]
    assert tolerations == [TOLERATIONS[toleration], *ours]


def test_a_pod_tolerates_a_pool_tainted_with_any_name_and_its_own_tolerations_stay() -> None:
    own: Json = {"key": AKS, "operator": "Exists"}
    tolerations = at(verdict(pod(asking(MIB), tolerations=[own])).admitted, "spec", "tolerations")
    added = [{"key": name, "operator": "Exists", "effect": "NoSchedule"} for name in (EPC, FAQ, ALIBABA)]
    assert tolerations == [own, *added]


@pytest.mark.parametrize(
    ("made", "found"),
    [
        (pod(asking(MIB), os={"name": "windows"}), ["DJ111"]),
        (pod(asking({ENCLAVE: 1}), nodeSelector={"kubernetes.io/os": "windows"}), ["DJ108", "DJ111"]),
        (pod(os={"name": "windows"}), []),
        (pod(asking(MIB), annotations={QUOTE_PROVIDER: "nobody"}), ["DJ112"]),
        (pod(annotations={QUOTE_PROVIDER: "nobody"}), []),
        (pod(volumes=[{"name": "d", "hostPath": {"path": "/dev/isgx"}}], nodeName="n"), ["DJ114"]),
        (pod(volumes=[{"name": "d", "hostPath": {"path": "/dev"}}]), []),
        (pod(asking(MIB, "app", securityContext={"privileged": True})), ["DJ115"]),
        (pod(container(securityContext={"privileged": True})), []),
    ],
    ids=str,
)
def test_says_the_rules_about_the_whole_pod(made: JsonObject, found: list[str]) -> None:
    assert codes(made) == found


def test_host_devices_are_refused_where_that_was_chosen() -> None:
    privileged = pod(asking(MIB, "app", securityContext={"privileged": True}))
    for made in (complete(SAMPLES["host-device"]), privileged):
        assert decide(made, PLAIN, Settings(refuse_host_devices=True)).is_refused
        assert not verdict(made).is_refused


def test_the_hosts_devices_matter_by_name_to_all_and_by_what_holds_them_to_those_that_ask() -> None:
    assert codes(complete(SAMPLES["holders"])) == []
    for sample in ("device-0", "device-asks-0", "holder-asks-0"):
        assert codes(complete(SAMPLES[sample])) == ["DJ114"]
        assert decide(complete(SAMPLES[sample]), PLAIN, Settings(refuse_host_devices=True)).is_refused


WINDOWS = ("windows", "windows-of-old", "windows-in-every-term")


@pytest.mark.parametrize("affinity", AFFINITIES)
def test_a_pod_that_goes_nowhere_but_to_windows_is_refused(affinity: str) -> None:
    assert codes(pod(asking(MIB), affinity=AFFINITIES[affinity])) == (["DJ111"] if affinity in WINDOWS else [])


@pytest.mark.parametrize("selector", SELECTORS)
def test_a_pod_that_selects_windows_is_refused(selector: str) -> None:
    assert codes(pod(asking(MIB), nodeSelector=SELECTORS[selector])) == (["DJ111"] if selector in WINDOWS else [])


DAEMONS = AdmissionContext(namespace="team", made_by="DaemonSet")


@pytest.mark.parametrize(
    "made",
    [
        *(pod(asking(MIB), affinity=AFFINITIES[name]) for name in ("empty", "no-node", "apart", "rather-a-pool")),
        *(
            pod(asking(MIB), affinity=AFFINITIES[name])
            for name in ("linux", "linux-on-amd64", "a-pool-or-any-linux", "any-system")
        ),
        pod(asking(MIB), nodeSelector=SELECTORS["linux"]),
        pod(asking(MIB), nodeSelector={}),
    ],
    ids=str,
)
def test_who_says_nothing_of_nodes_but_what_all_of_them_are_goes_everywhere(made: JsonObject) -> None:
    assert codes(made, DAEMONS) == ["DJ116"]


def test_who_chooses_a_pool_does_not_go_everywhere() -> None:
    assert codes(pod(asking(MIB), affinity=AFFINITIES["a-pool"]), DAEMONS) == []
    assert codes(pod(asking(MIB), nodeSelector=SELECTORS["a-pool"]), DAEMONS) == []


def test_a_kubelets_account_of_a_static_pod_is_none_of_a_pod_with_a_node_by_hand() -> None:
    """It only says what runs already; refused, what that uses would not be counted. Nobody else's is one."""
    by_kubelet = AdmissionContext(namespace="team", by_kubelet=True)
    mirror = complete(SAMPLES["mirror-of-nobody"])
    assert at(mirror, "metadata", "annotations", MIRROR) == "x"
    assert codes(mirror, by_kubelet) == []
    assert codes(mirror) == ["DJ105"]
    assert codes(pod(asking(MIB), nodeName="n"), by_kubelet) == ["DJ105"]


def test_who_refuses_the_device_by_hand_is_told_so_and_who_is_not_wired_where_to_look() -> None:
    (by_hand,) = verdict(complete(SAMPLES["device-refused-by-hand"])).findings
    assert by_hand.observation == f"asks for EPC and says {ENCLAVE}: 0"
    assert "check that" not in by_hand.do
    unwired = read(complete(pod(limited({EPC: "1Mi"}), limited({EPC: "1Mi", ENCLAVE: 0}, "b"))))
    (reason,) = reasons(RuleInput(intent=unwired, original=unwired, context=PLAIN, settings=Settings()))
    assert reason.finding.subject == "container app, b"
    assert "check that the policy and its binding are there" in reason.finding.do


def test_daemon_sets_that_go_everywhere_are_warned_about() -> None:
    around = AdmissionContext(namespace="team", made_by="DaemonSet")
    assert codes(pod(asking(MIB)), around) == ["DJ116"]
    assert codes(pod(asking(MIB), nodeSelector={"sgx.intel.com/capable": "true"}), around) == []
    assert codes(pod(), around) == []


@pytest.mark.parametrize("sample", ["intel-4", "oe-helloworld"])
def test_a_daemon_set_chooses_its_nodes_before_its_pods_are_wired(sample: str) -> None:
    """They are given the node selector of AESM, too late for the DaemonSet to make none for other nodes."""
    assert codes(complete(SAMPLES[sample]), AdmissionContext(namespace="team", made_by="DaemonSet")) == ["DJ116"]


def test_text_of_several_lines_is_told_in_one_and_steers_no_terminal() -> None:
    (reason,) = [each for each in verdict(complete(SAMPLES["provider-of-lines"])).findings if each.code == "DJ112"]
    assert "no /etc/fake.yaml:1: admitted [31m body" in reason.sentence()
    assert reason.sentence().isprintable()


def test_what_too_much_is_asked_of_is_told_and_nothing_else() -> None:
    (reason,) = verdict(complete(pod(asking({EPC: "1Mi", ENCLAVE: "6Ei"})))).findings
    assert reason.observation == f"asks for {ENCLAVE}: 6Ei"
    assert codes(complete(SAMPLES["largest-plain-ones"])) == []
