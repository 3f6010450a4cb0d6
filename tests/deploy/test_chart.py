"""What the chart makes of its values: what the agents may do, what they mount, what is refused and what an uninstall runs."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML
from tests.deploy.conftest import CHART, EXPLICIT, PROJECT, Helm, load, named

from donjon.admission.policies.gaps import first_difference
from donjon.admission.policies.guard import ChartValues, GuardExtent, chart_values, guard, path
from donjon.cli.admission.command import policies
from donjon.cli.admission.serve import serve
from donjon.cli.attestation.command import rehearse
from donjon.cli.attestation.command import serve as attest
from donjon.cli.metrics import give_back as release_metrics
from donjon.cli.metrics import serve as serve_metrics
from donjon.cli.node import forget, run
from donjon.cli.node import meter as measure
from donjon.diagnosis.agents import NOWHERE
from donjon.services.node import settings as node_settings

METRICS_API = tuple(f"metricsApi.{name}=true" for name in ("enabled", "resource", "custom", "external"))
ALWAYS = 'cleanup.hooks="always"'
ATTESTATION = 'attestation={"enabled": true, "tls": {"secretName": "served"}%s}'
WEBHOOK = 'admission.mode="webhook"'
EVERYTHING_ON = (
    ALWAYS,
    "namespace.create=true",
    "metrics.service.enabled=true",
    "metrics.podMonitor.enabled=true",
    "metrics.serviceMonitor.enabled=true",
    "metrics.prometheusRule.enabled=true",
    "metrics.dashboard.enabled=true",
)
ENCLAVE_ADMISSION = "admission.enclaves.enabled=true"

# Every value, unlike its default, and a text by which it shows in what is rendered.
EVERY_VALUE = [
    ('image.repository="registry.example/sgx"', "registry.example/sgx:"),
    ('image.tag="9.9"', "donjon.dev/donjon:9.9"),
    (f'image.digest="sha256:{"0" * 64}"', f"donjon.dev/donjon@sha256:{'0' * 64}"),
    ('image.pullPolicy="Never"', "imagePullPolicy: Never"),
    ('image.pullSecrets=[{"name": "credentials"}]', "- name: credentials"),
    ('commonLabels={"team": "vaults"}', "team: vaults"),
    ("developers.aggregateToView=true", 'rbac.authorization.k8s.io/aggregate-to-view: "true"'),
    ("namespace.create=true", "pod-security.kubernetes.io/enforce: privileged"),
    ("node.enclaveLimit=7", "--enclave-limit=7"),
    ("node.provisionLimit=8", "--provision-limit=8"),
    ('node.epcReserve="32Mi"', "--epc-reserve=32Mi"),
    ('node.advertise=["devices"]', "--advertise=devices"),
    ('node.nodeSelector={"pool": "sgx"}', "pool: sgx"),
    ('node.affinity={"nodeAffinity": {}}', "nodeAffinity: {}"),
    ('node.tolerations=[{"key": "sgx", "operator": "Exists"}]', "key: sgx"),
    ('node.priorityClassName="mine"', 'priorityClassName: "mine"'),
    ('node.resources.limits.memory="77Mi"', "memory: 77Mi"),
    ('node.updateStrategy={"type": "OnDelete", "rollingUpdate": null}', "type: OnDelete"),
    ("node.updateStrategy.rollingUpdate.maxUnavailable=3", "maxUnavailable: 3"),
    ("node.terminationGracePeriodSeconds=9", "terminationGracePeriodSeconds: 9"),
    ('node.seLinuxOptions={"type": "container_device_plugin_t"}', "type: container_device_plugin_t"),
    ('node.serviceAccount.annotations={"who": "agent"}', "who: agent"),
    ('node.podAnnotations={"note": "pod"}', "note: pod"),
    ('node.podLabels={"cost": "infra"}', "cost: infra"),
    ('node.extraEnv=[{"name": "DONJON_X", "value": "1"}]', "name: DONJON_X"),
    ('node.extraArgs=["--more"]', "- --more"),
    ("node.networkPolicy.enabled=false", ""),
    ('node.networkPolicy.metricsFrom=[{"podSelector": {"matchLabels": {"may": "look"}}}]', "may: look"),
    ("node.meter.enabled=true", "PERFMON"),
    ('node.meter={"enabled": true, "evict": true}', "--evict-over-request"),
    ('node.meter={"enabled": true, "resources": {"limits": {"memory": "77Mi"}}}', "77Mi"),
    ('node.kubeletDir="/data/kubelet"', "/data/kubelet/pod-resources"),
    ('node.hostRoot="/stand-in"', "--host-prefix=/stand-in"),
    ("metrics.port=9999", "--listen=0.0.0.0:9999"),
    ("metrics.service.enabled=true", "clusterIP: None"),
    ("metrics.podMonitor.enabled=true", "kind: PodMonitor"),
    ("metrics.serviceMonitor.enabled=true", "kind: ServiceMonitor"),
    ("metrics.prometheusRule.enabled=true", "kind: PrometheusRule"),
    (
        'metrics.prometheusRule={"enabled": true, "runbookUrl": "https://wiki.example/NAME.html"}',
        "runbook_url: https://wiki.example/DonjonNodeNotReady.html",
    ),
    ("metrics.dashboard.enabled=true", 'grafana_dashboard: "1"'),
    (WEBHOOK, "kind: MutatingWebhookConfiguration"),
    ('admission.provision.accounts=["sgx:quoter", "other:one"]', "['sgx:quoter', 'other:one']"),
    ("admission.provision.byAnnotation=true", "&& x.name != variables.provider"),
    ("admission.refuseHostDevices=true", ""),
    *(
        (f'admission={{"mode": "webhook", "webhook": {{{inner}}}}}', seen)
        for inner, seen in (
            ('"replicas": 3', "replicas: 3"),
            ('"certificate": {"lifetime": "7d"}', "--certificate-lifetime=7d"),
            ('"certificate": {"secretName": "theirs"}', "secretName: theirs"),
            ('"annotations": {"inject": "ca"}', "inject: ca"),
            ('"networkPolicy": {"from": [{"podSelector": {"matchLabels": {"may": "call"}}}]}', "may: call"),
            ('"networkPolicy": {"metricsFrom": [{"podSelector": {"matchLabels": {"may": "look"}}}]}', "may: look"),
            ('"nodeSelector": {"pool": "system"}', "pool: system"),
            ('"affinity": {"podAffinity": {}}', "podAffinity: {}"),
            ('"tolerations": [{"key": "system", "operator": "Exists"}]', "key: system"),
            ('"priorityClassName": "mine"', 'priorityClassName: "mine"'),
            ('"resources": {"limits": {"memory": "66Mi"}}', "memory: 66Mi"),
            ('"podAnnotations": {"note": "pod"}', "note: pod"),
            ('"podLabels": {"cost": "infra"}', "cost: infra"),
        )
    ),
    *(
        (f'quoteHelper={{"enabled": true, "image": "aesmd:1"{more}}}', seen)
        for more, seen in (
            ("", 'image: "aesmd:1"'),
            ("", "'donjon:donjon-aesmd'"),
            (', "command": ["/opt/aesm"]', "- /opt/aesm"),
            (', "args": ["--no-daemon"]', "- --no-daemon"),
            (', "env": [{"name": "AESM_PATH", "value": "/opt"}]', "name: AESM_PATH"),
            (', "qcnl": "pccs_url=https://pccs.example"', "mountPath: /etc/sgx_default_qcnl.conf"),
            (', "securityContext": {"runAsUser": 7}', "runAsUser: 7"),
            (', "epc": "48Mi"', 'sgx.intel.com/epc: "48Mi"'),
            (', "tolerations": [{"key": "sgx", "operator": "Exists"}]', "key: sgx"),
        )
    ),
    *(
        (f'attestation={{"enabled": true, "tls": {{"secretName": "served"}}{more}}}', seen)
        for more, seen in (
            ("", "secretName: served"),
            ("", "storage: 2Gi"),
            (', "config": "mode = 1"', 'donjon.toml: "mode = 1"'),
            (', "secrets": ["team-keys"]', "mountPath: /etc/donjon-secrets/team-keys"),
            (', "replicas": 3, "database": {"secretName": "pg"}', "replicas: 3"),
            (', "database": {"secretName": "pg"}', "key: url"),
            (', "database": {"size": "9Gi"}', "storage: 9Gi"),
            (', "database": {"storageClassName": "fast"}', "storageClassName: fast"),
            (', "database": {"existingClaim": "mine"}', "claimName: mine"),
            (', "tokenReview": true', "resources: [tokenreviews]"),
            (', "tls": {"secretName": ""}, "rehearsal": true', "- --for-pods"),
            ("", "name: donjon-attestation"),
            (', "check": "always"', "--check=files"),
            (', "networkPolicy": {"from": [{"podSelector": {"matchLabels": {"may": "call"}}}]}', "may: call"),
            (', "networkPolicy": {"metricsFrom": [{"podSelector": {"matchLabels": {"may": "look"}}}]}', "may: look"),
            (', "networkPolicy": {"egressPorts": [7777]}', "port: 7777"),
            (', "nodeSelector": {"pool": "system"}', "pool: system"),
            (', "affinity": {"podAffinity": {}}', "podAffinity: {}"),
            (', "tolerations": [{"key": "system", "operator": "Exists"}]', "key: system"),
            (', "priorityClassName": "mine"', 'priorityClassName: "mine"'),
            (', "resources": {"limits": {"memory": "333Mi"}}', "memory: 333Mi"),
            (', "extraEnv": [{"name": "DONJON_UPSTREAM", "value": "x"}]', "name: DONJON_UPSTREAM"),
            (', "podAnnotations": {"note": "pod"}', "note: pod"),
            (', "podLabels": {"cost": "infra"}', "cost: infra"),
        )
    ),
    (ALWAYS, "kind: Job"),
    ('cleanup={"hooks": "always", "nodeSelector": {"pool": "infra"}}', "pool: infra"),
    ('cleanup={"hooks": "always", "deadlineSeconds": 77}', "activeDeadlineSeconds: 77"),
    ('cleanup={"hooks": "always", "resources": {"limits": {"memory": "55Mi"}}}', "memory: 55Mi"),
]


def pod_of(objects: list[dict[str, Any]], kind: str = "DaemonSet", name: str = "donjon-node") -> dict[str, Any]:
    spec: dict[str, Any] = named(objects, kind, name)["spec"]["template"]["spec"]
    return spec


def host_paths(pod: dict[str, Any]) -> dict[str, tuple[str, bool]]:
    """Each folder of the host: where it is in the container, and whether it can be written there."""
    (container,) = pod["containers"]
    mounts = {each["name"]: each for each in container["volumeMounts"]}
    assert set(mounts) == {each["name"] for each in pod["volumes"]}
    return {
        each["hostPath"]["path"]: (mounts[each["name"]]["mountPath"], not mounts[each["name"]].get("readOnly", False))
        for each in pod["volumes"]
    }


def assert_nothing_is_given_to(pod: dict[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["containers"][0]["securityContext"] == {
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def rules(objects: list[dict[str, Any]], name: str) -> dict[str, list[str]]:
    found = named(objects, "ClusterRole", name)["rules"]
    assert all(rule["apiGroups"] == [""] or "resourceNames" in rule for rule in found)
    return {resource: rule["verbs"] for rule in found if "resourceNames" not in rule for resource in rule["resources"]}


def described(schema: dict[str, Any], path: str = "") -> dict[str, str]:
    """Each value that the schema knows by a name of its own, with its description."""
    found = {path: schema["description"]}
    for name, inner in schema.get("properties", {}).items():
        found |= described(inner, f"{path}.{name}".lstrip("."))
    return found


def leaves(values: dict[str, Any], path: str = "") -> set[str]:
    """Each value that values.yaml writes down."""
    found = set()
    for name, inner in values.items():
        here = f"{path}.{name}".lstrip(".")
        found |= {here} | (leaves(inner, here) if isinstance(inner, dict) else set())
    return found


def test_helm_finds_nothing_to_complain_about(helm: Helm) -> None:
    done = helm.run("lint", "--strict", CHART)
    assert done.returncode == 0, done.stdout


def test_the_defaults_make_an_agent_its_account_and_the_policies(helm: Helm) -> None:
    made = helm.template()
    ours = {(each["kind"], each["metadata"]["name"]) for each in made if "Admission" not in each["kind"]}
    names = ("ClusterRole", "ClusterRoleBinding", "DaemonSet", "NetworkPolicy", "ServiceAccount")
    assert ours == {("ClusterRole", "donjon-why")} | {(kind, "donjon-node") for kind in names}
    assert "donjon-node-agent" in {each["metadata"]["name"] for each in made if each["kind"] == "ValidatingAdmissionPolicy"}


@pytest.mark.parametrize(("setting", "seen"), EVERY_VALUE)
def test_every_value_shows_in_what_is_rendered(helm: Helm, setting: str, seen: str) -> None:
    before, after = helm.refusal_or_text(), helm.refusal_or_text(setting)
    assert after.returncode == 0, after.stderr
    assert after.stdout != before.stdout
    assert seen in after.stdout
    assert not seen or seen not in before.stdout


def test_without_agents_the_policies_remain_and_without_policies_the_agents_and_their_leash(helm: Helm) -> None:
    assert {each["metadata"]["name"] for each in helm.template("node.enabled=false")} >= {"donjon", "donjon-refuse"}
    others = [each for each in helm.template("node.enabled=false", ALWAYS) if "Admission" not in each["kind"]]
    assert [(each["kind"], each["metadata"]["name"]) for each in others] == [("ClusterRole", "donjon-why")]
    left = helm.template("admission.enabled=false")
    assert {each["metadata"]["name"] for each in left if "Admission" in each["kind"]} == {
        "donjon-node-agent",
        "donjon-node-events",
        "donjon-uninstall",
    }


def test_the_agents_account_may_do_this_and_nothing_else(helm: Helm) -> None:
    made = helm.template()
    assert rules(made, "donjon-node") == {
        "nodes": ["get", "list", "watch", "patch"],
        "nodes/status": ["patch"],
        "pods": ["get", "list", "watch"],
        "events": ["create"],
    }
    by_name = {
        f"{resource}/{name}": rule["verbs"]
        for rule in named(made, "ClusterRole", "donjon-node")["rules"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", ())
    }
    assert set(by_name.pop("daemonsets/donjon-node")) == {"get"}
    modes = (GuardExtent.POLICIES, GuardExtent.WEBHOOK)
    places = {path(each) for mode in modes for each in guard(ChartValues(namespace="donjon", extent=mode)).values()}
    assert by_name == {place.partition("/v1/")[2]: ["get"] for place in places}
    assert not [each for each in helm.template(*EVERYTHING_ON) if each["kind"] in {"Role", "RoleBinding"}]


def test_the_cleanups_account_is_another_and_may_only_change_nodes(helm: Helm) -> None:
    made = helm.template(ALWAYS)
    assert rules(made, "donjon-cleanup") == {"nodes": ["get", "list", "patch"], "nodes/status": ["patch"]}
    assert pod_of(made[::-1], "Job", "donjon-cleanup-see-helm-get-notes")["serviceAccountName"] == "donjon-cleanup"


def test_the_agent_has_no_privilege_and_no_capability(helm: Helm) -> None:
    pod = pod_of(helm.template())
    assert pod["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}}
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "runAsUser": 0,
        "runAsGroup": 0,
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)


METER = "node.meter.enabled=true"


def test_the_meter_has_two_capabilities_and_the_agent_beside_it_still_has_none(helm: Helm) -> None:
    pod = pod_of(helm.template(METER))
    agent, meter = pod["containers"]
    assert pod["hostPID"] is True
    assert not {"hostNetwork", "hostIPC"} & set(pod)
    without = agent["securityContext"]
    assert without["capabilities"] == {"drop": ["ALL"]}
    assert meter["securityContext"] == without | {"capabilities": {"drop": ["ALL"], "add": ["BPF", "PERFMON"]}}
    assert "--meter=127.0.0.1:9810" in agent["args"]
    assert [each["mountPath"] for each in meter["volumeMounts"] if not each["readOnly"]] == []


def test_only_who_wants_an_upper_bound_lets_the_meter_read_the_memory_of_others(helm: Helm) -> None:
    meter = pod_of(helm.template(METER, "node.meter.maps=true"))["containers"][1]
    assert meter["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["BPF", "PERFMON", "SYS_PTRACE"]}
    assert pod_of(helm.template("node.meter.maps=true")) == pod_of(helm.template())


def test_the_agents_account_may_evict_only_where_that_is_wanted(helm: Helm) -> None:
    def rules(*values: str) -> set[tuple[str, str]]:
        role = named(helm.template(*values), "ClusterRole", "donjon-node")
        return {(resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}

    plain = rules()
    assert rules("node.meter.evict=true") == plain
    assert rules(METER) == plain | {("namespaces", "list")}
    assert rules(METER, "node.meter.evict=true") == plain | {("namespaces", "list"), ("pods/eviction", "create")}


def test_the_meters_flags_are_flags_that_it_knows(helm: Helm) -> None:
    agent, meter = (each["args"] for each in pod_of(helm.template(METER))["containers"])
    assert meter[:2] == ["node", "meter"]
    for command, flags in ((run, agent), (measure, meter)):
        options = {option for parameter in command.params for option in parameter.opts}
        assert {flag.partition("=")[0] for flag in flags[2:]} <= options


def test_meters_are_scraped_where_they_are(helm: Helm) -> None:
    monitors = [f"metrics.{each}.enabled=true" for each in ("service", "podMonitor", "serviceMonitor")]
    made = helm.template(METER, *monitors)
    for kind, endpoints in (("PodMonitor", "podMetricsEndpoints"), ("ServiceMonitor", "endpoints")):
        chosen = named(made, kind, "donjon-node")["spec"][endpoints]
        assert [each["port"] for each in chosen] == ["metrics", "meter"]
        assert chosen[0] | {"port": "meter"} == chosen[1]
    assert [each["port"] for each in named(made, "Service", "donjon-node")["spec"]["ports"]] == [9808, 9810]
    (rule,) = ingress(made, "donjon-node")
    assert rule["ports"] == [{"port": "metrics"}, {"port": "meter"}]


MONITORS = [f"metrics.{each}.enabled=true" for each in ("service", "podMonitor", "serviceMonitor")]
ONE_PEER = [{"podSelector": {"matchLabels": {"may": "look"}}}]


def ingress(objects: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    spec = named(objects, "NetworkPolicy", name)["spec"]
    if name != "donjon-attestation":
        assert spec["policyTypes"] == ["Ingress"], "what it connects to is the API server, at an address that no chart knows"
    found: list[dict[str, Any]] = spec["ingress"]
    return found


def test_by_default_nobody_but_the_node_itself_connects_to_the_ports_of_metrics_and_probes(helm: Helm) -> None:
    made = helm.template(WEBHOOK, ATTESTATION % "")
    assert ingress(made, "donjon-node") == []
    assert ingress(made, "donjon-webhook") == ingress(made, "donjon-attestation") == [{"ports": [{"port": "https"}]}]


@pytest.mark.parametrize("monitor", MONITORS)
def test_where_metrics_are_asked_for_they_are_open_until_it_is_said_to_whom(helm: Helm, monitor: str) -> None:
    made = helm.template(WEBHOOK, ATTESTATION % "", monitor)
    assert ingress(made, "donjon-node") == [{"ports": [{"port": "metrics"}]}]
    for name in ("donjon-webhook", "donjon-attestation"):
        assert ingress(made, name)[1:] == [{"ports": [{"port": "metrics"}]}]
    said = json.dumps({"metricsFrom": ONE_PEER})
    service = ATTESTATION % f', "networkPolicy": {said}'
    made = helm.template(WEBHOOK, service, monitor, f"node.networkPolicy={said}", f"admission.webhook.networkPolicy={said}")
    assert ingress(made, "donjon-node") == [{"ports": [{"port": "metrics"}], "from": ONE_PEER}]
    for name in ("donjon-webhook", "donjon-attestation"):
        assert ingress(made, name)[1:] == [{"ports": [{"port": "metrics"}], "from": ONE_PEER}]


def test_network_policies_choose_the_pods_that_are_there_and_can_be_left_out(helm: Helm) -> None:
    made = helm.template(WEBHOOK)
    for kind, name in (("DaemonSet", "donjon-node"), ("Deployment", "donjon-webhook")):
        labels = named(made, kind, name)["spec"]["template"]["metadata"]["labels"]
        assert named(made, "NetworkPolicy", name)["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    without = helm.template(WEBHOOK, "node.networkPolicy.enabled=false", "admission.webhook.networkPolicy.enabled=false")
    assert not [each for each in without if each["kind"] == "NetworkPolicy"]


def test_the_cleanup_is_not_root(helm: Helm) -> None:
    pod = pod_of(helm.template(ALWAYS), "Job", "donjon-cleanup-see-helm-get-notes")
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert "volumes" not in pod


def test_the_agent_mounts_what_it_reads_and_writes_only_the_plugin_folder(helm: Helm) -> None:
    assert host_paths(pod_of(helm.template())) == {
        "/dev": ("/host/dev", False),
        "/sys/devices/system/node": ("/host/sys/devices/system/node", False),
        "/sys/module": ("/host/sys/module", False),
        "/run/aesmd": ("/host/run/aesmd", False),
        "/var/lib/kubelet/device-plugins": ("/var/lib/kubelet/device-plugins", True),
        "/var/lib/kubelet/pod-resources": ("/var/lib/kubelet/pod-resources", False),
    }


@pytest.mark.parametrize("root", ["/run/stand-in", "/run/stand-in/"])
def test_stand_in_hardware_moves_the_hosts_folders_and_not_the_kubelets(helm: Helm, root: str) -> None:
    pod = pod_of(helm.template(f'node.hostRoot="{root}"'))
    assert {path for path in host_paths(pod) if not path.startswith("/var/lib/kubelet/")} == {
        f"/run/stand-in/{each}" for each in ("dev", "sys/devices/system/node", "sys/module", "run/aesmd", "proc")
    }
    assert "--host-prefix=/run/stand-in" in pod["containers"][0]["args"]


def test_the_root_as_host_root_is_a_real_host(helm: Helm) -> None:
    assert pod_of(helm.template('node.hostRoot="/"')) == pod_of(helm.template())


def test_the_agents_flags_are_flags_that_it_knows(helm: Helm) -> None:
    agent, *following = (
        pod_of(helm.template())["containers"][0]["args"],
        pod_of(helm.template(ALWAYS)[::-1], "Job", "donjon-cleanup-see-helm-get-notes"),
    )
    assert agent[:2] == ["node", "run"]
    known = {option for parameter in run.params for option in parameter.opts}
    assert {flag.partition("=")[0] for flag in agent[2:]} <= known
    assert following[0]["containers"][0]["args"] == ["node", "forget", "--all", "--advertise=epc,labels,devices"]
    assert "--all" in {option for parameter in forget.params for option in parameter.opts}


def test_the_selector_stays_whatever_the_values_and_the_release(helm: Helm) -> None:
    selector = {"matchLabels": {"app.kubernetes.io/name": "donjon", "app.kubernetes.io/component": "node"}}
    made = helm.template('commonLabels={"team": "vaults"}', 'node.podLabels={"a": "b"}', 'image.tag="2"')
    assert named(made, "DaemonSet", "donjon-node")["spec"]["selector"] == selector


def test_every_taint_is_tolerated_by_default(helm: Helm) -> None:
    assert pod_of(helm.template())["tolerations"] == [{"operator": "Exists"}]


def test_hooks_stay_out_where_no_helm_would_run_them(helm: Helm) -> None:
    assert not [each for each in helm.template() if "helm.sh/hook" in each["metadata"].get("annotations", {})]


def test_an_uninstall_stops_the_agents_then_cleans_and_leaves_no_hook_behind(helm: Helm) -> None:
    made = [each for each in helm.template(ALWAYS) if each["metadata"]["name"] != "donjon-metrics-release"]
    hooks = [each for each in made if "helm.sh/hook" in each["metadata"].get("annotations", {})]
    notes = {each["kind"]: each["metadata"]["annotations"] for each in hooks}
    assert {note["helm.sh/hook"] for note in notes.values()} == {"pre-delete"}
    policies = {kind: note["helm.sh/hook-delete-policy"] for kind, note in notes.items()}
    assert policies.pop("DaemonSet") == "before-hook-creation", "it goes with the release; where the Job fails it tells of it"
    assert set(policies.values()) == {"before-hook-creation,hook-succeeded,hook-failed"}
    weights = {kind: int(note["helm.sh/hook-weight"]) for kind, note in notes.items()}
    accounts = {weights[kind] for kind in ("ServiceAccount", "ClusterRole", "ClusterRoleBinding")}
    assert weights["DaemonSet"] < min(accounts)
    assert max(accounts) < weights["Job"]


def test_the_daemonset_of_an_uninstall_can_be_taken_back_by_a_rollback_and_belongs_to_the_release(helm: Helm) -> None:
    made = [each for each in helm.template(ALWAYS, 'node.nodeSelector={"pool": "sgx"}') if each["kind"] == "DaemonSet"]
    (hook,) = (each for each in made if "helm.sh/hook" in each["metadata"].get("annotations", {}))
    (agents,) = (each for each in made if each is not hook)
    assert hook["metadata"]["name"] == agents["metadata"]["name"]
    assert hook["metadata"]["annotations"]["meta.helm.sh/release-name"] == "donjon"
    assert hook["metadata"]["annotations"]["meta.helm.sh/release-namespace"] == "donjon"
    assert hook["spec"]["selector"] == agents["spec"]["selector"]
    nowhere, usual = (each["spec"]["template"]["spec"] for each in (hook, agents))
    assert nowhere["nodeSelector"] == dict([NOWHERE])
    # Helm 3 takes away what the former manifest had; what only the hook has, and the agents have not, would stay.
    assert set(nowhere) <= set(usual)
    assert set(nowhere["nodeSelector"]) <= set(usual["nodeSelector"])
    assert [set(each) <= set(usual["containers"][0]) for each in nowhere["containers"]] == [True]
    assert [each["name"] for each in nowhere["containers"]] == [each["name"] for each in usual["containers"]]
    assert hook["spec"]["template"]["metadata"]["labels"].items() <= agents["spec"]["template"]["metadata"]["labels"].items()


def test_an_agent_needs_linux_whatever_else_its_node_is_to_be(helm: Helm) -> None:
    selectors = {"kubernetes.io/os": None, "kubernetes.io/arch": None, "pool": "sgx"}
    pod = pod_of(helm.template(f"node.nodeSelector={json.dumps(selectors)}"))
    assert pod["nodeSelector"] == {"kubernetes.io/os": "linux", "pool": "sgx"}


def test_a_cleanup_ends_by_itself_before_helm_would_give_up(helm: Helm) -> None:
    job = named(helm.template(ALWAYS)[::-1], "Job", "donjon-cleanup-see-helm-get-notes")["spec"]
    assert job["activeDeadlineSeconds"] == 60


def test_the_cleanup_waits_for_the_last_agent_unless_told_not_to(helm: Helm) -> None:
    (term,) = pod_of(helm.template(ALWAYS), "Job", "donjon-cleanup-see-helm-get-notes")["affinity"]["podAntiAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]
    agents = named(helm.template(), "DaemonSet", "donjon-node")["spec"]
    assert term["labelSelector"] == agents["selector"]
    hasty = helm.template('cleanup={"hooks": "always", "waitForAgents": false}')
    assert "affinity" not in pod_of(hasty, "Job", "donjon-cleanup-see-helm-get-notes")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("node.enclaveLimits=3", ["enclaveLimits", "not allowed"]),
        ('admision={"enabled": true}', ["admision", "not allowed"]),
        ("node.enclaveLimit=0", ["enclaveLimit", "minimum"]),
        ('node.enclaveLimit="many"', ["enclaveLimit", "integer"]),
        ('node.advertise=["everything"]', ["advertise", "one of"]),
        ('node.epcReserve="lots"', ["epcReserve", "pattern"]),
        ('node.hostRoot="relative"', ["hostRoot", "pattern"]),
        ('image.digest="sha256:short"', ["digest", "pattern"]),
        ('cleanup.hooks="sometimes"', ["hooks", "one of"]),
        ('admission.mode="both"', ["mode", "one of"]),
        ("admission.provision.accounts=[\"sgx:a' || true || 'a\"]", ["accounts", "pattern"]),
        ("quoteHelper.enabled=true", ["quoteHelper.image is empty", "aesmd"]),
        ("admission.webhook.replicas=0", ["replicas", "minimum"]),
        ("attestation.enabled=true", ["attestation.tls.secretName is empty", "tls.crt"]),
        (
            'attestation={"enabled": true, "replicas": 2, "tls": {"secretName": "t"}}',
            ["replicas share a PostgreSQL database", "attestation.database.secretName"],
        ),
        ('attestation.secrets=["../keys"]', ["secrets", "pattern"]),
        *(
            (f'admission.webhook.certificate.lifetime="{wrong}"', ["lifetime", "pattern"])
            for wrong in ("soon", "0d", "29s", "826d")
        ),
        ('admission.webhook.certificate.secretName="No Secret"', ["secretName", "pattern"]),
        ('node.podLabels={"app.kubernetes.io/component": "mine"}', ["invalid propertyName", "app.kubernetes.io/component"]),
        ('admission.webhook.podLabels={"app.kubernetes.io/name": "mine"}', ["invalid propertyName", "app.kubernetes.io/name"]),
        ('commonLabels={"app.kubernetes.io/name": "mine"}', ["invalid propertyName", "app.kubernetes.io/name"]),
        ('commonLabels={"two words": "mine"}', ["invalid propertyName", "two words"]),
        ('commonLabels={"team": "no value!"}', ["team", "pattern"]),
        ('node.nodeSelector={"a/b/c": "x"}', ["invalid propertyName", "a/b/c"]),
        ('node.podAnnotations={"-x": "y"}', ["invalid propertyName", "-x"]),
        ('admission.mode="auto"', ["there is no cluster to ask", "admission.mode=policies", "admission.mode=webhook"]),
        ("node.updateStrategy.rollingUpdate.maxSurge=1", ["maxSurge", "one of"]),
    ],
)
def test_refuses_a_wrong_value_by_its_name(helm: Helm, setting: str, words: list[str]) -> None:
    refusal = helm.refusal(setting)
    assert all(word in refusal for word in words), refusal


@pytest.mark.parametrize(
    ("version", "mode", "words"),
    [
        ("1.35.9", "policies", "has no MutatingAdmissionPolicy v1, which begins with 1.36; set admission.mode=webhook"),
        ("1.29.9", "webhook", "requires kubeVersion: >=1.30.0-0"),
    ],
)
def test_refuses_a_cluster_that_lacks_what_the_mode_needs(helm: Helm, version: str, mode: str, words: str) -> None:
    values = ("--set", f"admission.mode={mode},image.repository=donjon.dev/donjon")
    done = helm.run("template", "donjon", CHART, "--kube-version", version, *values)
    assert words in done.stderr


def test_refuses_to_guess_where_the_image_is_and_says_what_to_do(helm: Helm) -> None:
    assert "image.repository must be said: no public registry has Donjon's image" in helm.refusal('image.repository=""')
    assert "image.repository must be said" in helm.run("template", "donjon", CHART, "--set", "admission.mode=policies").stderr
    others = helm.template('image.repository=""', "node.enabled=false")
    assert {each["kind"] for each in others if "Admission" not in each["kind"]} == {"ClusterRole"}


def test_each_mode_has_what_wires_once_and_the_same_refusals(helm: Helm) -> None:
    modes = {mode: helm.template(f'admission.mode="{mode}"') for mode in ("policies", "webhook")}
    wiring = {mode: {each["kind"] for each in made if each["kind"].startswith("Mutating")} for mode, made in modes.items()}
    assert wiring == {
        "policies": {"MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"},
        "webhook": {"MutatingWebhookConfiguration"},
    }
    refusing = [named(made, "ValidatingAdmissionPolicy", "donjon-refuse")["spec"] for made in modes.values()]
    inside, beside = (re.findall(r"DJ\d+", str(spec)) for spec in refusing)
    assert inside == beside
    assert "kubectl get mutatingadmissionpolicy,mutatingadmissionpolicybinding donjon" in str(refusing[0])
    assert "kubectl get pods -n donjon -l app.kubernetes.io/component=admission" in str(refusing[1])


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ((), ()),
        (("admission.refuseHostDevices=true",), ("--refuse-host-devices",)),
        (("admission.provision.byAnnotation=true",), ("--provision-by-annotation",)),
        (
            ('admission.provision.accounts=["sgx:quoter", "other:one"]',),
            ("--provision-account", "sgx:quoter", "--provision-account", "other:one"),
        ),
        (
            ("admission.refuseHostDevices=true", "admission.provision.byAnnotation=true"),
            ("--refuse-host-devices", "--provision-by-annotation"),
        ),
    ],
)
def test_the_chart_renders_the_policies_that_the_command_prints(
    helm: Helm, settings: tuple[str, ...], options: tuple[str, ...]
) -> None:
    printed = CliRunner().invoke(policies, options)
    sets = (helm.template(*settings), YAML(typ="safe").load_all(printed.output))
    rendered, expected = (
        {(each["kind"], each["metadata"]["name"]): each["spec"] for each in made if "AdmissionPolicy" in each["kind"]}
        for made in sets
    )
    assert rendered == expected


def looked_after(made: list[dict[str, Any]]) -> dict[str, Any]:
    """What an agent of these values looks after, by its own flags, which everybody else reads as it does."""
    flags = pod_of(made)["containers"][0]["args"][2:]
    with run.make_context("run", [*flags, "--node-name=n"]) as context:
        texts = {name.replace("_", "-"): _said(value) for name, value in context.params.items() if name != "config"}
    chart = node_settings.read(texts, {}, "").chart
    assert chart == chart_values(daemon_set(made))
    return {**guard(chart)}


def _said(value: Any) -> str | None:
    match value:
        case True:
            return "true"
        case tuple():
            return ",".join(value) or None
        case _:
            return None if value is None else str(value)


@pytest.mark.parametrize("mode", ["policies", "webhook", None])
@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("admission.refuseHostDevices=true", "admission.provision.byAnnotation=true"),
        ('admission.provision.accounts=["sgx:quoter", "other:one"]', 'quoteHelper={"enabled": true, "image": "aesmd:1"}'),
    ],
)
def test_an_agent_looks_after_what_the_chart_put_into_the_api_server_as_it_was_put_there(
    helm: Helm, mode: str | None, settings: tuple[str, ...]
) -> None:
    chosen = "admission.enabled=false" if mode is None else f'admission.mode="{mode}"'
    made = helm.template(chosen, *settings)
    put = {
        f"{each['kind']}/{each['metadata']['name']}": each
        for each in made
        if each["apiVersion"].startswith("admissionregistration.k8s.io/")
    }
    after = looked_after(made)
    assert set(after) == set(put)
    assert {name: first_difference(printed, put[name]) for name, printed in after.items()} == dict.fromkeys(put, "")


def test_each_value_that_decides_the_policies_is_among_an_agents_arguments(helm: Helm) -> None:
    changes = (
        (),
        (WEBHOOK,),
        ("admission.enabled=false",),
        ("admission.refuseHostDevices=true",),
        ("admission.provision.byAnnotation=true",),
        ('admission.provision.accounts=["sgx:quoter"]',),
    )
    values = [chart_values(daemon_set(helm.template(*settings))) for settings in changes]
    assert all(each is not None and each not in values[:number] for number, each in enumerate(values))
    assert {each.version for each in values if each} == {load(CHART / "Chart.yaml")["appVersion"]}
    assert chart_values(daemon_set(helm.template("node.enclaveLimit=7"))) == values[0]


def daemon_set(made: list[dict[str, Any]]) -> dict[str, Any]:
    return named(made, "DaemonSet", "donjon-node")


def test_the_webhook_has_no_privilege_and_an_account_for_its_certificate_alone(helm: Helm) -> None:
    made = helm.template(WEBHOOK)
    pod = pod_of(made, "Deployment", "donjon-webhook")
    assert_nothing_is_given_to(pod)
    assert "volumes" not in pod
    assert named(made, "Role", "donjon-webhook")["rules"] == [
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["donjon-webhook-tls"], "verbs": ["get", "update"]},
    ]
    nodes, rule = named(made, "ClusterRole", "donjon-webhook")["rules"]
    assert nodes == {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list", "watch"]}
    assert (rule["resources"], rule["resourceNames"], rule["verbs"]) == (
        ["mutatingwebhookconfigurations"],
        ["donjon"],
        ["get", "update"],
    )


def test_with_a_certificate_of_anothers_the_account_may_only_read_nodes(helm: Helm) -> None:
    made = helm.template('admission={"mode": "webhook", "webhook": {"certificate": {"secretName": "theirs"}}}')
    assert not [each for each in made if each["kind"] in {"Role", "RoleBinding", "Secret"}]
    assert [rule["resources"] for rule in named(made, "ClusterRole", "donjon-webhook")["rules"]] == [["nodes"]]
    pod = pod_of(made, "Deployment", "donjon-webhook")
    assert "--certificate-dir=/certificate" in pod["containers"][0]["args"]


def test_the_webhook_has_two_replicas_on_two_nodes_and_a_disruption_budget(helm: Helm) -> None:
    made = helm.template(WEBHOOK)
    deployment = named(made, "Deployment", "donjon-webhook")["spec"]
    assert deployment["replicas"] == 2
    labels = deployment["template"]["metadata"]["labels"]
    budget = named(made, "PodDisruptionBudget", "donjon-webhook")["spec"]
    service = named(made, "Service", "donjon-webhook")["spec"]
    chosen = (budget["selector"]["matchLabels"], service["selector"], deployment["selector"]["matchLabels"])
    assert all(selector.items() <= labels.items() for selector in chosen)
    alone = helm.template('admission={"mode": "webhook", "webhook": {"replicas": 1}}')
    assert not [each for each in alone if each["kind"] == "PodDisruptionBudget"]


def test_the_attestation_service_has_no_privilege_and_may_ask_the_cluster_nothing_unless_told_to(helm: Helm) -> None:
    made = helm.template(ATTESTATION % "")
    pod = pod_of(made, "Deployment", "donjon-attestation")
    assert_nothing_is_given_to(pod)
    assert pod["automountServiceAccountToken"] is False
    assert not [each for each in made if "Role" in each["kind"] and each["metadata"]["name"] == "donjon-attestation"]
    asking = helm.template(ATTESTATION % ', "tokenReview": true')
    assert [rule["resources"] for rule in named(asking, "ClusterRole", "donjon-attestation")["rules"]] == [["tokenreviews"]]
    assert pod_of(asking, "Deployment", "donjon-attestation")["automountServiceAccountToken"] is True


def test_one_attestation_service_keeps_a_volume_and_several_share_a_database(helm: Helm) -> None:
    one = helm.template(ATTESTATION % "")
    assert named(one, "Deployment", "donjon-attestation")["spec"]["strategy"] == {"type": "Recreate"}
    claim = named(one, "PersistentVolumeClaim", "donjon-attestation")
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    several = helm.template(ATTESTATION % ', "replicas": 2, "database": {"secretName": "pg"}')
    assert not [each for each in several if each["kind"] == "PersistentVolumeClaim"]
    assert named(several, "PodDisruptionBudget", "donjon-attestation")["spec"]["maxUnavailable"] == 1
    container = pod_of(several, "Deployment", "donjon-attestation")["containers"][0]
    assert not [flag for flag in container["args"] if flag.startswith("--database")]
    assert [each["name"] for each in container["env"]] == ["DONJON_DATABASE"]


REHEARSAL = 'attestation={"enabled": true, "rehearsal": true%s}'


def test_a_rehearsal_needs_no_volume_no_secret_and_no_right_and_says_that_it_is_one(helm: Helm) -> None:
    made = helm.template(REHEARSAL % "")
    assert not [each for each in made if each["kind"] in {"PersistentVolumeClaim", "Secret"}]
    assert not [each for each in made if each["kind"] == "ConfigMap" and each["metadata"]["name"] == "donjon-attestation"]
    pod = pod_of(made, "Deployment", "donjon-attestation")
    assert_nothing_is_given_to(pod)
    assert_nothing_is_given_to({**pod, "containers": pod["initContainers"]})
    assert pod["automountServiceAccountToken"] is False
    assert pod["volumes"] == [{"name": "database", "emptyDir": {"sizeLimit": "1Gi"}}]
    labels = named(made, "Deployment", "donjon-attestation")["spec"]["template"]["metadata"]["labels"]
    assert labels["donjon.dev/simulated"] == "true"
    real = named(helm.template(ATTESTATION % ""), "Deployment", "donjon-attestation")["spec"]["template"]
    assert "donjon.dev/simulated" not in real["metadata"]["labels"]
    assert "initContainers" not in real["spec"]


@pytest.mark.parametrize(
    "real",
    [
        '"config": "x = 1"',
        '"tls": {"secretName": "served"}',
        '"secrets": ["team-keys"]',
        '"replicas": 2, "database": {"secretName": "pg"}',
        '"database": {"existingClaim": "mine"}',
    ],
)
def test_a_rehearsal_is_refused_together_with_what_is_of_a_real_service(helm: Helm, real: str) -> None:
    assert "attestation.rehearsal=false" in helm.refusal(REHEARSAL % f", {real}")


def test_the_rehearsals_flags_are_flags_that_it_knows(helm: Helm) -> None:
    arguments = pod_of(helm.template(REHEARSAL % ""), "Deployment", "donjon-attestation")["initContainers"][0]["args"]
    assert arguments[:2] == ["attestation", "rehearse"]
    known = {option for parameter in rehearse.params for option in parameter.opts}
    assert {flag.partition("=")[0] for flag in arguments[3:]} <= known


def test_the_attestation_service_is_started_anew_when_its_settings_change(helm: Helm) -> None:
    texts = ["", "mode = 'offline'"]
    made = [helm.template(ATTESTATION % f', "config": {json.dumps(text)}') for text in texts]
    notes = [named(each, "Deployment", "donjon-attestation")["spec"]["template"]["metadata"]["annotations"] for each in made]
    assert notes[0] != notes[1]
    assert [named(each, "ConfigMap", "donjon-attestation")["data"]["donjon.toml"] for each in made] == texts


def test_the_check_of_settings_reads_what_the_service_will_read_and_never_its_database(helm: Helm) -> None:
    values = {
        "config": "drain = 3",
        "secrets": ["keys"],
        "tokenReview": True,
        "extraEnv": [{"name": "DONJON_DRAIN", "value": "4"}],
    }
    more = f", {json.dumps(values)[1:-1]}"
    made = helm.template(ATTESTATION % f'{more}, "check": "always"')
    service = pod_of(made, "Deployment", "donjon-attestation")
    check = pod_of(made, "Job", "donjon-attestation-check")
    (serves,), (checks,) = service["containers"], check["containers"]
    assert checks["args"] == [*serves["args"][:2], "--check=files", *serves["args"][2:]]
    assert (checks["env"], checks["image"]) == (values["extraEnv"], serves["image"])
    assert [each["name"] for each in serves["env"] if each not in checks["env"]] == ["DONJON_DATABASE"]
    assert [each for each in serves["volumeMounts"] if each not in checks["volumeMounts"]] == [
        {"name": "database", "mountPath": "/var/lib/donjon"}
    ]
    assert check["automountServiceAccountToken"] is False
    assert all(each["secret"]["optional"] for each in check["volumes"] if "secret" in each)
    texts = [named(made, "ConfigMap", f"donjon-attestation{each}")["data"] for each in ("", "-check")]
    assert texts[0] == texts[1]
    job = named(made, "Job", "donjon-attestation-check")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert job["spec"]["activeDeadlineSeconds"] == 60
    assert not [each for each in helm.template(ATTESTATION % more) if each["kind"] == "Job"]
    assert not [each for each in helm.template(REHEARSAL % ', "check": "always"') if each["kind"] == "Job"]


def test_the_attestation_services_flags_are_flags_that_it_knows(helm: Helm) -> None:
    arguments = pod_of(helm.template(ATTESTATION % ""), "Deployment", "donjon-attestation")["containers"][0]["args"]
    assert arguments[:2] == ["attestation", "serve"]
    known = {option for parameter in attest.params for option in parameter.opts}
    assert {flag.partition("=")[0] for flag in arguments[2:]} <= known


def test_the_webhooks_flags_are_flags_that_it_knows(helm: Helm) -> None:
    choices = ("refuseHostDevices=true", "provision.byAnnotation=true", 'provision.accounts=["a:b"]')
    made = helm.template(WEBHOOK, *(f"admission.{choice}" for choice in choices))
    arguments = pod_of(made, "Deployment", "donjon-webhook")["containers"][0]["args"]
    assert {"--refuse-host-devices", "--provision-by-annotation", "--provision-account=a:b"} <= set(arguments)
    assert arguments[:2] == ["admission", "serve"]
    known = {option for parameter in serve.params for option in parameter.opts}
    assert {flag.partition("=")[0] for flag in arguments[2:]} <= known


def test_the_metrics_servers_flags_are_flags_that_it_knows(helm: Helm) -> None:
    made = helm.template(*METRICS_API)
    for kind, name, command, words in (
        ("Deployment", "donjon-metrics", serve_metrics, ["metrics", "serve"]),
        ("Job", "donjon-metrics-release", release_metrics, ["metrics", "release"]),
    ):
        arguments = pod_of(made if kind == "Deployment" else helm.template(*METRICS_API, ALWAYS), kind, name)["containers"][0][
            "args"
        ]
        assert arguments[:2] == words
        known = {option for parameter in command.params for option in parameter.opts}
        assert {flag.partition("=")[0] for flag in arguments[2:]} <= known


def test_the_metrics_servers_account_may_do_this_and_nothing_else(helm: Helm) -> None:
    made = helm.template(*METRICS_API)
    roles = {
        (each["kind"], each["metadata"]["name"], each["metadata"].get("namespace", "")): [
            (group, resource, name, verb)
            for rule in each["rules"]
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            for name in rule.get("resourceNames", ["*"])
            for verb in rule["verbs"]
        ]
        for each in made
        if each["kind"] in {"Role", "ClusterRole"} and each["metadata"]["name"].startswith("donjon-metrics")
    }
    registrations = ("v1beta1.metrics.k8s.io", "v1beta2.custom.metrics.k8s.io", "v1beta1.external.metrics.k8s.io")
    assert roles == {
        ("Role", "donjon-metrics", "donjon"): [
            ("", "secrets", "donjon-metrics-tls", "get"),
            ("", "secrets", "donjon-metrics-tls", "update"),
            ("", "serviceaccounts/token", "donjon-metrics-reader", "create"),
            ("discovery.k8s.io", "endpointslices", "*", "list"),
        ],
        ("ClusterRole", "donjon-metrics", ""): [
            ("", "pods", "*", "list"),
            ("", "pods", "*", "watch"),
            ("authorization.k8s.io", "subjectaccessreviews", "*", "create"),
        ],
        ("ClusterRole", "donjon-metrics-registration", ""): [
            ("apiregistration.k8s.io", "apiservices", name, verb) for name in registrations for verb in ("get", "update")
        ],
        ("ClusterRole", "donjon-metrics-reader", ""): [
            ("metrics.k8s.io", resource, "*", verb) for resource in ("nodes", "pods") for verb in ("get", "list")
        ],
        ("Role", "donjon-metrics-address", "kube-system"): [("", "services", "metrics-server", "get")],
    }


def test_metrics_servers_api_is_given_back_whenever_it_is_to_be_ours_no_more(helm: Helm) -> None:
    def events(*settings: str) -> set[str]:
        hooks = [each for each in helm.template(*settings, ALWAYS) if each["metadata"]["name"] == "donjon-metrics-release"]
        return {each["metadata"]["annotations"]["helm.sh/hook"] for each in hooks}

    assert events(*METRICS_API) == {"pre-delete"}
    assert events() == events("metricsApi.enabled=true", "metricsApi.custom=true") == set(), "a rollback hangs on no Job"


def test_a_metrics_server_with_nothing_to_serve_is_refused(helm: Helm) -> None:
    assert "there is nothing to serve" in helm.refusal("metricsApi.enabled=true")


def test_values_and_schema_know_the_same_names_and_each_is_described() -> None:
    schema = described(json.loads((CHART / "values.schema.json").read_text()))
    assert all(len(sentence) > len("As in a pod") for sentence in schema.values())
    free = {
        path
        for path in schema
        if path.endswith((".affinity", ".labels", ".annotations", ".seLinuxOptions", ".securityContext", ".enforcedNamespaces"))
    }
    written = {path for path in leaves(load(CHART / "values.yaml")) if not any(path.startswith(f"{each}.") for each in free)}
    open_maps = ("nodeSelector.", "resources.requests.", "resources.limits.")
    written = {path for path in written if not any(part in path for part in open_maps)}
    silent = {"", "global", "node.updateStrategy.rollingUpdate.maxSurge"} | {
        path for path in schema if path.startswith("node.seLinuxOptions.")
    }
    assert written == set(schema) - silent


def test_the_alert_rules_are_the_same_with_and_without_the_operator_for_each_program_that_runs(helm: Helm) -> None:
    groups = load(CHART / "files" / "alerts.yaml")["groups"]
    asks = "metrics.prometheusRule.enabled=true"
    for settings, names in (
        ((asks,), ["donjon-node"]),
        ((asks, "node.enabled=false", WEBHOOK), ["donjon-webhook"]),
        ((asks, WEBHOOK, ATTESTATION % ""), ["donjon-node", "donjon-webhook", "donjon-attestation"]),
    ):
        rule = named(helm.template(*settings), "PrometheusRule", "donjon-node")
        assert rule["spec"] == {"groups": [each for each in groups if each["name"] in names]}


@pytest.mark.parametrize(("kind", "endpoints"), [("PodMonitor", "podMetricsEndpoints"), ("ServiceMonitor", "endpoints")])
def test_every_program_is_scraped_with_the_labels_that_the_alerts_ask_for(helm: Helm, kind: str, endpoints: str) -> None:
    asked = f"metrics.{kind[0].lower()}{kind[1:]}.enabled=true"
    made = helm.template(WEBHOOK, ENCLAVE_ADMISSION, ATTESTATION % "", *METRICS_API, asked)
    monitor = named(made, kind, "donjon-node")["spec"]
    labels, chosen = monitor["selector"]["matchLabels"], monitor["selector"]["matchExpressions"][0]
    if kind == "PodMonitor":
        objects = [each["spec"]["template"] for each in made if each["kind"] in {"DaemonSet", "Deployment"}]
        ports = [each["spec"]["containers"][0]["ports"] for each in objects]
    else:
        objects = [each for each in made if each["kind"] == "Service"]
        ports = [each["spec"]["ports"] for each in objects]
    assert {each["metadata"]["labels"][chosen["key"]] for each in objects} == set(chosen["values"])
    assert all(labels.items() <= each["metadata"]["labels"].items() for each in objects)
    (endpoint,) = monitor[endpoints]
    assert all(endpoint["port"] in {port["name"] for port in each} for each in ports)
    (job,) = load(CHART / "files" / "scrape.yaml")["scrape_configs"]
    plain = {tuple(each["source_labels"]): each["target_label"] for each in job["relabel_configs"] if "target_label" in each}
    relabeled = {tuple(each["sourceLabels"]): each["targetLabel"] for each in endpoint["relabelings"]}
    # The operator gives `namespace` and `pod` by itself.
    assert relabeled == {sources: target for sources, target in plain.items() if target not in {"namespace", "pod"}}


def test_the_dashboard_comes_out_as_it_went_in(helm: Helm) -> None:
    made = named(helm.template("metrics.dashboard.enabled=true"), "ConfigMap", "donjon-dashboard")
    assert json.loads(made["data"]["donjon.json"]) == json.loads((CHART / "files" / "dashboard.json").read_text())


def test_the_namespace_bears_its_pod_security_label_and_outlives_the_release(helm: Helm) -> None:
    made = named(helm.template("namespace.create=true"), "Namespace", "donjon")["metadata"]
    assert made["labels"]["pod-security.kubernetes.io/enforce"] == "privileged"
    assert made["annotations"]["helm.sh/resource-policy"] == "keep"


def test_chart_and_program_have_one_version() -> None:
    chart = load(CHART / "Chart.yaml")
    source = (PROJECT / "src" / "donjon" / "__init__.py").read_text()
    assert f'__version__ = "{chart["appVersion"]}"' in source
    assert Path(CHART / "values.schema.json").is_file()


EXAMPLES = (*sorted((PROJECT / "docs" / "examples").glob("*.yaml")), PROJECT / "testbed" / "examples" / "holder.yaml")


@pytest.mark.parametrize("manifest", EXAMPLES, ids=lambda manifest: manifest.stem)
def test_what_the_examples_run_is_of_the_charts_version(manifest: Path) -> None:
    images = re.findall(r"image: (\S+)", manifest.read_text(encoding="utf-8"))
    assert set(images) == {f"donjon.dev/donjon:{load(CHART / 'Chart.yaml')['appVersion']}"}


def notes(helm: Helm, folder: Path, *flags: str) -> str:
    """What Helm says after an install, or with `--is-upgrade` after an upgrade: Helm prints it for a cluster alone."""
    shutil.copytree(CHART, folder)
    templates = folder / "templates"
    said = (templates / "NOTES.txt").read_text(encoding="utf-8")
    shown = 'kind: Notes\nmetadata: {name: notes}\ntext: {{ include "notes" . | toJson }}\n'
    (templates / "notes.yaml").write_text('{{- define "notes" -}}' + said + "{{- end -}}\n" + shown)
    settings = [part for setting in (*EXPLICIT, ALWAYS, ATTESTATION % "") for part in ("--set-json", setting)]
    done = helm.run(
        "template", "donjon", folder, "-n", "donjon", "--kube-version", "1.36.3", "-s", "templates/notes.yaml", *settings, *flags
    )
    assert done.returncode == 0, done.stderr
    return str(YAML(typ="safe").load(done.stdout)["text"])


def test_the_notes_of_an_upgrade_are_short_and_have_what_an_upgrade_and_an_uninstall_need(helm: Helm, tmp_path: Path) -> None:
    install, upgrade = notes(helm, tmp_path / "a"), notes(helm, tmp_path / "b", "--is-upgrade")
    assert len(upgrade.splitlines()) < len(install.splitlines()) / 2
    for line in (
        "  donjon status --wait 2m",
        "  kubectl -n donjon logs deployment/donjon-attestation",
        "  donjon node forget --all",
    ):
        assert line in upgrade.splitlines()
        assert line in install.splitlines()
    assert (
        "job/sgx-test" in install,
        "helm rollback donjon REVISION -n donjon` (helm history has the revisions). What changed" in upgrade,
    ) == (True, True)
    assert ("job/sgx-test" in upgrade, "4. " in upgrade, "\n\n\n" in upgrade + install) == (False, False, False)
