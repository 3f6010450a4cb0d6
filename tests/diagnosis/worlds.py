"""Nodes, pods and workloads as a cluster tells them, in few words."""

from datetime import UTC, datetime

from donjon.diagnosis.explanation import ClusterState
from donjon.formats.json import Json, JsonObject

EPC, ENCLAVE, PROVISION = "sgx.intel.com/epc", "sgx.intel.com/enclave", "sgx.intel.com/provision"
MIB = 1 << 20
GIB = 1 << 30
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def node(name: str, epc: str = "8Gi", *, enclave: str = "110", **spec: Json) -> JsonObject:
    """A node with SGX that is ready; an empty amount of EPC makes it an ordinary one."""
    offered: JsonObject = {"cpu": "2", "memory": "8Gi", "pods": "110"}
    said: list[Json] = [{"type": "Ready", "status": "True"}]
    if epc:
        offered |= {EPC: epc, ENCLAVE: enclave, PROVISION: enclave}
        said.append({"type": "SGXReady", "status": "True", "message": "this node runs enclaves"})
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "spec": dict(spec),
        "status": {"allocatable": offered, "conditions": said},
    }


def saying(thing: JsonObject, *conditions: JsonObject) -> JsonObject:
    """A node or pod with these conditions alone."""
    status = thing["status"]
    assert isinstance(status, dict)
    return thing | {"status": status | {"conditions": list(conditions)}}


def with_spec(thing: JsonObject, spec: JsonObject) -> JsonObject:
    """A node or pod whose spec says this besides."""
    known = thing["spec"]
    assert isinstance(known, dict)
    return thing | {"spec": known | spec}


def labelled(thing: JsonObject, labels: JsonObject) -> JsonObject:
    metadata = thing["metadata"]
    assert isinstance(metadata, dict)
    return thing | {"metadata": metadata | {"labels": labels}}


def container(epc: str = "", /, name: str = "app", **resources: str) -> JsonObject:
    """A container as admission leaves it: EPC brings its device."""
    limits: JsonObject = {EPC: epc, ENCLAVE: "1"} if epc else {}
    limits |= dict(resources)
    return {"name": name, "resources": {"limits": limits, "requests": dict(limits)}}


def pod(
    epc: str = "", /, *, name: str = "app", phase: str = "Pending", on: str = "", status: JsonObject | None = None, **spec: Json
) -> JsonObject:
    """A pod of one container; `on` is the node that it was given."""
    placed: JsonObject = {"nodeName": on} if on else {}
    return {
        "metadata": {"name": name, "namespace": "shop", "uid": f"uid-{name}"},
        "spec": {"containers": [container(epc)], **placed, **spec},
        "status": {"phase": phase, **(status or {})},
    }


def holding(epc: str, on: str, name: str = "other") -> JsonObject:
    return pod(epc, name=name, phase="Running", on=on)


def around(*nodes: JsonObject, pods: tuple[JsonObject, ...] = (), events: tuple[JsonObject, ...] = ()) -> ClusterState:
    return ClusterState(moment=NOW, nodes=nodes, pods=pods, events=events)


def event(reason: str, about: JsonObject, message: str = "", moment: str = "2026-11-23T12:00:00Z") -> JsonObject:
    metadata = about["metadata"]
    assert isinstance(metadata, dict)
    involved: JsonObject = {"name": metadata["name"], "uid": metadata["uid"]}
    return {"type": "Warning", "reason": reason, "message": message, "involvedObject": involved, "lastTimestamp": moment}


def agents_event(about: JsonObject, node: str, **fields: Json) -> JsonObject:
    """What the agent of a node says of a pod that runs without its device, with some fields said otherwise."""
    own: JsonObject = {"source": {"component": "donjon-node", "host": node}}
    own |= {"reportingComponent": "donjon-node", "reportingInstance": node}
    return event("RunsWithoutDevice", about) | own | fields


def workload(
    kind: str, name: str = "train", *, owner: JsonObject | None = None, status: JsonObject | None = None, **spec: Json
) -> JsonObject:
    metadata: JsonObject = {"name": name, "namespace": "shop", "uid": f"uid-{kind}-{name}"}
    made: JsonObject = {"kind": kind, "metadata": metadata, "spec": dict(spec), "status": status or {}}
    return made if owner is None else belonging(made, owner)


def belonging(thing: JsonObject, owner: JsonObject) -> JsonObject:
    metadata, owning = thing["metadata"], owner["metadata"]
    assert isinstance(metadata, dict)
    assert isinstance(owning, dict)
    reference: JsonObject = {"kind": owner["kind"], "name": owning["name"], "uid": owning["uid"]}
    return thing | {"metadata": metadata | {"ownerReferences": [reference]}}
