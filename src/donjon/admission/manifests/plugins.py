"""Pods of another device plugin for SGX, which asks for none and offers it, as Donjon's agent does.

They have the kubelet's folder of device plugins, and SGX devices of the host or SGX in the name of an image.
"""

from collections.abc import Iterator

from donjon.admission.codes import BOUNDING
from donjon.admission.hostpaths import DEVICE_SUBSTRING, devices
from donjon.admission.intent import FIELDS, text
from donjon.admission.reasons import Reason
from donjon.findings import Finding
from donjon.formats.json import JsonObject, at, objects

_FOLDER = "device-plugins"  # in the kubelet's own, wherever a distribution has that


def rivals(pod: JsonObject) -> Iterator[Reason]:
    """What is to be said of a pod that offers SGX beside Donjon's agent."""
    volumes = [text(at(volume, "hostPath", "path")) for volume in objects(at(pod, "spec", "volumes"))]
    images = [text(each.get("image")) for field in FIELDS for each in objects(at(pod, "spec", field))]
    plugs = any(_FOLDER in path.split("/") for path in volumes)
    if plugs and (devices(volumes, asks=False) or any(DEVICE_SUBSTRING in image.casefold() for image in images)):
        yield Reason(finding=_FINDING, place="/spec/volumes")


_FINDING = Finding.warning(
    BOUNDING,
    "pod",
    "has the kubelet's folder of device plugins, as a plugin that offers SGX has",
    "two plugins for one resource take it from each other, so Donjon's agent leaves the devices alone then (DJ018)",
    "run one of the two on a node, or start the agent with --advertise epc,labels; its volumes are the plugin's to have",
)
