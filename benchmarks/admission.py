"""P5: what admission costs a pod with nothing, our policies, our webhook, and Intel's (Go), on one cluster in one run.

Percentiles are taken at the client, over one connection, one pod after the other; means are the API server's own account of its
admission policies and webhooks, and of the rounds' means the median. All are dry runs, in rounds, each of which has every way in
turn. Both webhooks run as one process beside the API server, which calls them by address; ours has its refusing policies with it,
as installed. Then both webhooks alone: answers a second on one processor, and memory.

Needs root and `make up`; ends with everything as it was.
"""

import base64
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx2
from ruamel.yaml import YAML
from testbed import binaries, cluster, demo
from testbed.commands import run
from testbed.layout import HOST_ADDRESS, Layout, here

from benchmarks.processes import pause, resident
from donjon.adapters.keys import fresh
from donjon.admission.policies.all import for_pods, to_refuse
from donjon.admission.policies.printing import manifest
from donjon.admission.policies.registration import call
from donjon.admission.settings import Settings, wired_by_webhook
from donjon.pki.serving import ServingCertificate, issue

ROUNDS, PODS = 4, 250
PREFIX = "bench"
OUR_PORT, THEIR_PORT = 9443, 9443  # They never run at the same time.
GOAL_PLAIN, GOAL_ASKING, GOAL_TO_INTEL = 0.2, 1.0, 0.5
HEY_SECONDS = 8
NOTHING, POLICIES, WEBHOOK, INTEL = "nothing", "our policies", "our webhook", "Intel's webhook"
_SUM = re.compile(
    r'^apiserver_admission_controller_admission_duration_seconds_sum\{name="(?:Mutating|Validating)Admission(?:Policy|Webhook)"'
    r',operation="CREATE",.*\} (?P<seconds>\S+)$'
)


