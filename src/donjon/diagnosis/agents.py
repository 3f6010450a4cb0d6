"""The agents: where one should be and is not, which is not ready, and whether an upgrade or an uninstall of them stands still."""

from collections.abc import Iterator, Sequence

from donjon.admission.policies.gaps import bring_back
from donjon.admission.policies.guard import AGENT
from donjon.diagnosis.commands import describe, node_of, place_of
from donjon.diagnosis.installation import AGENTS_POLICY, NODE, DonjonState, Row, RowState, StatusPart, unseen
from donjon.diagnosis.meters import is_meter_alone
from donjon.diagnosis.nodes import names_text, nodes_with_sgx
from donjon.diagnosis.own_pods import breakdown, own_no, own_trouble, pod_trouble, silence
from donjon.diagnosis.rights import rights
from donjon.diagnosis.rollout import go_back, is_rolled_out
from donjon.findings import Finding, codes
from donjon.findings.codes import NOT_INSTALLED, UNINSTALL_BEGUN
from donjon.formats.json import JsonObject, at
from donjon.kube.objects import count, is_here, labels_of, name_of, namespace_of, node_name_of
from donjon.kube.selection import misfits, not_tolerated, selects

NOWHERE = ("kubernetes.io/os", "nowhere")
"""What the DaemonSet selects nodes by while Donjon is being uninstalled (the chart's cleanup.yaml): none."""

_UNMADE = "its DaemonSet has not made one"
_UNKEPT = "nobody keeps EPC, devices, labels and SGXReady true: they stay as they were last"


def agents(here: DonjonState) -> StatusPart:
    """The DaemonSet: how many agents are ready, and the nodes with SGX that have none."""
    if hidden := unseen("agents", here.daemon_sets, here.pods):
        return hidden
    daemon_set = here.daemon_sets.first(NODE)
    if daemon_set is None:
        return _no_daemon_set(here)
    if _is_stopped(daemon_set):
        return _uninstall(daemon_set)
    name = name_of(daemon_set)
    desired, whole_pods = (count(daemon_set, "status", field) for field in ("desiredNumberScheduled", "numberReady"))
    unready = [pod for pod in here.pods.of(NODE) if is_here(pod) and pod_trouble(pod, here.moment, here.nodes)]
    late = tuple(pod for pod in unready if not is_meter_alone(pod))
    ready = whole_pods + len(unready) - len(late)
    bare = tuple(node for node in nodes_with_sgx(here) if name_of(node) not in _manned(here))
    whole = ready >= desired and is_rolled_out(daemon_set) and not late
    rows = (
        Row(name=name, state=RowState.WELL if whole else RowState.WRONG, words=f"{ready} of {desired} ready"),
        *(Row(name=name_of(pod), state=RowState.WRONG, words=_words(pod, here)) for pod in late),
        *(Row(name=name_of(node), state=RowState.WRONG, words=f"no {name} pod: {_reason(daemon_set, node)}") for node in bare),
    )
    findings = (*rights(here, daemon_set), *_absent(daemon_set, bare), *(() if whole else _late(daemon_set, late, here)))
    return StatusPart(name="agents", rows=rows, findings=findings, summary=f"{ready} of {desired} agents ready")


def _is_stopped(daemon_set: JsonObject) -> bool:
    key, value = NOWHERE
    return at(daemon_set, "spec", "template", "spec", "nodeSelector", key) == value


def _uninstall(daemon_set: JsonObject) -> StatusPart:
    """Told in place of all else about agents: that they are gone is what an uninstall does first."""
    namespace = namespace_of(daemon_set)
    finding = Finding.error(
        UNINSTALL_BEGUN,
        "agents",
        "an uninstall was begun and has not come to its end: the agents are stopped, policies and all else are still there",
        _UNKEPT,
        f"let it end where it runs; otherwise again: helm uninstall donjon -n {namespace}, or back: helm rollback donjon "
        f"REVISION -n {namespace} (helm history donjon -n {namespace} has them), or without its Job: "
        f"donjon explain {UNINSTALL_BEGUN}",
    )
    row = Row(name=name_of(daemon_set), state=RowState.WRONG, words="stopped by an uninstall that has not come to its end")
    return StatusPart(name="agents", rows=(row,), findings=(finding,))


