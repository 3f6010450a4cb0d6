"""The answer to why a pod or workload does not run: what it is made from, what it says, and what it says that it cannot tell."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from shlex import quote

from donjon.diagnosis.commands import subject_of
from donjon.findings import Finding, is_refusal
from donjon.fleet.placement import NodeView
from donjon.formats.json import JsonObject
from donjon.formats.words import recite
from donjon.kube.epc_report import ContainerEpc, EpcReport
from donjon.sgx.epc import EpcSource

_USER = re.compile(r'\bUser "([^"]{1,253})"')
"""k8s.io/apiserver pkg/endpoints/handlers/responsewriters: whom a refusal is for."""
_SERVICE_ACCOUNT = re.compile(r"system:serviceaccount:([-a-z0-9]+):([-.a-z0-9]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterState:
    """What is known of the cluster."""

    moment: datetime  # of this state
    nodes: tuple[JsonObject, ...]
    pods: tuple[JsonObject, ...]
    events: tuple[JsonObject, ...]
    no_nodes: str = ""  # why the nodes could not be read
    own_pods_only: str = ""  # why the pods of other namespaces could not be read
    reports: tuple[EpcReport, ...] = ()  # of those nodes' meters that were heard


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The answer to why a pod or workload does not run: a verdict, its reasons and the next step."""

    subject: str  # "pod shop/app"
    verdict: str  # what goes on, after the subject
    well: bool  # it runs and holds its device, or ended well
    findings: tuple[Finding, ...] = ()
    nodes: tuple[NodeView, ...] = ()
    scheduler: str = ""  # the scheduler's own words
    epc: tuple[ContainerEpc, ...] = ()  # what its containers hold, where its node's meter was heard
    epc_source: EpcSource | None = None  # `None` where it was not
    otherwise: str = ""  # the next step where no finding has one

    @property
    def next_step(self) -> str:
        """What to do first, empty where there is nothing to do."""
        return next((finding.do for finding in self.findings if finding.do), self.otherwise)


def conclude(
    pod: JsonObject,
    verdict: str,
    findings: Iterable[Finding] = (),
    *,
    well: bool = False,
    scheduler: str = "",
    otherwise: str = "",
) -> Explanation:
    """The answer about a pod, well only where no finding says no."""
    reasons = tuple(findings)
    return Explanation(
        subject=subject_of("pod", pod),
        verdict=verdict,
        well=well and not is_refusal(reasons),
        findings=reasons,
        scheduler=scheduler,
        otherwise=otherwise,
    )


def unseen(no_nodes: str, own_pods_only: str = "") -> Iterator[Finding]:
    """What this account may not see, and what is missing from the answer for it."""
    missing = [
        (problem, why)
        for problem, why in (
            (no_nodes, "nobody can tell from here what is the matter with a node"),
            (own_pods_only, "what the pods of other namespaces hold is not counted: less may be free than is shown"),
        )
        if problem
    ]
    if missing:
        yield Finding.warning(
            "DJ139",
            "this account",
            f"may not read all of the cluster: {'; '.join(recite(problem) for problem, _ in missing)}",
            "; ".join(why for _, why in missing),
            "have an administrator run donjon why, or give you the chart's ClusterRole donjon-why: kubectl create "
            f"clusterrolebinding donjon-why --clusterrole=donjon-why {_account(missing[0][0])}",
        )


def _account(problem: str) -> str:
    """The account that the API server refused, as kubectl takes it."""
    user = _USER.search(problem)
    if user is None:
        return "--user=NAME"
    if (account := _SERVICE_ACCOUNT.fullmatch(user[1])) is not None:
        return f"--serviceaccount={account[1]}:{account[2]}"
    return f"--user={quote(user[1])}"
