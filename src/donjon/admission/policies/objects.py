"""The shape of the API server's policy objects (admissionregistration.k8s.io/v1), and what is the same in all of ours."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from donjon.formats.json import Json, JsonObject
from donjon.kube.names import LABEL_NAME, OURS

API_VERSION = "admissionregistration.k8s.io/v1"
LABELS: Mapping[str, str] = {LABEL_NAME: OURS}
PODS: JsonObject = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}


class PolicyKind(StrEnum):
    """The two kinds of policy; a binding's kind adds `Binding`."""

    MUTATING = "MutatingAdmissionPolicy"
    VALIDATING = "ValidatingAdmissionPolicy"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionPolicy:
    """What a policy looks at, and when it is asked at all."""

    kind: PolicyKind
    name: str
    matches: tuple[JsonObject, ...]
    conditions: Mapping[str, str]
    variables: Mapping[str, str]
    must_answer: bool  # whether a request is refused when the policy fails to evaluate


def policy(about: AdmissionPolicy, spec: JsonObject) -> JsonObject:
    """The policy object, with what its kind adds to the spec."""
    return {
        "apiVersion": API_VERSION,
        "kind": str(about.kind),
        "metadata": _metadata(about.name),
        "spec": {
            "failurePolicy": "Fail" if about.must_answer else "Ignore",
            "matchConstraints": _constraints(about.matches),
            "matchConditions": [_expression_entry(name, expression) for name, expression in about.conditions.items()],
            "variables": [_expression_entry(name, expression) for name, expression in about.variables.items()],
            **spec,
        },
    }


def binding(about: AdmissionPolicy, *actions: str) -> JsonObject:
    """The object that puts a policy in force; a mutating one knows no actions."""
    validation: JsonObject = {"validationActions": list(actions)} if actions else {}
    return {
        "apiVersion": API_VERSION,
        "kind": f"{about.kind}Binding",
        "metadata": _metadata(about.name),
        "spec": {"policyName": about.name, **validation},
    }


def _constraints(matches: tuple[JsonObject, ...]) -> Json:
    """What is looked at, with all that the API server would fill in.

    This part of a policy has one owner as a whole. Where somebody made the policy again by hand, an upgrade that left the
    defaults out would say something else than what stands there, which Helm refuses as another's.
    """
    rules: list[Json] = [{**each, "scope": "*"} for each in matches]
    return {"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}, "resourceRules": rules}


def _metadata(name: str) -> Json:
    return {"name": name, "labels": dict(LABELS)}


def _expression_entry(name: str, expression: str) -> Json:
    return {"name": name, "expression": expression}
