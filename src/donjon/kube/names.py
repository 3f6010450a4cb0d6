"""Every Kubernetes name of ours, and those of others that we read: said once, here."""

from collections.abc import Mapping
from types import MappingProxyType

EPC = "sgx.intel.com/epc"  # bytes; Intel's name, and ours
ENCLAVE = "sgx.intel.com/enclave"  # the device in which enclaves are made
PROVISION = "sgx.intel.com/provision"  # the device that gives the provisioning key
DEVICES = (ENCLAVE, PROVISION)

_MIB = 1 << 20

FAQ_EPC = "sgx.intel.com/sgx_epc_mem_in_MiB"
FOREIGN_EPC: Mapping[str, int] = MappingProxyType(
    {
        FAQ_EPC: _MIB,  # the AKS FAQ, which mixes two names
        "kubernetes.azure.com/sgx_epc_mem_in_MiB": _MIB,  # AKS, Azure's first plugin
        "alibabacloud.com/sgx_epc_MiB": _MIB,  # Alibaba's plugin
    }
)
"""The names under which others count EPC, with the bytes of one of their units."""

EPC_UNITS: Mapping[str, int] = MappingProxyType({EPC: 1, **FOREIGN_EPC})
"""All names of EPC, with the bytes of one unit."""

SGX_RESOURCES = (*EPC_UNITS, ENCLAVE, PROVISION)
"""The resources by which a container asks for SGX."""

LABEL_NAME = "app.kubernetes.io/name"  # OURS on all that is Donjon's
LABEL_COMPONENT = "app.kubernetes.io/component"  # which of the chart's programs it is
LABEL_VERSION = "app.kubernetes.io/version"
OURS = "donjon"
METER_CONTAINER = "meter"  # of the agent's DaemonSet
METER_PORT = 9810

LABEL_CAPABLE = "sgx.intel.com/capable"  # "true" on a node with SGX; Intel's label
LABEL_SGX = "donjon.dev/sgx"  # "1" or "2"
LABEL_EDMM = "donjon.dev/edmm"  # "true" where enclaves can grow
LABEL_DRIVER = "donjon.dev/driver"  # "in-tree", "dcap" or "isgx"
LABEL_AESM = "donjon.dev/aesm"  # "ready" where the quoting service answers

NODE_LABELS = (LABEL_CAPABLE, LABEL_SGX, LABEL_EDMM, LABEL_DRIVER, LABEL_AESM)
"""The labels that the node agent writes; its policy lets it write no other."""

LABEL_PROVISION = "donjon.dev/provision"
PROVISION_ALLOWED = "allowed"
"""The namespace label, and its value, that lets the pods of a namespace have the provisioning key."""

LABEL_DEBUG = "donjon.dev/debug-enclaves"
DEBUG_ALLOWED = "allowed"
"""The namespace label, and its value, that says that enclaves in debug mode are no mistake there."""

POLICY_GROUP = "donjon.dev"
POLICY_VERSION = f"{POLICY_GROUP}/v1alpha1"
ENCLAVE_POLICY = "EnclavePolicy"  # of a namespace: which enclaves may run in it
CLUSTER_ENCLAVE_POLICY = "ClusterEnclavePolicy"  # of the cluster, for the namespaces that it selects

EVENT_WITHOUT_DEVICE = "RunsWithoutDevice"
EVENT_NOT_ACCOUNTED = "DeviceNotAccounted"
EVENT_READY = "SGXReady"
EVENT_NOT_READY = "SGXNotReady"
EVENT_GUARD_GAP = "GuardGap"
EVENT_GUARD_WHOLE = "GuardWhole"
EVENT_OVER_REQUEST = "EPCOverRequest"
EVENT_WITHOUT_REQUEST = "EPCWithoutRequest"
EVENT_DEBUG = "DebugEnclave"
EVENT_EVICTED = "EvictedForEPC"
EVENT_REASONS = (
    EVENT_WITHOUT_DEVICE,
    EVENT_NOT_ACCOUNTED,
    EVENT_READY,
    EVENT_NOT_READY,
    EVENT_GUARD_GAP,
    EVENT_GUARD_WHOLE,
    EVENT_OVER_REQUEST,
    EVENT_WITHOUT_REQUEST,
    EVENT_DEBUG,
    EVENT_EVICTED,
)
"""The reasons of all Events that the node agent writes."""

LABEL_SIMULATED = "donjon.dev/simulated"  # "true" on the pod of a rehearsal in the cluster
CONDITION_READY = "SGXReady"
ANNOTATION_EPC = "sgx.intel.com/epc"  # a pod's total, as Kata reads it

ANNOTATION_EPC_SOURCE = "donjon.dev/epc-source"  # on PodMetrics: who says how much EPC it is, `bpf` or `maps`
ANNOTATION_HANDED_OVER = "donjon.dev/handed-over"  # on the APIService of metrics-server: whose it was, as JSON, to be given back

LABEL_ENCLAVES = "donjon.dev/enclave-admission"
ENCLAVES_ENFORCED = "enforced"
"""The namespace label, and its value, that lets no pod with enclaves in while nobody can look at its images."""

ANNOTATION_ENCLAVES = "donjon.dev/enclaves"  # on a pod that asks: what was found in its images, as JSON
ANNOTATION_IMAGES = "donjon.dev/images"  # beside it: the images as they were written, before their digests were pinned, as JSON

ANNOTATION_QUOTE_PROVIDER = "sgx.intel.com/quote-provider"  # who makes the pod's quotes; Intel's webhook's
AESMD = "aesmd"  # its value for the quoting service, and the name of the container that is one
AESM_VOLUME = "aesmd-socket"  # the volume's name in Intel's webhook
AESM_FOLDER = "/var/run/aesmd"  # compiled into Intel's library
AESM_PLACES = tuple(f"{folder}{end}" for folder in (AESM_FOLDER, "/run/aesmd") for end in ("", "/", "/aesm.socket"))
"""The socket or its folder as people mount it by hand; `/var/run` is a link to `/run`."""
RUN_FOLDERS = ("/var/run", "/var/run/", "/run", "/run/")  # what holds it, where people mount that whole at its own place
AESM_VARIABLE = "SGX_AESM_ADDR"  # its mere presence makes Intel's library quote through the service
AESM_READY = "ready"

DEVICE_NAMES = ("sgx", "isgx", "gsgx")
"""What the names of all drivers' devices, or of their folders, begin with below `/dev`."""

ANNOTATION_MIRROR = "kubernetes.io/config.mirror"
"""On a kubelet's account of a static pod, which it runs whatever becomes of that account."""
ANNOTATION_STATIC = "kubernetes.io/config.hash"  # beside it: what the kubelet itself calls the pod
NODES = "system:nodes"  # the group of all kubelets
EVENT_COMPONENT = "donjon-node"  # who the node agent is in its Events; its policy lets it be no other

LABELS_OS = ("kubernetes.io/os", "beta.kubernetes.io/os")
LABELS_PLATFORM = (*LABELS_OS, "kubernetes.io/arch", "beta.kubernetes.io/arch")
"""Labels that every node has; who chooses by them alone has not chosen nodes with SGX."""

EPC_PAGE = 4096  # bytes; EPC is handed out in pages (Intel SDM, volume 3D, "Enclave Page Cache")
