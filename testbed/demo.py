"""`make up`: the FAQ's Job on a real cluster, from nothing to its log, and what to try next."""

import os
import subprocess
import sys
from pathlib import Path

from testbed import clock, cluster, images
from testbed.commands import attempt, run
from testbed.layout import HOST_ROOT, Layout, here
from testbed.trouble import Trouble

NAMESPACE = RELEASE = "donjon"
IMAGE = "donjon.dev/donjon"
JOB = Path(__file__).parent / "examples" / "sgx-test.yaml"
KEPT = "--reset-then-reuse-values"
"""Helm's option that keeps what somebody has set of the chart's values since."""
IN_FORCE_WITHIN = 30.0
DONE_WITHIN = "60s"


def main() -> None:
    """Every step in turn; the first that fails says what to do."""
    layout = here()
    cluster.up(layout, cluster.Wish.parse(os.environ))
    install(layout, KEPT)
    run_the_job(layout)
    _say_what_next(layout)


def install(layout: Layout, *options: str) -> None:
    """Donjon's image in the nodes, its chart in the cluster; returns when agents are ready and policies in force.

    Values of the chart that somebody has set since are gone, unless the options of Helm say `KEPT`.
    """
    _step("building Donjon's image")
    images.load(layout, cluster.nodes(layout), build_image(layout))
    _step("installing Donjon with Helm")
    chart = layout.checkout / "deploy" / "chart"
    own = (f"node.hostRoot={HOST_ROOT}", f"image.repository={IMAGE}", "image.pullPolicy=Never", "namespace.create=true")
    values = [part for value in own for part in ("--set", value)]
    helm(
        layout,
        "upgrade",
        "--install",
        RELEASE,
        chart,
        "--create-namespace",
        "--take-ownership",
        *values,
        *options,
        "--wait",
        "--timeout",
        "90s",
    )
    wait_in_force(layout)


def build_image(layout: Layout) -> Path:
    """The archive of the product's image, built now; what the build says goes to the terminal."""
    script = layout.checkout / "deploy" / "images" / "build"
    built = subprocess.run([script], stdout=subprocess.PIPE, text=True, check=False)
    if built.returncode != 0:
        raise Trouble(
            f"{script} ended with code {built.returncode}", why="see its lines above", do="mend that and run make up again"
        )
    return Path(built.stdout.strip().splitlines()[-1])


def helm(layout: Layout, *arguments: str | Path) -> str:
    """What Helm printed, in Donjon's namespace of the testbed."""
    options = ("--kubeconfig", layout.kubeconfig, "--namespace", NAMESPACE)
    return run(layout.program("helm"), *arguments, *options, do="see testbed/state/logs, and kubectl get pods -n donjon")


def wait_in_force(layout: Layout) -> None:
    """Wait until a dry run of the FAQ's pod comes out wired: the API server takes up to a second to apply a new policy."""
    deadline = clock.now() + IN_FORCE_WITHIN
    pod = (
        '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"probe","namespace":"default"},"spec":{"containers":[{"name":"c",'
        '"image":"c","resources":{"limits":{"sgx.intel.com/sgx_epc_mem_in_MiB":1}}}]}}'
    )
    while True:
        tried = attempt(
            *kubectl(layout),
            "create",
            "-f",
            "-",
            "--dry-run=server",
            "-o",
            "jsonpath={.spec.containers[0].resources.limits}",
            stdin=pod,
        )
        if "sgx.intel.com/enclave" in tried.stdout:
            return
        if clock.now() > deadline:
            words = (tried.stderr or tried.stdout).strip()
            raise Trouble("Donjon's policies are not in force", why=words, do="kubectl get mutatingadmissionpolicies,events -A")
        clock.pause(0.1)


def kubectl(layout: Layout) -> tuple[str | Path, ...]:
    """The start of every kubectl command."""
    return (layout.program("kubectl"), "--kubeconfig", layout.kubeconfig)


def run_the_job(layout: Layout) -> None:
    """The FAQ's Job, from its manifest to its log."""
    _step("running the FAQ's Job")
    run(*kubectl(layout), "delete", "job", "sgx-test", "--ignore-not-found", "--wait")
    print(run(*kubectl(layout), "apply", "-f", JOB), end="")
    waited = attempt(*kubectl(layout), "wait", "--for=condition=complete", f"--timeout={DONE_WITHIN}", "job/sgx-test")
    if waited.returncode != 0:
        described = run(*kubectl(layout), "describe", "pods,jobs", "-l", "app=sgx-test")
        raise Trouble(
            "the Job did not complete", why=described[-3000:], do="kubectl logs -n donjon -l app.kubernetes.io/name=donjon"
        )
    limits = ".spec.containers[0].resources.limits"
    columns = (
        "POD:.metadata.name,NODE:.spec.nodeName,"
        rf"EPC:{limits}.sgx\.intel\.com/epc,ENCLAVE DEVICES:{limits}.sgx\.intel\.com/enclave,PHASE:.status.phase"
    )
    print(run(*kubectl(layout), "get", "pods", "-l", "app=sgx-test", "-o", f"custom-columns={columns}"))
    print(run(*kubectl(layout), "logs", "job/sgx-test"))


def _say_what_next(layout: Layout) -> None:
    program, config = (os.path.relpath(path, Path.cwd()) for path in (layout.program("kubectl"), layout.kubeconfig))
    agent = "-l app.kubernetes.io/component=node --field-selector spec.nodeName=sgx-1"
    print(
        f"""\
The Job asked for 10 MiB of enclave memory in one limit and ran on the SGX node with its device at both paths.
The hardware is a stand-in; the cluster is real. Next:

  export KUBECONFIG=$PWD/{config}
  {program} describe node sgx-1                   # EPC, devices, labels, the condition SGXReady
  .venv/bin/donjon status                         # does Donjon work here? What is wrong first
  {program} exec -n donjon $({program} get pods -n donjon -o name {agent}) -- donjon doctor
  {program} apply -f testbed/examples/provision.yaml   # refused, and told why
  docs/attestation-in-a-cluster.md                      # the rest of it; pods have no name server here: it says what to write
  docs/metering.md, docs/autoscaling.md                 # who holds how much EPC, and autoscaling on it, on this cluster too
  make cluster-down                                     # takes all of it away"""
    )


def _step(what: str) -> None:
    print(f"== {what}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except Trouble as trouble:
        print(f"make up: {trouble}", file=sys.stderr)
        sys.exit(3)
