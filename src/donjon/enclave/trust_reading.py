"""A policy on enclaves as Kubernetes has it, read into values; every fault of it is said at once.

The schemas in the chart (`deploy/chart/files/crds`) say the same to the API server; `tests/enclave/trust_documents.py` holds both
to it.
"""

import re
from collections.abc import Mapping
from typing import Any

from donjon.enclave.trust import (
    MAX_ISV,
    MAX_KEYS,
    MAX_MEASUREMENTS,
    MAX_NAME,
    MAX_PATTERN,
    MAX_PATTERNS,
    MAX_PEM,
    MAX_SIGNERS,
    ContainerKey,
    DebugRule,
    EnclaveTrust,
    TrustAnswer,
    TrustMeasurement,
    TrustMode,
    TrustSigner,
)
from donjon.enclave.trust_scope import MAX_LABELS, MAX_VALUES, EnclavePolicy, LabelRule, NamespaceSelector, SelectorOperator
from donjon.errors import Malformed
from donjon.formats.fields import NamedField, Reader, items, octets, record, text, together, whole, word
from donjon.formats.json import Json, JsonObject, at
from donjon.formats.words import excerpt
from donjon.kube.names import CLUSTER_ENCLAVE_POLICY, ENCLAVE_POLICY, POLICY_VERSION

_NAME = text(re.compile(r"[A-Za-z0-9]([A-Za-z0-9 ._-]*[A-Za-z0-9])?"), f"a name of up to {MAX_NAME} letters and digits", MAX_NAME)
_PATTERN = text(
    re.compile(r"[a-z0-9*][a-z0-9._:/*-]*"),
    f"up to {MAX_PATTERN} characters of an image's name, such as registry.example/team/*",
    MAX_PATTERN,
)
_PEM = text(
    re.compile(r"-----BEGIN PUBLIC KEY-----\n([A-Za-z0-9+/=]+\n)+-----END PUBLIC KEY-----\n?"),
    f"a public key in PEM, of up to {MAX_PEM} characters",
    MAX_PEM,
)
_HASH = octets(32)
_ISV = whole(0, MAX_ISV)
_PATTERNS = items(_PATTERN, MAX_PATTERNS)
_ANSWER = word(TrustAnswer)

_HASHES = items(_HASH, MAX_SIGNERS)


def _sample_keys(value: Json, place: str, faults: list[str]) -> Any:
    return frozenset(_HASHES(value, place, faults) or ())


_SIGNER = record(
    TrustSigner,
    {
        "name": NamedField("name", _NAME, required=True),
        "mrSigner": NamedField("mr_signer", _HASH, required=True),
        "productId": NamedField("product_id", _ISV),
        "minSvn": NamedField("min_svn", _ISV),
    },
)
_MEASUREMENT = record(
    TrustMeasurement,
    {"name": NamedField("name", _NAME, required=True), "mrEnclave": NamedField("mr_enclave", _HASH, required=True)},
)
_KEY = record(
    ContainerKey,
    {
        "name": NamedField("name", _NAME, required=True),
        "key": NamedField("key", _PEM, required=True),
        "images": NamedField("images", _PATTERNS),
    },
)
_TRUST: Mapping[str, NamedField] = {
    "mode": NamedField("mode", word(TrustMode)),
    "images": NamedField("images", _PATTERNS),
    "signers": NamedField("signers", items(_SIGNER, MAX_SIGNERS, "name")),
    "measurements": NamedField("measurements", items(_MEASUREMENT, MAX_MEASUREMENTS, "name")),
    "sampleKeys": NamedField("sample_keys", _sample_keys),
    "debug": NamedField("debug", word(DebugRule)),
    "unsigned": NamedField("unsigned", _ANSWER),
    "unknown": NamedField("unknown", _ANSWER),
    "noEnclave": NamedField("no_enclave", _ANSWER),
    "unreachable": NamedField("unreachable", _ANSWER),
    "containerSignatures": NamedField("container_keys", items(_KEY, MAX_KEYS, "name")),
}

