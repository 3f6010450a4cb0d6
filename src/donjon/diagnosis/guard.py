"""Whether pods are wired and refused as they must be: by trying, and by what the chart put into the API server.

Left out: how an object is compared with what was printed, which is the same for the agents (`admission.policies.gaps`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from donjon.admission.policies.all import DEFAULT_PREFIX
from donjon.admission.policies.gaps import bring_back, gap
from donjon.admission.policies.guard import AGENT, ChartValues, GuardExtent, chart_values
from donjon.admission.policies.guard import guard as printed
from donjon.diagnosis.installation import ADMISSION, DonjonState, Row, RowState, Sight, StatusPart, Trial, unseen
from donjon.findings import Finding, Severity
from donjon.findings.codes import BY_HAND, GUARD_UNKNOWN, NOT_WIRED
from donjon.formats.json import at
from donjon.formats.words import recite
from donjon.kube.names import ENCLAVE, EPC

_REFUSES, _WIRES = f"{DEFAULT_PREFIX}-refuse", DEFAULT_PREFIX


def guard(here: DonjonState) -> StatusPart:
    """The policies: what was tried, then each object of the chart's, by its name."""
    chart = _comparable(here)
    gaps = dict(_gaps(here, chart)) if chart is not None else {}
    trials = () if extent(here) is GuardExtent.ACCOUNTS else (_refusing_row(here), _wiring_row(here))
    hidden = unseen("policies", here.policies, here.bindings, here.mutating_policies, here.mutating_bindings, here.webhooks)
    rows = hidden.rows if hidden else tuple(_rows(chart, gaps)) if chart is not None else (_not_compared_row(here),)
    failures = tuple(_not_working(here, chart, gaps)) if trials else ()
    return StatusPart(
        name="policies",
        rows=(*trials, *rows) if trials else (_OFF, *rows),
        findings=(*gaps.values(), *failures, *_of_another_version(here), *(hidden.findings if hidden else ())),
        summary=_summary(here) if trials else "",
    )


def extent(here: DonjonState) -> GuardExtent | None:
    """What the chart put into the API server: by its own word, otherwise by what is there of the webhook.

    `None` where neither can be seen.
    """
    if (chart := _chart(here)) is not None:
        return chart.extent
    if here.webhooks.thing(DEFAULT_PREFIX) is not None or here.deployments.of(ADMISSION):
        return GuardExtent.WEBHOOK
    return None if here.mutating_policies.problem or here.webhooks.problem else GuardExtent.POLICIES


_OFF = Row(name="for pods", state=RowState.ABSENT, words="the chart's value admission.enabled is false")


def _chart(here: DonjonState) -> ChartValues | None:
    return chart_values(here.daemon_sets.thing(AGENT) or {})


def _comparable(here: DonjonState) -> ChartValues | None:
    """The chart's values, where it is of this program's version: each version prints the policies in its own way."""
    chart = _chart(here)
    return chart if chart is not None and chart.version == here.client_version else None


def _gaps(here: DonjonState, chart: ChartValues) -> Iterator[tuple[str, Finding]]:
    """What is amiss, by the object's kind and name; of kinds that may not be seen nothing is told."""
    sights = _sights(here)
    for name, original in printed(chart).items():
        kind, _, own_name = name.partition("/")
        if sights[kind].problem:
            continue
        finding = gap(name, original, sights[kind].thing(own_name), recite(chart.namespace))
        if finding is not None:
            yield name, replace(finding, severity=Severity.ERROR)


def _sights(here: DonjonState) -> Mapping[str, Sight]:
    return {
        "ValidatingAdmissionPolicy": here.policies,
        "ValidatingAdmissionPolicyBinding": here.bindings,
        "MutatingAdmissionPolicy": here.mutating_policies,
        "MutatingAdmissionPolicyBinding": here.mutating_bindings,
        "MutatingWebhookConfiguration": here.webhooks,
    }


def _rows(chart: ChartValues, gaps: Mapping[str, Finding]) -> Iterator[Row]:
    """One for a policy and its binding, which have one name."""
    for name in dict.fromkeys(each.partition("/")[2] for each in printed(chart)):
        own = [f"{each.subject}: {each.observation}" for each in _of(name, gaps)]
        state = RowState.WRONG if own else RowState.WELL
        yield Row(name=f"{name} (wires)" if name == _WIRES else name, state=state, words="; ".join(own) or "as it was printed")


def _of(name: str, gaps: Mapping[str, Finding]) -> list[Finding]:
    return [finding for key, finding in gaps.items() if key.partition("/")[2] == name]


