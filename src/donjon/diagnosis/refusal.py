"""What to do about the refusal of a workload's pods, by whoever can: the words of whoever refused say who is at fault."""

import re
from collections.abc import Sequence

from donjon.admission.policies.enclaves import HOLD_HOOK, NOT_LOOKED_AT
from donjon.diagnosis.commands import change_job, cron_job_of, subject_of
from donjon.findings.codes import NOT_LOOKED_INTO, NOT_WIRED, UNJUDGED
from donjon.formats.json import JsonObject
from donjon.kube.names import DEVICES, EPC
from donjon.kube.objects import name_of, namespace_of
from donjon.kube.quantities import amount

_QUOTA = re.compile(r"exceeded quota: (?P<name>[-a-z0-9.]+),")
_AMOUNTS = re.compile(r"requested: (?P<asks>[^ ]{1,1000}), ?used: [^ ]{1,1000}, ?limited: (?P<limits>[^ ]{1,1000})$")
"""k8s.io/apiserver pkg/admission/plugin/resourcequota."""
_LIMIT_RANGE = re.compile(
    r"(?:(?P<bound>maximum|minimum) (?P<resource>[-./a-z0-9]{1,253}) usage per (?P<type>\w+) is (?P<amount>[\w.]{1,40}?)"
    r"(?:\. +No (?P<absent>limit|request) is specified|, but (?:limit|request) is)"
    r"|max limit to request ratio per \w+ is )"
)
"""k8s.io/kubernetes plugin/pkg/admission/limitranger."""
_ACCOUNT = re.compile(r'serviceaccount "(?P<name>[-.a-z0-9]{1,253})" not found')
"""k8s.io/kubernetes plugin/pkg/admission/serviceaccount."""
_UNHEARD = f'failed calling webhook "{HOLD_HOOK}"'
"""k8s.io/apiserver pkg/admission/plugin/webhook."""


def next_step(kind: str, workload: JsonObject, message: str, codes: Sequence[str]) -> str:
    """What to do about the refusal of a workload's pods."""
    own, namespace = subject_of(kind, workload), namespace_of(workload)
    if (quota := _QUOTA.search(message)) is not None:
        ending = "" if _is_beyond(message) else "end other pods of the namespace, or "
        return (
            f"{own} is right: have an administrator raise the ResourceQuota {quota['name']}, or {ending}"
            f"ask for less; kubectl describe resourcequota -n {namespace} {quota['name']}"
        )
    if (account := _ACCOUNT.search(message)) is not None:
        return (
            f"kubectl create serviceaccount -n {namespace} {account['name']}, after which the pods come by themselves; or, where "
            f"another is meant, {_change(kind, workload, 'in its serviceAccountName')}"
        )
    if (bound := _LIMIT_RANGE.search(message)) is not None:
        return _about_limit_range(kind, workload, bound)
    if NOT_WIRED.intersection(codes):
        return (
            f"where it says that the pod is not wired, {own} is right, and what wires pods is away: have an administrator "
            "run donjon status, which says what to bring back; else change it as the refusal says; "
            f"donjon explain {codes[0]} says more"
        )
    if UNJUDGED.intersection(codes) or _UNHEARD in message:
        return (
            f"{own} is right, and what admits by an enclave's identity did not look at it: its controller tries again by itself; "
            "where that stays so, have an administrator run donjon status, which says whether it is down; "
            f"donjon explain {next((each for each in codes if each in UNJUDGED), NOT_LOOKED_AT)} says more"
        )
    if NOT_LOOKED_INTO.intersection(codes):
        return (
            f"where an image's name is mistyped, {_change(kind, workload, 'with the right one')}; else {own} is right, "
            "and its pods come once the registry answers Donjon, which asks with the chart's own login, not with the pod's; "
            f"donjon explain {codes[0]} says more"
        )
    how = _change(kind, workload, "as the refusal says")
    return f"{how}{f'; donjon explain {codes[0]} says more' if codes else ''}"


def _about_limit_range(kind: str, workload: JsonObject, bound: re.Match[str]) -> str:
    """A LimitRange is an administrator's, and refuses what asks for nothing as well as what asks for too much."""
    own, namespace = subject_of(kind, workload), namespace_of(workload)
    look = f"kubectl describe limitrange -n {namespace}"
    if bound["absent"] and bound["resource"] in {EPC, *DEVICES}:
        return (
            f"{own} is right where it is to make no enclave: a LimitRange of namespace {namespace} refuses every pod that asks "
            f"for none; have an administrator take it away, or bring {own} to another namespace; {look}"
        )
    if bound["absent"]:
        step = _change(kind, workload, f"so that its containers have a {bound['absent']} of {bound['resource']}")
    elif bound["bound"]:
        most = "at most" if bound["bound"] == "maximum" else "at least"
        step = _change(kind, workload, f"so that a {bound['type'].lower()} of it asks for {most} {bound['amount']}")
    else:
        step = _change(kind, workload, "as the refusal says")
    return f"{step}; or have an administrator change the LimitRange of namespace {namespace} that says so: {look}"


def _change(kind: str, workload: JsonObject, how: str) -> str:
    """What is to be changed where a workload is at fault: of a Job the template is fixed, and a CronJob makes its own."""
    if kind != "Job":
        return f"change {subject_of(kind, workload)} {how}, and apply it again"
    return change_job(namespace_of(workload), name_of(workload), cron_job_of(workload), f" {how}")


def _is_beyond(message: str) -> bool:
    """Whether what was asked for is more than a quota's whole limit, so that nothing that ends makes room for it."""
    parts = _AMOUNTS.search(message)
    if parts is None:
        return False
    asks, limits = (dict(each.partition("=")[::2] for each in parts[name].split(",")) for name in ("asks", "limits"))
    return any(
        (of := amount(text)) is not None and (most := amount(limits.get(name))) is not None and of > most
        for name, text in asks.items()
    )
