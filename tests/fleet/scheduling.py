"""Nodes and pods for tests of scheduling, short to write."""

from typing import Any

from donjon.formats.json import JsonObject

EPC, ENCLAVE = "sgx.intel.com/epc", "sgx.intel.com/enclave"
MIB = 1 << 20
ZONE, HOST = "topology.kubernetes.io/zone", "kubernetes.io/hostname"


def node(name: str, epc: int = 0, *, zone: str = "", cpu: str = "4", taints: Any = (), **labels: Any) -> JsonObject:
    """A node with so many MiB of EPC."""
    amounts: JsonObject = {"cpu": cpu, "memory": "16Gi", "pods": "110"}
    if epc:
        amounts |= {EPC: str(epc * MIB), ENCLAVE: "110"}
    named: JsonObject = {HOST: name, **labels, **({ZONE: zone} if zone else {})}
    return {"metadata": {"name": name, "labels": named}, "spec": {"taints": [*taints]}, "status": {"allocatable": amounts}}


def pod(name: str, epc: int = 0, *, at: str = "", labels: Any = None, cpu: str = "", **spec: Any) -> JsonObject:
    """A pod that asks for so many MiB; with `at` it has its node."""
    requests: JsonObject = {EPC: str(epc * MIB), ENCLAVE: "1"} if epc else {}
    if cpu:
        requests["cpu"] = cpu
    container: JsonObject = {"name": "c", "image": "i", "resources": {"requests": requests}}
    where: JsonObject = {"nodeName": at} if at else {}
    return {
        "metadata": {"name": name, "namespace": "default", "labels": labels or {}},
        "spec": {"containers": [container], **where, **spec},
        "status": {"phase": "Running" if at else "Pending"},
    }


def required(field: str, term: JsonObject) -> JsonObject:
    """An affinity with one term that must hold."""
    return {field: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