def pod(limits: dict[str, str]) -> dict[str, Any]:
    """A pod with one container."""
    container = {"name": "c", "image": "donjon.dev/testbed/busybox:1", "resources": {"limits": limits}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bench"}, "spec": {"containers": [container]}}


ASKED = {"does not ask": pod({"cpu": "10m", "memory": "16Mi"}), "asks": pod({"cpu": "10m", "sgx.intel.com/epc": "10Mi"})}


@dataclass(slots=True)
class Figures:
    """Of one way and one pod: milliseconds at the client, and milliseconds that the API server spent in admission, a pod."""

    client: list[float] = field(default_factory=list)
    server: list[float] = field(default_factory=list)


def main() -> None:
    """Every way in turn, several times; then the webhooks alone."""
    layout = here()
    if not cluster.lives(layout):
        sys.exit("no testbed is up: make up")
    binaries.ensure(layout, ("peers",))
    demo.install(layout)
    _helm(layout, "admission.enabled=false")
    ways: dict[str, Callable[[Layout, Path], Any]] = {NOTHING: _nothing, POLICIES: _policies, WEBHOOK: _ours, INTEL: _intel}
    figures = {(way, kind): Figures() for way in ways for kind in ASKED}
    alone: dict[str, tuple[float, float]] = {}
    try:
        with tempfile.TemporaryDirectory() as folder, _api(layout, Path(folder)) as api:
            for _ in range(ROUNDS):
                for way, entered in ways.items():
                    with entered(layout, Path(folder)):
                        pause(2)  # until the API server has heard of it
                        for kind, asked in ASKED.items():
                            _measure(api, asked, figures[way, kind])
            for way in (WEBHOOK, INTEL):
                with ways[way](layout, Path(folder)) as process:
                    alone[way] = _alone(process, Path(folder), "/mutate" if way == WEBHOOK else "/mutate--v1-pod")
    finally:
        _helm(layout, "admission.enabled=true")
        demo.wait_in_force(layout)
    _print(figures, alone)


def _print(figures: dict[tuple[str, str], Figures], alone: dict[str, tuple[float, float]]) -> None:
    print(f"{'a pod, ms':28}{'client p50':>12}{'p99':>8}{'server mean':>13}{'over nothing':>14}")
    over = {}
    for (way, kind), each in figures.items():
        over[way, kind] = median(each.server) - median(figures[NOTHING, kind].server)
        p99 = quantiles(each.client, n=100)[98]
        print(f"{f'{kind}, {way}':28}{median(each.client):12.2f}{p99:8.2f}{median(each.server):13.3f}{over[way, kind]:14.3f}")
    p99s = {way: quantiles(figures[way, "asks"].client, n=100)[98] for way in (WEBHOOK, INTEL)}
    plain, asking = over[POLICIES, "does not ask"], over[POLICIES, "asks"]
    print(
        f"P5 ratio {asking / over[INTEL, 'asks']:.2f} (our policies, of Intel's webhook, a pod that asks, mean in the API server)"
    )
    print(f"P5 ratio {p99s[WEBHOOK] / p99s[INTEL]:.2f} (our webhook, of Intel's, p99 at the client)")
    (answers, memory), (theirs, their_memory) = alone[WEBHOOK], alone[INTEL]
    print(f"webhook alone, answers a second on one processor: {answers:.0f}, Intel's {theirs:.0f}, ratio {answers / theirs:.2f}")
    print(f"webhook alone, MiB resident after that: {memory:.1f}, Intel's {their_memory:.1f}, ratio {memory / their_memory:.2f}")
    for words, value, most in (
        ("a pod that does not ask, our policies, ms", plain, GOAL_PLAIN),
        ("a pod that asks, our policies, ms", asking, GOAL_ASKING),
        ("the same, of Intel's webhook", asking / over[INTEL, "asks"], GOAL_TO_INTEL),
        ("p99 of our webhook, of Intel's", p99s[WEBHOOK] / p99s[INTEL], 1.0),
    ):
        print(f"goal: {words}: at most {most}: {value:.2f}: {'met' if value <= most else 'MISSED'}")


def _measure(api: httpx2.Client, asked: dict[str, Any], into: Figures) -> None:
    for _ in range(20):
        _make(api, asked)
    before = _in_admission(api)
    for _ in range(PODS):
        into.client.append(_make(api, asked) * 1000)
    into.server.append((_in_admission(api) - before) / PODS * 1000)


def _make(api: httpx2.Client, asked: dict[str, Any]) -> float:
    began = time.perf_counter()  # noqa: TID251 - this is what is measured.
    answer = api.post("/api/v1/namespaces/default/pods?dryRun=All", json=asked)
    took = time.perf_counter() - began  # noqa: TID251 - this is what is measured.
    if answer.status_code != httpx2.codes.CREATED:
        raise SystemExit(f"the API server refused: {answer.text[:500]}")
    return took


def _in_admission(api: httpx2.Client) -> float:
    """Seconds that the API server has spent on created objects in policies and webhooks since it started."""
    lines = api.get("/metrics").text.splitlines()
    return sum(float(found["seconds"]) for line in lines if (found := _SUM.match(line)))


@contextmanager
def _api(layout: Layout, folder: Path) -> Iterator[httpx2.Client]:
    config = YAML(typ="safe").load(layout.kubeconfig)
    server, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    for name in ("client-certificate", "client-key"):
        (folder / name).write_bytes(base64.b64decode(user[f"{name}-data"]))
    context = ssl.create_default_context(cadata=base64.b64decode(server["certificate-authority-data"]).decode())
    context.load_cert_chain(folder / "client-certificate", folder / "client-key")
    with httpx2.Client(base_url=server["server"], verify=context, timeout=30) as client:
        yield client


@contextmanager
def _nothing(layout: Layout, folder: Path) -> Iterator[int]:
    del layout, folder
    yield 0


@contextmanager
def _policies(layout: Layout, folder: Path) -> Iterator[int]:
    del folder
    with _applied(layout, manifest(for_pods(PREFIX))):
        yield 0


@contextmanager
def _ours(layout: Layout, folder: Path) -> Iterator[int]:
    serving = _certificate(folder)
    registered: Any = call(PREFIX, demo.NAMESPACE, "none")
    _by_address(registered, f"https://{HOST_ADDRESS}:{OUR_PORT}/mutate", serving)
    settings = Settings(wired_by=wired_by_webhook(demo.NAMESPACE))
    command: list[str | Path] = [Path(sys.executable).parent / "donjon", "admission", "serve", f"--certificate-dir={folder}"]
    listen = [f"--listen={HOST_ADDRESS}:{OUR_PORT}", f"--probes={HOST_ADDRESS}:9809", "--drain=0"]
    with _running([*command, *listen]) as process, _applied(layout, manifest((*to_refuse(PREFIX, settings), registered))):
        yield process


@contextmanager
def _intel(layout: Layout, folder: Path) -> Iterator[int]:
    serving = _certificate(folder)
    where = Path("/tmp/k8s-webhook-server/serving-certs")  # noqa: S108 - where Intel's webhook looks, and nowhere else.
    where.mkdir(parents=True, exist_ok=True)
    for name in ("tls.crt", "tls.key"):
        shutil.copy(folder / name, where / name)
    hook = {
        "name": "sgx.mutator.webhooks.intel.com",
        "admissionReviewVersions": ["v1"],
        "failurePolicy": "Ignore",
        "reinvocationPolicy": "IfNeeded",
        "sideEffects": "None",
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
    }
    registered = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": PREFIX},
        "webhooks": [hook],
    }
    _by_address(registered, f"https://{HOST_ADDRESS}:{THEIR_PORT}/mutate--v1-pod", serving)
    command: list[str | Path] = [layout.program("sgx_admissionwebhook"), f"--kubeconfig={layout.kubeconfig}"]
    with _running(command) as process, _applied(layout, json.dumps(registered)):
        yield process


