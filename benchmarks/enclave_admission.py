"""What admission by an enclave's identity adds to a pod whose image is known: one call, and two in a namespace held to it.

Percentiles are taken at the client, over one connection, one pod after the other, in rounds that have every namespace in turn:
one that the calls leave out, one where images are pinned, and one that is held to it besides. All pods ask for SGX, and are dry
runs. Needs root; brings the testbed up where none is, and takes that down again.
"""

import json
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import mean, median, quantiles
from typing import Any

import httpx2
from testbed import clock, cluster, demo
from testbed.commands import run
from testbed.layout import Layout, here
from tests.cluster.conftest import Cluster
from tests.cluster.load import client_of
from tests.cluster.registry import HOST, registry
from tests.enclave.vectors import SDK_FILE

from donjon.enclave.search import enclaves

ROUNDS, PODS = 6, 250
BARE, PINNED, HELD = "bench-bare", "bench-pinned", "bench-held"
GOAL = 2.0  # ms of p99
SETTINGS = {
    "admission.enclaves.enabled": True,
    "admission.enclaves.replicas": 1,
    "admission.enclaves.registries.inside": [HOST],
    "admission.enclaves.registries.plainHttp": [HOST],
}


def main() -> None:
    """Every namespace in turn, several times."""
    layout = here()
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        if not cluster.lives(layout):
            stack.callback(cluster.down, layout)
            cluster.up(layout, cluster.Wish())
        demo.install(layout)
        there = stack.enter_context(registry(layout, Path(folder)))
        digest = there.push("team/app", "1", {"opt/enclave.signed.so": SDK_FILE})
        _prepare(layout)
        stack.callback(_put_back, layout)
        tested = Cluster(kubeconfig=layout.kubeconfig, program=str(layout.program("kubectl")), testbed=None)
        server, context = client_of(tested, Path(folder))
        with httpx2.Client(base_url=server, verify=context, timeout=30) as api:
            for name, image in (("by its tag", f"{HOST}/team/app:1"), ("by its digest", f"{HOST}/team/app@{digest}")):
                _print(name, _measure(api, image))


def _measure(api: httpx2.Client, image: str) -> dict[str, list[float]]:
    figures: dict[str, list[float]] = {BARE: [], PINNED: [], HELD: []}
    for _ in range(ROUNDS):
        for namespace, seconds in figures.items():
            for _ in range(20):
                _make(api, namespace, image)
            seconds += [_make(api, namespace, image) * 1000 for _ in range(PODS)]
    return figures


def _make(api: httpx2.Client, namespace: str, image: str) -> float:
    limits = {"cpu": "10m", "sgx.intel.com/epc": "10Mi"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "bench"},
        "spec": {"containers": [{"name": "c", "image": image, "resources": {"limits": limits}}]},
    }
    began = time.perf_counter()  # noqa: TID251 - this is what is measured.
    answer = api.post(f"/api/v1/namespaces/{namespace}/pods?dryRun=All", json=pod)
    took = time.perf_counter() - began  # noqa: TID251 - this is what is measured.
    if answer.status_code != httpx2.codes.CREATED:
        sys.exit(f"the API server refused: {answer.text[:500]}")
    if namespace != BARE and "@sha256:" not in answer.json()["spec"]["containers"][0]["image"]:
        sys.exit("the image was not pinned")
    return took


def _print(name: str, figures: dict[str, list[float]]) -> None:
    print(f"{f'a pod that asks, image {name}, ms':44}{'mean':>8}{'p50':>8}{'p99':>8}{'p99 over none':>15}")
    p99s = {each: quantiles(seconds, n=100)[98] for each, seconds in figures.items()}
    for each, seconds in figures.items():
        over = p99s[each] - p99s[BARE]
        print(f"{each:44}{mean(seconds):8.2f}{median(seconds):8.2f}{p99s[each]:8.2f}{over:15.2f}")
    for each in (PINNED, HELD):
        over = p99s[each] - p99s[BARE]
        print(f"goal: {each} adds at most {GOAL} ms of p99: {over:.2f}: {'met' if over <= GOAL else 'MISSED'}")


def _prepare(layout: Layout) -> None:
    _helm(layout, SETTINGS)
    for name in (BARE, PINNED, HELD):
        run(*demo.kubectl(layout), "create", "namespace", name)
    run(*demo.kubectl(layout), "label", "namespace", HELD, "donjon.dev/enclave-admission=enforced")
    leave_out = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": [BARE]}
    change = [{"op": "add", "path": "/webhooks/0/namespaceSelector", "value": {"matchExpressions": [leave_out]}}]
    words = ("patch", "mutatingwebhookconfiguration", "donjon-enclaves", "--type=json", "-p", json.dumps(change))
    run(*demo.kubectl(layout), *words)
    found = enclaves(SDK_FILE)[0].sigstruct
    assert found is not None
    signer = {"name": "sample", "mrSigner": found.mr_signer.hex()}
    policy: dict[str, Any] = {
        "apiVersion": "donjon.dev/v1alpha1",
        "kind": "ClusterEnclavePolicy",
        "metadata": {"name": "bench"},
        "spec": {
            "mode": "enforce",
            "signers": [signer],
            "sampleKeys": [signer["mrSigner"]],
            "debug": "here",
            "namespaceSelector": {
                "matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": [PINNED, HELD]}]
            },
        },
    }
    run(*demo.kubectl(layout), "apply", "-f", "-", stdin=json.dumps(policy))
    clock.pause(5)  # until the API server and all of us have heard of it


def _put_back(layout: Layout) -> None:
    run(*demo.kubectl(layout), "delete", "namespace", BARE, PINNED, HELD, "--wait=false")
    run(*demo.kubectl(layout), "delete", "clusterenclavepolicy", "bench")
    _helm(layout, {"admission.enclaves.enabled": False})


def _helm(layout: Layout, settings: dict[str, Any]) -> None:
    options = [word for name, value in settings.items() for word in ("--set-json", f"{name}={json.dumps(value)}")]
    chart = layout.checkout / "deploy" / "chart"
    demo.helm(layout, "upgrade", demo.RELEASE, chart, "--reuse-values", *options, "--wait", "--timeout", "90s")


if __name__ == "__main__":
    main()
