"""Pods for tests: what people write, in few words."""

from donjon.formats.json import Json, JsonObject

EPC, ENCLAVE, PROVISION = "sgx.intel.com/epc", "sgx.intel.com/enclave", "sgx.intel.com/provision"
FAQ, AKS, ALIBABA = "sgx.intel.com/sgx_epc_mem_in_MiB", "kubernetes.azure.com/sgx_epc_mem_in_MiB", "alibabacloud.com/sgx_epc_MiB"
WIRED: JsonObject = {EPC: "10Mi", ENCLAVE: "1"}


def container(name: str = "app", /, **fields: Json) -> JsonObject:
    return {"name": name, "image": "registry.example/app:1", **fields}


def asking(limits: JsonObject, name: str = "app", /, **fields: Json) -> JsonObject:
    """A container as the API server shows it to us: requests repeat the limits."""
    return container(name, resources={"limits": limits, "requests": dict(limits)}, **fields)


def pod(
    *containers: JsonObject, init: tuple[JsonObject, ...] = (), annotations: JsonObject | None = None, **spec: Json
) -> JsonObject:
    inits: JsonObject = {"initContainers": list(init)} if init else {}
    metadata: JsonObject = {"name": "p"} if annotations is None else {"name": "p", "annotations": annotations}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": list(containers) or [container()], **inits, **spec},
    }
