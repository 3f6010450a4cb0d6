"""Policies that are good, and policies that are wrong, each with the words of what is: for our reader and for the API server."""

from typing import Any, NamedTuple

HASH = "fb4bab3d" * 8
OTHER = "83d719e77deaca1470f6baf62a4d774303c899db69020f9c70ee1dfc08c7ce9e"
PEM = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----\n"
SIGNER = {"name": "ours", "mrSigner": HASH}


class Wrong(NamedTuple):
    """A spec that is refused, and where."""

    spec: Any
    place: str


def signers(number: int) -> list[dict[str, Any]]:
    return [{**SIGNER, "name": f"n{index}"} for index in range(number)]


GOOD: dict[str, Any] = {
    "nothing, which refuses every enclave once it enforces": {},
    "everything": {
        "mode": "enforce",
        "images": ["registry.example/team/*", "*/tools:5000/*"],
        "signers": [
            {"name": "our releases", "mrSigner": HASH, "productId": 0, "minSvn": 65_535},
            {"name": "b", "mrSigner": HASH},
        ],
        "measurements": [{"name": "v1.2_3", "mrEnclave": OTHER}],
        "debug": "never",
        "unsigned": "warn",
        "unknown": "allow",
        "noEnclave": "refuse",
        "unreachable": "allow",
        "containerSignatures": [{"name": "cosign", "key": PEM, "images": ["*"]}, {"name": "other", "key": PEM.rstrip("\n")}],
    },
    "as many signers as there may be": {"signers": signers(64)},
    "the longest name": {"signers": [{**SIGNER, "name": "n" * 63}]},
    "empty lists": {"signers": [], "measurements": [], "images": [], "sampleKeys": [], "containerSignatures": []},
}

BAD: dict[str, Wrong] = {
    "a mode that is none": Wrong({"mode": "strict"}, "spec.mode"),
    "an answer that is none": Wrong({"unknown": "never"}, "spec.unknown"),
    "debugging everywhere": Wrong({"debug": "always"}, "spec.debug"),
    "an MRSIGNER that is cut": Wrong({"signers": [{"name": "a", "mrSigner": HASH[:-1]}]}, "spec.signers[0].mrSigner"),
    "an MRSIGNER in capitals": Wrong({"signers": [{"name": "a", "mrSigner": HASH.upper()}]}, "spec.signers[0].mrSigner"),
    "a signer without a name": Wrong({"signers": [{"mrSigner": HASH}]}, "spec.signers[0].name"),
    "a signer without a key": Wrong({"signers": [{"name": "a"}]}, "spec.signers[0].mrSigner"),
    "a name that is too long": Wrong({"signers": [{**SIGNER, "name": "n" * 64}]}, "spec.signers[0].name"),
    "a name of blanks": Wrong({"signers": [{**SIGNER, "name": " "}]}, "spec.signers[0].name"),
    "two signers by one name": Wrong({"signers": [SIGNER, SIGNER]}, "spec.signers[1]"),
    "a product of three bytes": Wrong({"signers": [{**SIGNER, "productId": 65_536}]}, "spec.signers[0].productId"),
    "an SVN below none": Wrong({"signers": [{**SIGNER, "minSvn": -1}]}, "spec.signers[0].minSvn"),
    "an SVN as a text": Wrong({"signers": [{**SIGNER, "minSvn": "1"}]}, "spec.signers[0].minSvn"),
    "an SVN that is true": Wrong({"signers": [{**SIGNER, "minSvn": True}]}, "spec.signers[0].minSvn"),
    "a field of a signer that is none": Wrong({"signers": [{**SIGNER, "minSVN": 1}]}, "spec.signers[0].minSVN"),
    "more signers than there may be": Wrong({"signers": signers(65)}, "spec.signers"),
    "a signer in place of a list": Wrong({"signers": SIGNER}, "spec.signers"),
    "a measurement that is none": Wrong({"measurements": [{"name": "a", "mrEnclave": "0x" + HASH[2:]}]}, "spec.measurements[0]"),
    "a sample key by its name": Wrong({"sampleKeys": ["Intel SDK"]}, "spec.sampleKeys[0]"),
    "a sample key twice": Wrong({"sampleKeys": [OTHER, OTHER]}, "spec.sampleKeys[1]"),
    "a pattern in capitals": Wrong({"images": ["Registry/*"]}, "spec.images[0]"),
    "a pattern of brackets": Wrong({"images": ["[a-z]*"]}, "spec.images[0]"),
    "a pattern of nothing": Wrong({"images": [""]}, "spec.images[0]"),
    "a pattern that is too long": Wrong({"images": ["a" * 256]}, "spec.images[0]"),
    "a private key": Wrong(
        {"containerSignatures": [{"name": "a", "key": PEM.replace("PUBLIC", "PRIVATE")}]}, "spec.containerSignatures[0].key"
    ),
    "a key that does not end": Wrong(
        {"containerSignatures": [{"name": "a", "key": PEM[:60]}]}, "spec.containerSignatures[0].key"
    ),
    "a field that is none": Wrong({"signer": []}, "spec.signer"),
    "namespaces, of which only a policy of the cluster speaks": Wrong({"namespaceSelector": {}}, "spec.namespaceSelector"),
}

HERE = {"matchLabels": {"env": "dev"}}
BY_EXPRESSION = {"matchExpressions": [{"key": "donjon.dev/env", "operator": "In", "values": ["dev", ""]}]}
GOOD_OF_CLUSTER: dict[str, Any] = {
    "a selector": {"namespaceSelector": {**HERE, **BY_EXPRESSION}},
    "an empty selector": {"namespaceSelector": {}},
    "debugging where the selector says": {"debug": "here", "namespaceSelector": BY_EXPRESSION},
    "a sample key where the selector says": {"sampleKeys": [OTHER], "namespaceSelector": HERE},
    "a label that must not be there": {"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}},
}
BAD_OF_CLUSTER: dict[str, Wrong] = {
    "debugging everywhere": Wrong({"debug": "here"}, "spec"),
    "debugging in a selector of everything": Wrong({"debug": "here", "namespaceSelector": {"matchLabels": {}}}, "spec"),
    "a sample key everywhere": Wrong({"sampleKeys": [OTHER]}, "spec"),
    "an operator that is none": Wrong(
        {"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]}},
        "spec.namespaceSelector.matchExpressions[0].operator",
    ),
    "values where there can be none": Wrong(
        {"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["1"]}]}},
        "spec.namespaceSelector.matchExpressions[0]",
    ),
    "no values where there must be some": Wrong(
        {"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}},
        "spec.namespaceSelector.matchExpressions[0]",
    ),
    "a label that is none": Wrong({"namespaceSelector": {"matchLabels": {"-a": "b"}}}, "spec.namespaceSelector.matchLabels"),
    "a value that is none": Wrong({"namespaceSelector": {"matchLabels": {"a": "b c"}}}, "spec.namespaceSelector.matchLabels"),
}
"""Beside all those that are good or wrong in a namespace, too, but for the last."""


def policy(kind: str, spec: Any, name: str = "p") -> dict[str, Any]:
    """The whole object."""
    namespace = {} if kind == "ClusterEnclavePolicy" else {"namespace": "default"}
    return {"apiVersion": "donjon.dev/v1alpha1", "kind": kind, "metadata": {"name": name, **namespace}, "spec": spec}