def _no_daemon_set(here: DonjonState) -> StatusPart:
    if here.policies.thing(AGENTS_POLICY) is None:
        row = Row(name=AGENT, state=RowState.ABSENT, words="no DaemonSet, and no policy of the agents")
        return StatusPart(name="agents", rows=(row,))
    finding = Finding.error(
        "DJ173",
        "agents",
        f"the DaemonSet {AGENT} is gone",
        _UNKEPT,
        f"see helm status donjon -n {here.home}: where it says uninstalling, donjon explain {UNINSTALL_BEGUN}; where it says "
        f"release: not found (the namespace was deleted), install Donjon again with your values, donjon explain {NOT_INSTALLED}; "
        f"otherwise {bring_back(here.home)}",
    )
    return StatusPart(name="agents", rows=(Row(name=AGENT, state=RowState.WRONG, words="is gone"),), findings=(finding,))


def _absent(daemon_set: JsonObject, bare: Sequence[JsonObject]) -> Iterator[Finding]:
    if bare:
        yield Finding.error(
            "DJ173",
            "agents",
            f"no {name_of(daemon_set)} pod on {names_text(bare)}: {_reason(daemon_set, bare[0])}",
            "nobody keeps the node's EPC, devices and SGXReady true: they stay as they were last",
            _admit(daemon_set, bare[0]),
        )


def _late(daemon_set: JsonObject, late: Sequence[JsonObject], here: DonjonState) -> Iterator[Finding]:
    """Why the agents are not all ready; nothing where their nodes are away, which is told of the nodes."""
    awake = [pod for pod in late if not silence(pod, here.nodes)]
    if late and not awake:
        return
    # A pod that waiting does not mend tells more than one that starts.
    pod = next((each for each in awake if breakdown(each, here.moment)), next(iter(awake), None))
    yield Finding.error(
        "DJ174",
        "agents",
        f"{count(daemon_set, 'status', 'numberReady')} of {count(daemon_set, 'status', 'desiredNumberScheduled')} are ready"
        f"{f'; {name_of(pod)}' if pod else ''}: {_words(pod, here) if pod else _progress(daemon_set)}",
        "where an agent is not ready, its node may offer no enclave",
        _way_out(daemon_set, pod, here),
    )


def _progress(daemon_set: JsonObject) -> str:
    if at(daemon_set, "spec", "updateStrategy", "type") == "OnDelete" and not is_rolled_out(daemon_set):
        return "its older pods stay until somebody deletes them (node.updateStrategy is OnDelete)"
    return "its pods are being made"


def _way_out(daemon_set: JsonObject, pod: JsonObject | None, here: DonjonState) -> str:
    if pod is None:
        return f"wait a moment; then kubectl describe daemonset {place_of(daemon_set)}"
    look = f"kubectl logs {place_of(pod)}, and {describe(pod)}"
    if not is_rolled_out(daemon_set) and breakdown(pod, here.moment):
        return f"the upgrade stands still: {go_back(namespace_of(daemon_set))}; to see more: {look}"
    if codes.codes_in(own_no(pod, here)):
        return f"do what it says; to see more: {look}"
    return look


def _words(pod: JsonObject, here: DonjonState) -> str:
    return f"on {node_of(pod)}: {own_trouble(pod, here)}"


def _admit(daemon_set: JsonObject, node: JsonObject) -> str:
    """How the node gets its agent."""
    if _reason(daemon_set, node) == _UNMADE:
        return f"see why: kubectl describe daemonset {place_of(daemon_set)}"
    return (
        "where the chart's values (node.nodeSelector, node.affinity, node.tolerations) are meant so, donjon node forget "
        f"{name_of(node)}; where they are not, set them by helm upgrade; where somebody changed the DaemonSet, "
        f"{bring_back(namespace_of(daemon_set))}"
    )


def _reason(daemon_set: JsonObject, node: JsonObject) -> str:
    """Why the DaemonSet has no pod on a node."""
    template: JsonObject = {"spec": at(daemon_set, "spec", "template", "spec")}
    labels = labels_of(node)
    if not selects(template, name_of(node), labels):
        return f"its DaemonSet wants {'; '.join(misfits(template, labels)) or 'other nodes'}"
    taints = [each for each in not_tolerated(template, node) if not each.startswith("node.kubernetes.io/")]
    return f"it does not tolerate the taint {', '.join(taints)}" if taints else _UNMADE


def _manned(here: DonjonState) -> frozenset[str]:
    return frozenset(node_name_of(pod) for pod in here.pods.of(NODE) if is_here(pod))
