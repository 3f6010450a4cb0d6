"""Which images a pod has, and whether it asks for enclaves at all: what admission by identity looks at.

A container without SGX among its limits has no device and makes no enclave; its image is looked at all the same, since it belongs
to a pod whose word somebody takes, but that it holds no enclave is then nothing to speak of.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from donjon.formats.json import JsonObject, at
from donjon.kube.names import ANNOTATION_ENCLAVES, ANNOTATION_IMAGES, SGX_RESOURCES
from donjon.kube.patch import Add, Operation, Standing, put
from donjon.kube.quantities import amount

IMAGE_FIELDS = ("initContainers", "containers", "ephemeralContainers")
_VOLUME = "volume "
MAX_IMAGES = 64  # of a pod, each another
MAX_PLACES = 256  # where images stand in a pod; with 12,000 of them one answer took 1.5 s, in which nobody else had one
MAX_IMAGE = 512  # characters of one; a reference of the distribution API is shorter


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedImage:
    """The image of one container, or of a volume that is an image's files."""

    container: str  # its name, or `volume NAME`, which no container has
    path: str  # where it stands, as a JSON pointer
    image: str
    asks: bool  # the container itself asks for SGX

    @property
    def where(self) -> str:
        """Where it stands, in words."""
        return self.container if self.container.startswith(_VOLUME) else f"container {self.container}"


def images_of(pod: JsonObject) -> tuple[PlacedImage, ...]:
    """The images of all containers of a pod, and of its volumes (KEP-4639); what is no string is the API server's to refuse."""
    return (*_images(pod), *_volumes(pod))


def asks_for_enclaves(images: Iterable[PlacedImage]) -> bool:
    """Whether any of a pod's containers asks for SGX."""
    return any(each.asks for each in images)


def pin(pod: JsonObject, pins: Mapping[str, str], summary: str) -> tuple[Operation, ...]:
    """The patch that gives each image, by its JSON pointer, its digest; annotations say what was found and what stood there."""
    images = {each.path: each for each in images_of(pod)}
    changed = {path: image for path, image in pins.items() if images[path].image != image}
    way = (("/metadata", Standing.of(pod.get("metadata"), dict)),)
    notes = (("/metadata/annotations", Standing.of(at(pod, "metadata", "annotations"), dict)),)
    before = {images[path].container: images[path].image for path in changed}
    annotations: list[Operation] = list(put((*way, *notes), ANNOTATION_ENCLAVES, summary))
    if before and annotations:
        as_before = json.dumps(images_as_written(pod) | before, sort_keys=True, ensure_ascii=False)
        annotations += [Add(path=f"/metadata/annotations/{ANNOTATION_IMAGES.replace('/', '~1')}", value=as_before)]
    return (*(Add(path=path, value=image) for path, image in changed.items()), *annotations)


def images_as_written(pod: JsonObject) -> dict[str, str]:
    """What an earlier look kept of images that it pinned; of what somebody else wrote there nothing is kept."""
    try:
        earlier = json.loads(str(at(pod, "metadata", "annotations", ANNOTATION_IMAGES) or "{}"))
    except ValueError:
        return {}
    if not isinstance(earlier, dict):
        return {}
    names = {each.container for each in images_of(pod)}
    return {
        name: image for name, image in earlier.items() if name in names and isinstance(image, str) and len(image) <= MAX_IMAGE
    }


def _images(pod: JsonObject) -> Iterator[PlacedImage]:
    for field in IMAGE_FIELDS:
        entries = at(pod, "spec", field)
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            image, name, limits = at(entry, "image"), at(entry, "name"), at(entry, "resources", "limits")
            if isinstance(image, str) and isinstance(name, str):
                amounts = limits if isinstance(limits, dict) else {}
                asks = any((amount(amounts[each]) or 0) > 0 for each in SGX_RESOURCES if each in amounts)
                yield PlacedImage(container=name, path=f"/spec/{field}/{index}/image", image=image, asks=asks)


def _volumes(pod: JsonObject) -> Iterator[PlacedImage]:
    """Whatever container mounts one can start what is in it."""
    entries = at(pod, "spec", "volumes")
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        image, name = at(entry, "image", "reference"), at(entry, "name")
        if isinstance(image, str) and isinstance(name, str):
            yield PlacedImage(
                container=f"{_VOLUME}{name}", path=f"/spec/volumes/{index}/image/reference", image=image, asks=False
            )
