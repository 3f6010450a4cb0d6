"""The printed policies as the API server applies them, without a cluster: by Kubernetes' own code, built by the testbed."""

import json
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from testbed import binaries
from testbed.layout import here
from testbed.trouble import Lacking
from tests.admission.makers import member
from tests.admission.wiring import wiring

from donjon.admission.intent import read
from donjon.admission.manifests.api_server import complaints, complete
from donjon.admission.policies.all import DEFAULT_PREFIX, for_pods
from donjon.admission.predicates import RuleInput
from donjon.admission.reasons import reasons
from donjon.admission.settings import AdmissionContext, Settings
from donjon.admission.verdict import AdmissionVerdict, decide
from donjon.findings import Severity
from donjon.formats.json import Json, JsonObject, at
from donjon.kube.names import NODES

SECONDS = 300  # of a run that takes two, on a machine that does other things, too
NAMESPACE = "team"
_REFUSED = f"ValidatingAdmissionPolicy '{DEFAULT_PREFIX}-refuse' with binding '{DEFAULT_PREFIX}-refuse' denied request: "
_WARNED = "Validation failed for ValidatingAdmissionPolicy '{0}' with binding '{0}': "


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What was chosen in a cluster, and what its namespace says."""

    settings: Settings = field(default_factory=Settings)
    labels: Mapping[str, str] = field(default_factory=dict)
    by_kubelet: bool = False
    wires: bool = True  # whether the mutating policy is there

    @property
    def policies(self) -> tuple[JsonObject, ...]:
        """The policies printed for it."""
        printed = for_pods(DEFAULT_PREFIX, self.settings)
        return tuple(each for each in printed if self.wires or not str(each["kind"]).startswith("Mutating"))

    def around(self, made_by: str = "Pod") -> AdmissionContext:
        """The same for the Python rules."""
        return AdmissionContext(namespace=NAMESPACE, labels=self.labels, made_by=made_by, by_kubelet=self.by_kubelet)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What Kubernetes made of an object."""

    before: JsonObject  # with its defaults, as the first policy sees it
    after: JsonObject
    warnings: list[str]
    refusal: str

    @property
    def is_of_core(self) -> bool:
        """Whether Kubernetes refused it in words of its own, before any policy could."""
        return bool(self.refusal) and _REFUSED not in self.refusal


def program() -> str:
    """The path of the program, built where it is not; skips the test where it cannot be."""
    layout = here()
    try:
        binaries.ensure(layout, ("admission",))
    except Lacking as error:
        pytest.skip(f"needs Go and its modules: {error}")
    return str(layout.program("admission"))


def answers(
    path: str, world: World, objects: Iterable[tuple[str, JsonObject]], policies: Sequence[JsonObject] | None = None
) -> list[Answer]:
    """What becomes of objects, each with the plural of its kind, by the policies printed for that world or by others."""
    namespace: JsonObject = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": dict(world.labels)},
    }
    user: JsonObject = {"name": "someone", "groups": [NODES] if world.by_kubelet else []}
    requests: list[Json] = [
        {"namespace": NAMESPACE, "resource": plural, "user": user, "object": each} for plural, each in objects
    ]
    store: list[Json] = [*(policies or world.policies), namespace]
    text = json.dumps({"store": store, "requests": requests})
    environment = {**os.environ, "GOGC": "off", "GOMEMLIMIT": "512MiB"}  # It ends before it would be worth while to clean up.
    done = subprocess.run((path,), input=text, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [Answer(**each) for each in json.loads(done.stdout)]


def differences(world: World, pods: Sequence[JsonObject], found: Sequence[Answer]) -> Iterator[str]:
    """In what Kubernetes and the Python rules differ about pods, in their words or in the pod that comes out."""
    for pod, answer in zip(pods, found, strict=True):
        if answer.is_of_core:
            continue
        verdict = judge(world, answer.before)
        pairs = (
            ("refuses", answer.refusal.partition(_REFUSED)[2], "; ".join(sentences(verdict, Severity.ERROR))),
            ("warns", _without(answer.warnings, f"{DEFAULT_PREFIX}-warn"), sentences(verdict, Severity.WARNING)),
            ("makes", wiring(answer.after), wiring(verdict.admitted)),
            ("of the manifest", codes(judge(world, complete(pod))), codes(verdict)),
        )
        yield from (f"{name_of(pod)} {what}: {ours!r}, the rules: {theirs!r}" for what, ours, theirs in pairs if ours != theirs)


def judge(world: World, pod: JsonObject) -> AdmissionVerdict:
    """What the Python rules say of a pod."""
    if world.wires:
        return decide(pod, world.around(), world.settings)
    rule_input = RuleInput(intent=read(pod), original=read(pod), context=world.around(), settings=world.settings)
    return AdmissionVerdict(reasons=reasons(rule_input), patch=(), admitted=pod)


def differences_of_makers(world: World, kind: str, pods: Sequence[JsonObject], found: Sequence[Answer]) -> Iterator[str]:
    """In which codes the warnings about what makes pods differ from the Python rules' about those pods, once they are wired."""
    for pod, answer in zip(pods, found, strict=True):
        if complaints(pod):
            continue
        nameless = {name: value for name, value in member(pod, "metadata").items() if name != "name"}
        verdict = decide(complete({**pod, "metadata": nameless}), world.around(kind), world.settings)
        expected = [[each.code for each in verdict.findings if each.severity is which] for which in list(Severity)[:2]]
        refusal = [each for each in answer.warnings if f"the pods of this {kind} will be refused: " in each]
        warnings = [each for each in answer.warnings if each not in refusal]
        if (ours := [re.findall(r"\[(DJ\d+)\]", " ".join(each)) for each in (refusal, warnings)]) != expected:
            yield f"{kind} {name_of(pod)} warns: {ours!r}, the rules: {expected!r}"


def sentences(verdict: AdmissionVerdict, severity: Severity) -> list[str]:
    """The words of the rules of that severity that hold."""
    return [finding.sentence() for finding in verdict.findings if finding.severity is severity]


def codes(verdict: AdmissionVerdict) -> list[str]:
    """The codes of all rules that hold."""
    return [finding.code for finding in verdict.findings]


def _without(warnings: Iterable[str], policy: str) -> list[str]:
    return [each.removeprefix(_WARNED.format(policy)) for each in warnings]


def name_of(thing: JsonObject) -> str:
    """Its name."""
    return str(at(thing, "metadata", "name"))
