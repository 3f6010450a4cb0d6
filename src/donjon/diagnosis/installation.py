"""What is to be known of Donjon in a cluster to say whether it works, as its user may see it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from donjon.admission.policies.all import DEFAULT_ACCOUNT, DEFAULT_PREFIX
from donjon.findings import Finding, codes, is_refusal
from donjon.formats.json import JsonObject, at, objects
from donjon.formats.words import recite
from donjon.kube.names import ENCLAVE, EPC, FAQ_EPC, LABEL_COMPONENT
from donjon.kube.objects import labels_of, name_of

NODE, ADMISSION, ENCLAVES, ATTESTATION, METRICS = "node", "admission", "enclaves", "attestation", "metrics"
"""The chart's components, as its labels name them."""

AGENTS_POLICY = f"{DEFAULT_PREFIX}-node-agent"
_ACCOUNT = re.compile(rf"system:serviceaccount:(?P<namespace>[a-z0-9-]{{1,63}}):{DEFAULT_ACCOUNT.name}\b")

_RESTRICTED: JsonObject = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""As the strictest pod security standard wants it."""


def _probe(limits: JsonObject, spec: JsonObject) -> JsonObject:
    small: JsonObject = {"cpu": "1m", "memory": "1Mi"}
    container: JsonObject = {
        "name": "probe",
        "image": "none",
        "resources": {"limits": {**small, **limits}, "requests": {**small}},
        "securityContext": _RESTRICTED,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "donjon-probe-"},
        "spec": {"containers": [container], **spec},
    }


TO_WIRE = _probe({FAQ_EPC: "1"}, {})
"""A pod that must come out with bytes of EPC and its device."""
TO_REFUSE = _probe({EPC: "1Mi", ENCLAVE: "1"}, {"nodeName": "donjon-probe"})
"""A pod that must be refused, whatever wires pods and whatever its namespace may do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """Things of one kind, or why they could not be read."""

    things: tuple[JsonObject, ...] = ()
    problem: str = ""

    def __iter__(self) -> Iterator[JsonObject]:
        return iter(self.things)

    def thing(self, name: str) -> JsonObject | None:
        """The thing of that name, `None` where it is not there."""
        return next((each for each in self.things if name_of(each) == name), None)

    def of(self, component: str) -> tuple[JsonObject, ...]:
        """Those of a component of the chart."""
        return tuple(each for each in self.things if labels_of(each).get(LABEL_COMPONENT) == component)

    def first(self, component: str) -> JsonObject | None:
        """The component's one workload; `None` where it has none."""
        return next(iter(self.of(component)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What became of a pod that was tried by a dry run: as it would be made, or who refused it."""

    pod: JsonObject | None = None
    refusal: str = ""

    @property
    def codes(self) -> frozenset[str]:
        """Ours in the refusal; none where another refused it, such as a quota, or the user's rights."""
        return codes.codes_in(self.refusal)

    @property
    def is_telling(self) -> bool:
        """Whether it tells anything of Donjon."""
        return self.pod is not None or bool(self.codes)

    @property
    def limits(self) -> JsonObject:
        """Of the pod's one container."""
        containers = objects(at(self.pod, "spec", "containers"))
        limits = at(containers[0], "resources", "limits") if containers else None
        return limits if isinstance(limits, dict) else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class DonjonState:
    """Donjon in a cluster."""

    moment: datetime
    client_version: str
    server_version: str  # of the API server, such as v1.36.2
    namespace: str  # in which pods were tried
    home: str  # the namespace in which Donjon is
    wiring: Trial
    refusing: Trial
    nodes: Sight
    daemon_sets: Sight  # these and the next two: Donjon's alone, in its home
    deployments: Sight
    pods: Sight
    policies: Sight  # ValidatingAdmissionPolicy
    bindings: Sight
    mutating_policies: Sight
    mutating_bindings: Sight
    webhooks: Sight
    accounts: Sight  # Donjon's in its home; with the next two, what gives the agents their rights
    roles: Sight
    role_bindings: Sight
    readiness: Mapping[str, str]  # what pods of ours say of themselves, by their names
    meters: Mapping[str, str] = field(default_factory=dict)  # why a meter that was asked has no report, by node


def home(policies: Sight, webhooks: Sight) -> str:
    """The namespace in which Donjon is, by what only an administrator may write; labels are anybody's."""
    text = str(at(policies.thing(AGENTS_POLICY), "spec", "matchConditions"))
    if (account := _ACCOUNT.search(text)) is not None:
        return account["namespace"]
    hooks = objects(at(webhooks.thing(DEFAULT_PREFIX), "webhooks"))
    place = at(hooks[0], "clientConfig", "service", "namespace") if hooks else None
    return place if isinstance(place, str) else DEFAULT_ACCOUNT.namespace


class RowState(StrEnum):
    """How one thing of an installation is."""

    WELL = "well"
    WRONG = "wrong"
    DOUBTFUL = "doubtful"  # worth a look, and no reason to call the whole not well
    UNKNOWN = "not seen"
    ABSENT = "not installed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One thing of a part: what it is called, how it is, and in words."""

    name: str
    state: RowState
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusPart:
    """A part of the installation: its rows, what is the matter, and what the verdict says of it where all is well."""

    name: str
    rows: tuple[Row, ...]
    findings: tuple[Finding, ...] = ()
    summary: str = ""

    @property
    def well(self) -> bool:
        """Whether nothing is wrong with it."""
        return not is_refusal(self.findings)


def unseen(name: str, *sights: Sight) -> StatusPart | None:
    """The part of which the account may not see all; `None` where it may."""
    problem = recite(next((each.problem for each in sights if each.problem), ""))
    if not problem:
        return None
    finding = Finding.warning(
        "DJ139",
        "this account",
        f"may not see the {name}: {problem}",
        "nothing can be told of them from here",
        "have someone who administers the cluster run donjon status",
    )
    return StatusPart(name=name, rows=(Row(name=name, state=RowState.UNKNOWN, words=problem),), findings=(finding,))
