"""Every name of SGX that stands in manifests, where it belongs, and what becomes of it: one table.

Intel's domain and ours are closed: a name in them that is not here is nobody's. Of other domains only the names that people
bring along are here. `docs/coming-from.md` has all of them; a test compares.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from donjon.kube.names import (
    ANNOTATION_ENCLAVES,
    ANNOTATION_EPC_SOURCE,
    ANNOTATION_HANDED_OVER,
    ANNOTATION_IMAGES,
    ANNOTATION_QUOTE_PROVIDER,
    DEBUG_ALLOWED,
    ENCLAVE,
    ENCLAVES_ENFORCED,
    EPC,
    FOREIGN_EPC,
    LABEL_AESM,
    LABEL_CAPABLE,
    LABEL_DEBUG,
    LABEL_DRIVER,
    LABEL_EDMM,
    LABEL_ENCLAVES,
    LABEL_PROVISION,
    LABEL_SGX,
    LABEL_SIMULATED,
    PROVISION,
    PROVISION_ALLOWED,
)

CLOSED = ("sgx.intel.com", "donjon.dev")
"""The domains of which every name is in the table."""

CHOOSE_NODES = f'choose nodes by {LABEL_CAPABLE}: "true"'
ASK_FOR_EPC = f"ask for {EPC} in bytes, which brings the device"


class Field(StrEnum):
    """Where a name may stand."""

    RESOURCE = "under a container's limits"
    ANNOTATION = "among the annotations of a pod, or of the template that makes it"
    NODE_LABEL = "among the labels of a node"
    NAMESPACE_LABEL = "among the labels of a namespace"
    POD_LABEL = "among the labels of a pod, or of the template that makes it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One name; one that belongs nowhere is not Donjon's, and says what to write instead."""

    name: str
    places: frozenset[Field] = field(default_factory=frozenset)
    becomes: str
    instead: str = ""
    values: frozenset[str] = frozenset()  # that a label of nodes can have; none where any


def _resource(name: str, becomes: str) -> Term:
    return Term(name=name, places=frozenset({Field.RESOURCE}), becomes=becomes)


def _label(name: str, becomes: str, *values: str) -> Term:
    return Term(name=name, places=frozenset({Field.NODE_LABEL}), becomes=becomes, values=frozenset(values))


def _nobodys(name: str, becomes: str, instead: str = ASK_FOR_EPC) -> Term:
    return Term(name=name, becomes=becomes, instead=instead)


_LEAVE_OUT = "leave it out of a manifest"
_NFD = "a label of Node Feature Discovery, which Donjon does not write"