_LABEL_KEY = text(
    re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"), "a label's key"
)
_LABEL_VALUE = text(re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?"), "a label's value")
_RULE = record(
    LabelRule,
    {
        "key": NamedField("key", _LABEL_KEY, required=True),
        "operator": NamedField("operator", word(SelectorOperator), required=True),
        "values": NamedField("values", items(_LABEL_VALUE, MAX_VALUES)),
    },
)


def _rule(value: Json, place: str, faults: list[str]) -> Any:
    rule = _RULE(value, place, faults)
    if isinstance(rule, LabelRule) and bool(rule.values) is not rule.operator.takes_values:
        faults.append(
            f"{place}.values is {'missing' if rule.operator.takes_values else 'there'}, and {rule.operator} does not go with it"
        )
    return rule


def _labels(value: Json, place: str, faults: list[str]) -> Any:
    if not isinstance(value, dict) or len(value) > MAX_LABELS:
        faults.append(f"{place} is something else, expected an object of up to {MAX_LABELS} labels")
        return None
    for key, each in value.items():
        _LABEL_KEY(key, f"{place}: the key", faults)
        _LABEL_VALUE(each, f"{place}: the value of {excerpt(key)}", faults)
    return value


_SELECTOR = record(
    NamespaceSelector,
    {"matchLabels": NamedField("labels", _labels), "matchExpressions": NamedField("rules", items(_rule, MAX_LABELS))},
)
_SPEC: Reader = record(dict, _TRUST)
_CLUSTER_SPEC: Reader = record(dict, {**_TRUST, "namespaceSelector": NamedField("selector", _SELECTOR)})


def read_trust(spec: Mapping[str, Json], name: str = "policy") -> EnclaveTrust:
    """The policy that the spec of an EnclavePolicy states; raises `Malformed` DJ365 with every fault of it."""
    faults: list[str] = []
    trust = _SPEC(dict(spec), "spec", faults)
    _require(faults, name)
    return EnclaveTrust(name=name, **trust)


def read_policy(policy: JsonObject, namespace: str = "default") -> EnclavePolicy:
    """An EnclavePolicy or ClusterEnclavePolicy, as the API server or a manifest has it; raises `Malformed` DJ365 likewise.

    The namespace is that of an EnclavePolicy in a manifest that names none.
    """
    kind, name = at(policy, "kind"), excerpt(str(at(policy, "metadata", "name") or "without a name"))
    namespace = str(at(policy, "metadata", "namespace") or namespace)
    if at(policy, "apiVersion") != POLICY_VERSION or kind not in {ENCLAVE_POLICY, CLUSTER_ENCLAVE_POLICY}:
        its = excerpt(f"{kind} of {at(policy, 'apiVersion')}")
        raise Malformed("DJ365", f"{name}: is {its}, expected {ENCLAVE_POLICY} or {CLUSTER_ENCLAVE_POLICY} of {POLICY_VERSION}")
    spec = at(policy, "spec")
    if kind == CLUSTER_ENCLAVE_POLICY:
        return _of_cluster(spec, name)
    title = f"{ENCLAVE_POLICY} {excerpt(namespace)}/{name}"
    if not isinstance(spec, dict):
        raise Malformed("DJ365", f"{title}: spec is missing; write mode, signers and what else the policy is to say below it")
    return EnclavePolicy(name=name, namespace=namespace, trust=read_trust(spec, title))


def _of_cluster(spec: Json, name: str) -> EnclavePolicy:
    title = f"{CLUSTER_ENCLAVE_POLICY} {name}"
    faults: list[str] = []
    values = _CLUSTER_SPEC(spec, "spec", faults)
    _require(faults, title)
    selector = values.pop("selector", NamespaceSelector())
    trust = EnclaveTrust(name=title, **values)
    exceptions = {"debug: here": trust.debug is DebugRule.HERE, "sampleKeys": bool(trust.sample_keys)}
    if selector.is_everywhere:
        faults += [f"spec has {each}, and no namespaceSelector that says where" for each, there in exceptions.items() if there]
    _require(faults, title)
    return EnclavePolicy(name=name, selector=selector, trust=trust)


def _require(faults: list[str], title: str) -> None:
    if faults:
        raise Malformed("DJ365", f"{title}: {together(faults)}")
