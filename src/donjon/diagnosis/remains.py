"""What is left of a program of Donjon where its release is gone, or has no such program: Helm knows nothing of it any more.

Helm compares a new revision with the last that it deployed, so that what a failed upgrade made is in none of its later ones.
"""

from donjon.admission.policies.all import DEFAULT_PREFIX
from donjon.diagnosis.installation import (
    ADMISSION,
    AGENTS_POLICY,
    ATTESTATION,
    ENCLAVES,
    METRICS,
    DonjonState,
    Row,
    RowState,
    StatusPart,
)
from donjon.findings import Finding
from donjon.findings.codes import LEFT_BEHIND

_KINDS = ",".join(
    (
        *("deployments", "services", "serviceaccounts", "roles", "rolebindings", "poddisruptionbudgets", "networkpolicies"),
        *("clusterroles", "clusterrolebindings"),
    )
)
"""Of what the chart makes under a program's name."""
_HOOKS = "kubectl delete --ignore-not-found mutatingwebhookconfigurations"
_REGISTRATIONS = {
    ADMISSION: f"{_HOOKS} {DEFAULT_PREFIX} && ",
    ENCLAVES: f"{_HOOKS},validatingwebhookconfigurations {DEFAULT_PREFIX}-enclaves && ",
}
_NAMES = {ADMISSION: "donjon-webhook", ENCLAVES: "donjon-enclaves", ATTESTATION: "donjon-attestation", METRICS: "donjon-metrics"}


def remains(here: DonjonState) -> tuple[Finding, ...]:
    """What an uninstall has left of programs beside the agents; nothing where anything else of Donjon is there."""
    others = (here.daemon_sets, here.policies, here.mutating_policies)
    if any(each.problem for each in others) or here.daemon_sets.things:
        return ()
    if any(each.thing(name) for each in others[1:] for name in (DEFAULT_PREFIX, AGENTS_POLICY, f"{DEFAULT_PREFIX}-refuse")):
        return ()
    left = [component for component in _NAMES if _is_there(here, component)]
    return tuple(
        Finding.error(
            LEFT_BEHIND,
            "cluster",
            f"Donjon is not installed, and {_NAMES[component]} is still there",
            "Helm does not know of it: it was made by an upgrade that failed, or its release was taken away beside it",
            _take_away(here, component),
        )
        for component in left
    )


def idle_webhook(here: DonjonState) -> StatusPart | None:
    """A webhook where, by the chart's own word, the API server itself wires; `None` where there is none."""
    if not _is_there(here, ADMISSION):
        return None
    name = _NAMES[ADMISSION]
    finding = Finding.warning(
        LEFT_BEHIND,
        "webhook",
        f"{name} is there, and the chart's values have none",
        "Helm does not know of it, and an uninstall leaves it: it was made by an upgrade that failed",
        _take_away(here, ADMISSION),
    )
    row = Row(name=name, state=RowState.DOUBTFUL, words="is there, and the chart's values have none")
    return StatusPart(name="webhook", rows=(row,), findings=(finding,))


def _is_there(here: DonjonState, component: str) -> bool:
    registered = component == ADMISSION and here.webhooks.thing(DEFAULT_PREFIX) is not None
    return registered or here.deployments.first(component) is not None


def _take_away(here: DonjonState, component: str) -> str:
    registration = _REGISTRATIONS.get(component, "")
    return (
        f"have an administrator of the cluster take it away: {registration}"
        f"kubectl delete -n {here.home} --ignore-not-found {_KINDS} {_NAMES[component]}"
    )
