"""Whether Donjon works in a cluster: its parts one by one, what is wrong first, and one line for all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from donjon.admission.policies.all import DEFAULT_PREFIX
from donjon.diagnosis.agents import agents
from donjon.diagnosis.guard import guard
from donjon.diagnosis.installation import DonjonState, RowState, StatusPart
from donjon.diagnosis.meters import meters
from donjon.diagnosis.nodes import nodes
from donjon.diagnosis.programs import attestation, enclave_admission, metrics_server, webhook
from donjon.diagnosis.remains import remains
from donjon.diagnosis.versions import versions
from donjon.findings import Finding, Severity, is_refusal
from donjon.findings.codes import NOT_INSTALLED, UNINSTALL_BEGUN

PARTS: tuple[Callable[[DonjonState], StatusPart | None], ...] = (
    guard,
    webhook,
    enclave_admission,
    agents,
    meters,
    nodes,
    attestation,
    metrics_server,
    versions,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The answer: one line, what is the matter, worst first, and every part."""

    well: bool  # nothing is wrong; what could not be seen is not, and is told as a warning
    verdict: str
    findings: tuple[Finding, ...]
    parts: tuple[StatusPart, ...]


def judge(here: DonjonState) -> Status:
    """The status of an installation."""
    left = remains(here)
    is_whole = _is_there(here) and not left
    parts = tuple(part for look in PARTS if (part := look(here)) is not None) if is_whole else ()
    findings = tuple(finding for part in parts for finding in part.findings) if parts else left or (_nothing(here),)
    order = list(Severity)
    worst_first = tuple(
        sorted(dict.fromkeys(findings), key=lambda each: (order.index(each.severity), each.code != UNINSTALL_BEGUN))
    )
    return Status(well=not is_refusal(findings), verdict=_verdict(worst_first, parts), findings=worst_first, parts=parts)


def _verdict(findings: Sequence[Finding], parts: Sequence[StatusPart]) -> str:
    errors = [each for each in findings if each.severity is Severity.ERROR]
    if errors:
        more = f"; and {len(errors) - 1} more" if errors[1:] else ""
        return f"not well: {errors[0].subject}: {errors[0].observation}{more}"
    hidden = [part.name for part in parts if any(row.state is RowState.UNKNOWN for row in part.rows)]
    words = ", ".join(each.summary for each in parts if each.summary)
    return f"well: {words}{'; not seen: ' if hidden else ''}{', '.join(hidden)}"


def _is_there(here: DonjonState) -> bool:
    """Whether anything of Donjon is there, or might be where it cannot be seen."""
    workloads, guard_kinds = (here.daemon_sets, here.deployments), (here.policies, here.mutating_policies, here.webhooks)
    ours = any(each.thing(DEFAULT_PREFIX) or each.thing(f"{DEFAULT_PREFIX}-refuse") for each in guard_kinds)
    is_hidden = any(each.problem for each in (*workloads, *guard_kinds))
    return ours or is_hidden or any(each.things for each in workloads) or bool(here.refusing.codes)


def _nothing(here: DonjonState) -> Finding:
    return Finding.error(
        NOT_INSTALLED,
        "cluster",
        f"nothing of Donjon is there (looked for its DaemonSet and its policies; the API server is {here.server_version})",
        "no node offers EPC, and no pod is wired or refused",
        f"have an administrator of the cluster install it: donjon explain {NOT_INSTALLED}",
    )