def _certificate(folder: Path) -> ServingCertificate:
    moment = datetime.now(tz=UTC)  # noqa: TID251 - the API server judges it by the real clock.
    serving = issue([HOST_ADDRESS], fresh(), moment, timedelta(days=1))
    (folder / "tls.crt").write_bytes(serving.certificate)
    (folder / "tls.key").write_bytes(serving.key)
    return serving


def _by_address(registered: Any, url: str, serving: ServingCertificate) -> None:
    client = {"url": url, "caBundle": base64.b64encode(serving.authority.pem).decode()}
    registered["webhooks"][0]["clientConfig"] = client


@contextmanager
def _running(command: list[str | Path]) -> Iterator[int]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            pause(2)
            if process.poll() is not None:
                raise SystemExit(f"{command[0]} ended with code {process.returncode}")
            yield process.pid
        finally:
            process.terminate()


@contextmanager
def _applied(layout: Layout, text: str) -> Iterator[None]:
    run(*demo.kubectl(layout), "apply", "-f", "-", stdin=text)
    try:
        yield
    finally:
        run(*demo.kubectl(layout), "delete", "--wait", "-f", "-", stdin=text)
        pause(2)


def _alone(process: int, folder: Path, path: str) -> tuple[float, float]:
    """Answers a second to eight callers, with the webhook on one processor and the callers on another; and MiB afterwards."""
    request = {
        "uid": "5f1f62f2-8d2c-4f6f-b1a5-6c5d7a3c1c11",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "operation": "CREATE",
        "namespace": "default",
        "object": ASKED["asks"],
    }
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    (folder / "review.json").write_text(json.dumps(review))
    for task in Path(f"/proc/{process}/task").iterdir():
        os.sched_setaffinity(int(task.name), {0})
    load = ["taskset", "-c", "1", "hey", "-z", f"{HEY_SECONDS}s", "-c", "8", "-m", "POST", "-T", "application/json"]
    printed = run(*load, "-D", folder / "review.json", f"https://{HOST_ADDRESS}:{OUR_PORT}{path}")
    if "[200]" not in printed:
        raise SystemExit(f"the webhook did not answer as expected: {printed}")
    return float(re.search(r"Requests/sec:\s+(\S+)", printed)[1]), resident(process)  # type: ignore[index]  # hey always prints it.


def _helm(layout: Layout, setting: str) -> None:
    chart = layout.checkout / "deploy" / "chart"
    demo.helm(layout, "upgrade", demo.RELEASE, chart, "--reuse-values", "--set", setting, "--wait", "--timeout", "90s")


if __name__ == "__main__":
    main()