def _not_compared_row(here: DonjonState) -> Row:
    chart = _chart(here)
    words = (
        f"the DaemonSet {AGENT} does not say how they were printed" if chart is None else f"the chart is {recite(chart.version)}"
    )
    return Row(name="objects", state=RowState.UNKNOWN, words=f"not compared: {words}")


def _of_another_version(here: DonjonState) -> Iterator[Finding]:
    chart = _chart(here)
    if chart is not None and chart.version != here.client_version:
        yield Finding.warning(
            GUARD_UNKNOWN,
            "policies",
            f"this program is {here.client_version}, the chart {recite(chart.version)}: each prints them in its own way",
            "they were tried, and not compared with what was printed",
            "use the donjon of the cluster's version; the agents compare, too: "
            "kubectl get events -n default --field-selector reason=GuardGap",
        )


def _refusing_row(here: DonjonState) -> Row:
    return _trial_row("refuses", "a pod that names its node is refused", here.refusing, here.namespace, works=_refuses(here))


def _wiring_row(here: DonjonState) -> Row:
    return _trial_row(
        "wires", "a pod that asks in MiB gets bytes and its device", here.wiring, here.namespace, works=_wires(here)
    )


def _trial_row(name: str, promise: str, trial: Trial, where: str, *, works: bool | None) -> Row:
    if works is None:
        return Row(name=name, state=RowState.UNKNOWN, words=f"not tried: {recite(trial.refusal)}")
    words = f"tried in namespace {where}: {promise}"
    return Row(name=name, state=RowState.WELL if works else RowState.WRONG, words=words if works else f"not so: {words}")


def _refuses(here: DonjonState) -> bool | None:
    if here.refusing.pod is not None:
        return False
    return True if BY_HAND in here.refusing.codes else None


def _wires(here: DonjonState) -> bool | None:
    if here.wiring.pod is not None:
        limits = here.wiring.limits
        return limits.get(EPC) == "1Mi" and limits.get(ENCLAVE) == "1"
    return False if NOT_WIRED & here.wiring.codes else None


def _summary(here: DonjonState) -> str:
    is_tried = None not in {_refuses(here), _wires(here)}
    how = f"tried in namespace {here.namespace}" if is_tried else "by what is there, not tried"
    return f"pods are wired and refused as they must be ({how})"


def _not_working(here: DonjonState, chart: ChartValues | None, gaps: Mapping[str, Finding]) -> Iterator[Finding]:
    """What the trials tell that no gap explains, and that nothing could be tried."""
    where = f"tried in namespace {here.namespace}"
    look = "see whether the API server runs with its admission plugin {}; what was made a moment ago takes up to a second"
    if _refuses(here) is False and not _of(_REFUSES, gaps):
        yield Finding.error(
            "DJ170",
            "policies",
            f"a pod that must be refused was let in ({where})",
            "pods get the provisioning key without a right, and run without the device that they asked for",
            look.format("ValidatingAdmissionPolicy") if chart is not None else bring_back(here.home),
        )
    if _wires(here) is False and not _of(_WIRES, gaps) and not _is_webhook_down(here):
        fate = "refused" if here.wiring.refusal else "let through as it came"
        plugin = look.format("MutatingAdmissionPolicy") if chart is not None else bring_back(here.home)
        webhook = f"see the webhook: kubectl -n {here.home} get pods,events"
        yield Finding.error(
            "DJ171",
            "policies",
            f"pods are not wired: a pod that asks was {fate} ({where})",
            "no new pod gets its enclave unless it asks for bytes of EPC and the device itself",
            webhook if extent(here) is GuardExtent.WEBHOOK else plugin,
        )
    yield from _not_tried(here)


def _is_webhook_down(here: DonjonState) -> bool:
    """Whether the webhook is what wires, and no replica of it is ready; then that is what is told."""
    if extent(here) is not GuardExtent.WEBHOOK or here.deployments.problem:
        return False
    return not any(at(each, "status", "readyReplicas") for each in here.deployments.of(ADMISSION))


def _not_tried(here: DonjonState) -> Iterator[Finding]:
    problems = [trial.refusal for trial, works in ((here.refusing, _refuses(here)), (here.wiring, _wires(here))) if works is None]
    if problems:
        yield Finding.warning(
            "DJ139",
            "this account",
            f"could not try a pod in namespace {here.namespace}: {recite(problems[0])}",
            "the policies are judged by what is there, and not by what they do",
            "name a namespace where you may create pods: --namespace NAME",
        )
