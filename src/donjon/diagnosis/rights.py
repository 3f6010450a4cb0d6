"""What gives the agents their rights: an agent that runs goes on without it, and guards nothing."""

from collections.abc import Iterator

from donjon.admission.policies.gaps import bring_back, new_agents
from donjon.diagnosis.installation import DonjonState
from donjon.findings import Finding
from donjon.formats.json import JsonObject, at
from donjon.kube.objects import name_of


def rights(here: DonjonState, daemon_set: JsonObject) -> tuple[Finding, ...]:
    """What of it is gone, as far as the account may see."""
    losses = list(_losses(here, daemon_set))
    if not losses:
        return ()
    finding = Finding.error(
        "DJ184",
        "agents",
        f"{' and '.join(losses)} {'are' if losses[1:] else 'is'} gone",
        "the API server turns the agents away: nobody keeps EPC, labels and SGXReady true, nor looks after Donjon's policies",
        f"{bring_back(here.home)}; then {new_agents(here.home)}",
    )
    return (finding,)


def _losses(here: DonjonState, daemon_set: JsonObject) -> Iterator[str]:
    name = name_of(daemon_set)
    account = at(daemon_set, "spec", "template", "spec", "serviceAccountName")
    needs = (
        (here.accounts, "ServiceAccount", account if isinstance(account, str) else name),
        (here.roles, "ClusterRole", name),
        (here.role_bindings, "ClusterRoleBinding", name),
    )
    return (f"the {kind} {each}" for sight, kind, each in needs if not sight.problem and sight.thing(each) is None)
