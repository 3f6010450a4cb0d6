"""The policy that keeps the names of SGX from device classes of dynamic resource allocation.

A DeviceClass may say which extended resource it stands for (Kubernetes 1.34 and later). Where it says one of ours, the scheduler
has two answers to what a pod asks for, and the one by device class knows neither our accounting nor our device.
"""

from donjon.admission.codes import DEVICE_CLASS_RULE
from donjon.admission.policies import cel
from donjon.admission.policies.objects import AdmissionPolicy, PolicyKind, binding, policy
from donjon.formats.json import JsonObject
from donjon.kube.names import SGX_RESOURCES

# A cluster that does not know the kind is asked nothing.
_DEVICE_CLASSES: JsonObject = {
    "apiGroups": ["resource.k8s.io"],
    "apiVersions": ["*"],
    "operations": ["CREATE", "UPDATE"],
    "resources": ["deviceclasses"],
}


def refuse_device_classes(name: str) -> tuple[JsonObject, JsonObject]:
    """The policy that refuses them, and its binding."""
    resource = "dyn(object).spec.extendedResourceName"
    about = AdmissionPolicy(
        kind=PolicyKind.VALIDATING,
        name=name,
        matches=(_DEVICE_CLASSES,),
        conditions={"claims": f"has({resource}) && string({resource}) in {cel.strings(SGX_RESOURCES)}"},
        variables={"claimed": f"string({resource})"},
        must_answer=True,
    )
    message = cel.sentence(
        "DeviceClass {name}: spec.extendedResourceName is {claimed}: Donjon offers that name by itself, and pods that ask for it "
        f"would be given what nobody accounts for [{DEVICE_CLASS_RULE}]; leave it out, or give the class a name of its own",
        {"name": "string(dyn(object).metadata.name)", "claimed": "variables.claimed"},
    )
    validation: JsonObject = {"expression": "false", "messageExpression": message, "reason": "Forbidden"}
    return policy(about, {"validations": [validation]}), binding(about, "Deny", "Audit")
