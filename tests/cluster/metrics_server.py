"""metrics-server in the testbed, built from its Go module, and a make-believe meter; both as pods that mount what they run."""

import json
from typing import Any

from testbed import binaries
from testbed.layout import Layout
from tests.cluster.agents import NAMESPACE
from tests.cluster.conftest import ORDINARY_IMAGE, Cluster

REGISTRATION = "v1beta1.metrics.k8s.io"
METER = "meter"
PORT = 9810


def objects(layout: Layout) -> list[Any]:
    """What metrics-server's own manifests make (`manifests/base`), its program mounted from the host."""
    binaries.ensure(layout, ("metrics-server",))
    program = layout.program("metrics-server").resolve()
    kube, rbac = {"namespace": "kube-system"}, "rbac.authorization.k8s.io"
    labels = {"k8s-app": "metrics-server"}
    subject = {"kind": "ServiceAccount", "name": "metrics-server", "namespace": "kube-system"}

    def binding(kind: str, name: str, role: str, role_kind: str, **metadata: str) -> dict[str, Any]:
        return {
            "apiVersion": f"{rbac}/v1",
            "kind": kind,
            "metadata": {"name": name, **metadata},
            "roleRef": {"apiGroup": rbac, "kind": role_kind, "name": role},
            "subjects": [subject],
        }

    rules = [
        {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["pods", "nodes"], "verbs": ["get", "list", "watch"]},
    ]
    container = {
        "name": "metrics-server",
        "image": ORDINARY_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/program/metrics-server"],
        "args": [
            "--cert-dir=/tmp",
            "--secure-port=10250",
            "--kubelet-preferred-address-types=InternalIP",
            "--kubelet-use-node-status-port",
            "--kubelet-insecure-tls",
            "--kubelet-request-timeout=5s",
            "--metric-resolution=10s",
        ],
        "ports": [{"name": "https", "containerPort": 10250}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "https", "scheme": "HTTPS"}, "periodSeconds": 1},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, {"name": "program", "mountPath": "/program"}],  # noqa: S108 - in a container.
    }
    pod = {
        "serviceAccountName": "metrics-server",
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "program", "hostPath": {"path": str(program.parent)}}],
    }
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "metrics-server", **kube}},
        {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": {"name": "system:metrics-server"}, "rules": rules},
        binding("ClusterRoleBinding", "system:metrics-server", "system:metrics-server", "ClusterRole"),
        binding("ClusterRoleBinding", "metrics-server:system:auth-delegator", "system:auth-delegator", "ClusterRole"),
        binding("RoleBinding", "metrics-server-auth-reader", "extension-apiserver-authentication-reader", "Role", **kube),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "metrics-server", **kube},
            "spec": {"selector": labels, "ports": [{"name": "https", "port": 443, "targetPort": "https"}]},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "metrics-server", **kube},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": REGISTRATION},
            "spec": {
                "service": {"name": "metrics-server", "namespace": "kube-system"},
                "group": "metrics.k8s.io",
                "version": "v1beta1",
                "insecureSkipTLSVerify": True,
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
            },
        },
    ]


def remove(cluster: Cluster) -> None:
    """All of it."""
    for kind, name, where in (
        ("apiservice", REGISTRATION, ()),
        ("deployment,service,serviceaccount", "metrics-server", ("-n", "kube-system")),
        ("rolebinding", "metrics-server-auth-reader", ("-n", "kube-system")),
        ("clusterrole", "system:metrics-server", ()),
        ("clusterrolebinding", "system:metrics-server", ()),
        ("clusterrolebinding", "metrics-server:system:auth-delegator", ()),
    ):
        cluster.kubectl("delete", kind, name, *where, "--ignore-not-found", "--wait=false", check=False)


def meter(node: str) -> dict[str, Any]:
    """A meter of a node, which answers with what `say` has put there, at each moment as if it had just looked.

    A Deployment and no pod alone: the agent's DaemonSet would take that for its own.
    """
    step = "/bin/busybox sed s/MOMENT/$(/bin/busybox date -u +%Y-%m-%dT%H:%M:%SZ)/ /tmp/report >/tmp/epc && mv /tmp/epc /tmp/www/"
    serve = f"mkdir -p /tmp/www; touch /tmp/report; httpd -p {PORT} -h /tmp/www; while true; do {step}; sleep 1; done"
    serve = serve.replace(" mv ", " /bin/busybox mv ").replace("; touch ", "; /bin/busybox touch ")
    labels = {"app.kubernetes.io/name": "donjon", "app.kubernetes.io/component": "node", METER: node}
    container = {
        "name": METER,
        "image": ORDINARY_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/busybox", "sh", "-c", serve],
    }
    pod = {"nodeName": node, "terminationGracePeriodSeconds": 0, "containers": [container]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"{METER}-{node}", "namespace": NAMESPACE},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
    }


def say(cluster: Cluster, node: str, text: str) -> None:
    """From now on, the meter of that node says this."""
    where = ("-n", NAMESPACE, "exec", "-i", f"deployment/{METER}-{node}", "--")
    cluster.kubectl(*where, "/bin/sh", "-c", "cat >/tmp/part && /bin/busybox mv /tmp/part /tmp/report", stdin=text)


def report(node: str, containers: list[dict[str, Any]]) -> str:
    """A meter's report with these containers."""
    use = {"resident": 0, "existing": 0, "evicted": 0, "enclaves": 0, "debug": 0, "building": 0}
    return json.dumps(
        {
            "version": "donjon.dev/epc/v1",
            "node": node,
            "moment": "MOMENT",
            "source": "bpf",
            "use": use,
            "guests": 0,
            "system": use,
            "systemGuests": 0,
            "unreadable": 0,
            "leftOut": 0,
            "containers": containers,
        }
    )
