"""Whether pods are wired and refused as they must be: by trying, and by the policies and bindings that are there."""

from collections.abc import Iterator
from dataclasses import dataclass

from donjon.admission.policies.all import (
    DEFAULT_ACCOUNT,
    DEFAULT_CLEANUP,
    DEFAULT_PREFIX,
    for_the_cleanup,
    for_the_node_agent,
    to_refuse,
)
from donjon.admission.policies.wiring import wire
from donjon.admission.settings import Settings
from donjon.diagnosis.installation import (
    ADMISSION,
    AGENTS_POLICY,
    NODE,
    DonjonState,
    Row,
    Sight,
    State,
    StatusPart,
    Trial,
    unseen,
)
from donjon.findings import Finding
from donjon.findings.codes import BY_HAND, NOT_WIRED
from donjon.formats.json import Json, JsonObject, at
from donjon.kube.names import ANNOTATION_ADMISSION, ENCLAVE, EPC

POLICIES, WEBHOOK, OFF = "policies", "webhook", "off"
DENY = "Deny"
REFUSING = f"{DEFAULT_PREFIX}-refuse"
MUTATING = "MutatingAdmissionPolicy"
_BRING_BACK = (
    "have an administrator of the cluster bring it back: helm get manifest donjon -n {namespace} | "
    "kubectl apply --server-side --field-manager=helm -f -"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lack:
    """An object that is not as the chart has it."""

    name: str
    words: str


def guard(here: DonjonState) -> StatusPart:
    """The policies: what was tried, then each policy with its binding."""
    lacks = tuple(_lacks(here))
    hidden = unseen("policies", here.policies, here.bindings, here.mutating_policies, here.mutating_bindings, here.webhooks)
    rows = hidden.rows if hidden else tuple(_row(each, lacks) for each in _pairs(here))
    if wired_by(here) == OFF:
        off = Row(name="for pods", state=State.ABSENT, words="the chart's value admission.enabled is false")
        findings: tuple[Finding, ...] = tuple(_other(here, lacks))
        return StatusPart(name="policies", rows=(off, *rows), findings=(*findings, *(hidden.findings if hidden else ())))
    trials = (
        _trial_row("refuses", "a pod that names its node is refused", here.refusing, here.namespace, works=_refuses(here)),
        _trial_row("wires", "a pod that asks in MiB gets bytes and its device", here.wiring, here.namespace, works=_wires(here)),
    )
    findings = (*_not_refusing(here, lacks), *_not_wiring(here, lacks), *_other(here, lacks), *_not_tried(here))
    well = None not in {_refuses(here), _wires(here)}
    how = f"tried in namespace {here.namespace}" if well else "by what is there, not tried"
    return StatusPart(
        name="policies",
        rows=(*trials, *rows),
        findings=(*findings, *(hidden.findings if hidden else ())),
        summary=f"pods are wired and refused as they must be ({how})",
    )


def wired_by(here: DonjonState) -> str:
    """What is to wire pods: `policies`, `webhook`, or `off`; by the chart's own word, otherwise by what is there of it.

    Empty where neither can be seen.
    """
    chart = next((at(each, "metadata", "annotations", ANNOTATION_ADMISSION) for each in here.daemon_sets.of(NODE)), None)
    if isinstance(chart, str):
        return chart
    if here.webhooks.thing(DEFAULT_PREFIX) is not None or here.deployments.of(ADMISSION):
        return WEBHOOK
    return "" if here.mutating_policies.problem or here.webhooks.problem else POLICIES


def is_webhook_down(here: DonjonState) -> bool:
    """Whether the webhook is what wires, and no replica of it is ready."""
    if wired_by(here) != WEBHOOK or here.deployments.problem:
        return False
    return not any(at(each, "status", "readyReplicas") for each in here.deployments.of(ADMISSION))


def _pairs(here: DonjonState) -> Iterator[tuple[JsonObject, ...]]:
    """Each policy that there should be, with its binding; of the agents' own only where there are agents."""
    mode = wired_by(here)
    expected = () if mode == OFF else to_refuse(DEFAULT_PREFIX, Settings())
    if mode == POLICIES:
        expected = (*wire(DEFAULT_PREFIX), *expected)
    if here.daemon_sets.of(NODE) or here.policies.thing(AGENTS_POLICY):
        ours = (*for_the_node_agent(DEFAULT_PREFIX, DEFAULT_ACCOUNT), *for_the_cleanup(DEFAULT_PREFIX, DEFAULT_CLEANUP))
        expected = (*expected, *ours)
    by_name: dict[str, list[JsonObject]] = {}
    for each in expected:
        by_name.setdefault(str(at(each, "metadata", "name")), []).append(each)
    yield from map(tuple, by_name.values())


def _lacks(here: DonjonState) -> Iterator[_Lack]:
    if wired_by(here) == WEBHOOK and not here.webhooks.problem and here.webhooks.thing(DEFAULT_PREFIX) is None:
        yield _Lack(name=DEFAULT_PREFIX, words=f"MutatingWebhookConfiguration {DEFAULT_PREFIX} is gone")
    for pair in _pairs(here):
        for expected in pair:
            kind, name = str(expected["kind"]), str(at(expected, "metadata", "name"))
            sight = _sight(here, kind)
            if not sight.problem and (words := _difference(expected, sight.thing(name))):
                yield _Lack(name=name, words=f"{kind} {name} {words}")


def _difference(expected: JsonObject, there: JsonObject | None) -> str:
    """What is amiss with a policy or binding; of a policy's own text nothing is told, since values change it."""
    if there is None:
        return "is gone"
    if not str(expected["kind"]).endswith("Binding"):
        return ""
    if at(there, "spec", "policyName") != at(expected, "spec", "policyName"):
        return f"binds {at(there, 'spec', 'policyName')}"
    if DENY in _texts(at(expected, "spec", "validationActions")) and DENY not in _texts(at(there, "spec", "validationActions")):
        return f"does not {DENY}"
    narrow = [field for field in _fields(at(there, "spec", "matchResources")) if field != "matchPolicy"]
    return f"is narrowed by its {', '.join(narrow)}" if narrow else ""


def _row(pair: tuple[JsonObject, ...], lacks: tuple[_Lack, ...]) -> Row:
    name = str(at(pair[0], "metadata", "name"))
    own = [each.words for each in lacks if each.name == name]
    words = "; ".join(own) or "policy and binding are there"
    label = f"{name} (wires)" if str(pair[0]["kind"]) == MUTATING else name
    return Row(name=label, state=State.WRONG if own else State.WELL, words=words)


def _trial_row(name: str, promise: str, trial: Trial, where: str, *, works: bool | None) -> Row:
    if works is None:
        return Row(name=name, state=State.UNKNOWN, words=f"not tried: {trial.refusal}")
    words = f"tried in namespace {where}: {promise}"
    return Row(name=name, state=State.WELL if works else State.WRONG, words=words if works else f"not so: {words}")


def _refuses(here: DonjonState) -> bool | None:
    if here.refusing.pod is not None:
        return False
    return True if BY_HAND in here.refusing.codes else None


def _wires(here: DonjonState) -> bool | None:
    if here.wiring.pod is not None:
        limits = here.wiring.limits
        return limits.get(EPC) == "1Mi" and limits.get(ENCLAVE) == "1"
    return False if NOT_WIRED & here.wiring.codes else None


def _not_refusing(here: DonjonState, lacks: tuple[_Lack, ...]) -> Iterator[Finding]:
    own, works = _own(lacks, REFUSING), _refuses(here)
    if works is not False and not own:
        return
    trial = f"a pod that must be refused was let in (tried in namespace {here.namespace})" if works is False else ""
    yield Finding.error(
        "DJ170",
        "policies",
        "; ".join(filter(None, (own, trial))) or "nothing is refused",
        "pods get the provisioning key without a right, and run without the device that they asked for",
        _BRING_BACK.format(namespace=here.home),
    )


def _not_wiring(here: DonjonState, lacks: tuple[_Lack, ...]) -> Iterator[Finding]:
    own, works = _own(lacks, DEFAULT_PREFIX), _wires(here)
    if (works is not False or is_webhook_down(here)) and not own:
        return  # Where the webhook is down, that is what is told.
    if wired_by(here) == WEBHOOK and not own:
        do = f"see the webhook: kubectl -n {here.home} get pods,events"
    else:
        do = _BRING_BACK.format(namespace=here.home)
    fate = "refused" if here.wiring.refusal else "let through as it came"
    trial = f"a pod that asks was {fate} (tried in namespace {here.namespace})" if works is False else ""
    yield Finding.error(
        "DJ171",
        "policies",
        f"pods are not wired: {'; '.join(filter(None, (own, trial)))}",
        "no new pod gets its enclave unless it asks for bytes of EPC and the device itself",
        do,
    )


def _other(here: DonjonState, lacks: tuple[_Lack, ...]) -> Iterator[Finding]:
    words = "; ".join(each.words for each in lacks if each.name not in {REFUSING, DEFAULT_PREFIX})
    if words:
        yield Finding.error(
            "DJ172",
            "policies",
            words,
            "what that policy is to refuse or to warn of passes unseen",
            _BRING_BACK.format(namespace=here.home).replace("bring it back", "bring back what is gone"),
        )


def _not_tried(here: DonjonState) -> Iterator[Finding]:
    problems = [trial.refusal for trial, works in ((here.refusing, _refuses(here)), (here.wiring, _wires(here))) if works is None]
    if problems:
        yield Finding.warning(
            "DJ139",
            "this account",
            f"could not try a pod in namespace {here.namespace}: {problems[0]}",
            "the policies are judged by what is there, and not by what they do",
            "name a namespace where you may create pods: --namespace NAME",
        )


def _own(lacks: tuple[_Lack, ...], name: str) -> str:
    return "; ".join(each.words for each in lacks if each.name == name)


def _sight(here: DonjonState, kind: str) -> Sight:
    return {
        "ValidatingAdmissionPolicy": here.policies,
        "ValidatingAdmissionPolicyBinding": here.bindings,
        MUTATING: here.mutating_policies,
        f"{MUTATING}Binding": here.mutating_bindings,
    }[kind]


def _texts(value: Json) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else []


def _fields(value: Json) -> list[str]:
    return [name for name, each in value.items() if each] if isinstance(value, dict) else []