NAMES = (
    Term(
        name=EPC,
        places=frozenset({Field.RESOURCE, Field.ANNOTATION}),
        becomes="bytes of EPC, which bring the enclave device; as an annotation the pod's total, for Kata",
    ),
    _resource(ENCLAVE, "the enclave device; EPC brings it"),
    _resource(PROVISION, f"the provisioning device, by a right: {LABEL_PROVISION}={PROVISION_ALLOWED}"),
    *(_resource(name, f"turned into {EPC}, 10 into 10Mi") for name in FOREIGN_EPC),
    Term(
        name=ANNOTATION_QUOTE_PROVIDER,
        places=frozenset({Field.ANNOTATION}),
        becomes="aesmd: the quoting service's socket; a container's name: the provisioning device for it",
    ),
    _label(LABEL_CAPABLE, '"true" on a node with SGX', "true"),
    _label(LABEL_SGX, "1 or 2, the generation of SGX", "1", "2"),
    _label(LABEL_EDMM, '"true" where enclaves can grow', "true"),
    _label(LABEL_DRIVER, "in-tree, dcap or isgx", "in-tree", "dcap", "isgx"),
    _label(LABEL_AESM, "ready where the quoting service answers", "ready"),
    Term(
        name=LABEL_PROVISION,
        places=frozenset({Field.NAMESPACE_LABEL}),
        becomes=f"{PROVISION_ALLOWED}: pods of that namespace may have the provisioning device",
    ),
    Term(
        name=LABEL_DEBUG,
        places=frozenset({Field.NAMESPACE_LABEL}),
        becomes=f"{DEBUG_ALLOWED}: enclaves in debug mode are no mistake in that namespace",
    ),
    Term(
        name=LABEL_ENCLAVES,
        places=frozenset({Field.NAMESPACE_LABEL}),
        becomes=f"{ENCLAVES_ENFORCED}: no pod that asks for SGX is made there while nobody can look at its images",
    ),
    Term(
        name="donjon.dev/config",
        places=frozenset({Field.ANNOTATION}),
        becomes="the chart's own: its pods start anew when what they read has changed",
    ),
    Term(
        name=LABEL_SIMULATED,
        places=frozenset({Field.POD_LABEL}),
        becomes="the chart's own: the pod of a rehearsal, a root of trust of its own",
    ),
    _nobodys(ANNOTATION_EPC_SOURCE, "Donjon writes it on PodMetrics: who says how much EPC it is", _LEAVE_OUT),
    _nobodys(ANNOTATION_HANDED_OVER, "Donjon writes it on metrics-server's APIService: what that said before", _LEAVE_OUT),
    _nobodys(ANNOTATION_ENCLAVES, "Donjon writes it on a pod that asks: what its images hold", _LEAVE_OUT),
    _nobodys(ANNOTATION_IMAGES, "Donjon writes it beside the digests that it pins: the images as they were written", _LEAVE_OUT),
    _nobodys("sgx.intel.com/sgx", "no plugin offers it"),
    _nobodys(
        "sgx.intel.com/qe",
        "Intel's plugin offers it where quoting for TDX was made to need it; Donjon does not",
        f"ask for {ENCLAVE} and {PROVISION}, and for EPC",
    ),
    _nobodys(
        "sgx.intel.com/registration",
        "Intel's plugin offers it for registering a platform; Donjon does not",
        "mount /sys/firmware/efi/efivars, which registering reads",
    ),
    _nobodys("openenclave.io/sgx_epc_MiB", "AKS Engine's name, which no plugin offers any more"),
    _nobodys("intel.com/sgx_epc", "no plugin offers it"),
    _nobodys("intel.com/sgx", "no plugin offers it"),
    _nobodys("intel.sgx.com/epc", "no plugin offers it"),
    _nobodys("intel.feature.node.kubernetes.io/sgx", _NFD, CHOOSE_NODES),
    _nobodys("feature.node.kubernetes.io/cpu-security.sgx.enabled", _NFD, CHOOSE_NODES),
    _nobodys("feature.node.kubernetes.io/cpu-sgx.enabled", _NFD, CHOOSE_NODES),
    _nobodys("feature.node.kubernetes.io/cpu-cpuid.SGX", _NFD, CHOOSE_NODES),
    _nobodys("feature.node.kubernetes.io/cpu-cpuid.SGXLC", _NFD, CHOOSE_NODES),
    _nobodys("nfd.node.kubernetes.io/cpu-security.sgx.epc", _NFD, CHOOSE_NODES),
)
"""In the order in which people meet them."""

TABLE: Mapping[str, Term] = MappingProxyType({each.name: each for each in NAMES})

_OF_NFD = re.compile(r"(?:[-a-z0-9]+\.)*(?:feature\.node|nfd\.node|nfd)\.(?:kubernetes\.io|k8s-sigs\.io)/.*sgx.*", re.IGNORECASE)
_CLOSED = re.compile(rf"(?:{'|'.join(map(re.escape, CLOSED))})/[-A-Za-z0-9_.]+")
_QUOTA = re.compile(r"(?:requests|limits)\.")
_LONGEST = 317  # characters of a domain, a stroke and a name (k8s.io/apimachinery `validation.IsQualifiedName`)


def is_ours(word: str) -> bool:
    """Whether the word is a name in one of the closed domains, right or wrong."""
    return len(word) <= _LONGEST and _CLOSED.fullmatch(word) is not None


def is_nfd(word: str) -> bool:
    """Whether it is one of the labels by which Node Feature Discovery tells SGX."""
    return len(word) <= _LONGEST and _OF_NFD.fullmatch(word) is not None


def without_quota(key: str) -> str:
    """The resource that a key of a quota counts."""
    return _QUOTA.sub("", key, count=1)
