"""What `donjon check --images` says beside admission: whether a container asks for less than its image's enclave takes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from donjon.admission import intent
from donjon.admission.intent import Container
from donjon.admission.manifests.check import ManifestReport, PodReport
from donjon.admission.reasons import Reason
from donjon.cli.enclave.contents import image_needs
from donjon.enclave.sizing import MIB, EpcNeed
from donjon.errors import DonjonError
from donjon.findings import Finding
from donjon.formats.json import Json, at
from donjon.formats.words import excerpt, printable
from donjon.images.access import RegistryAccess
from donjon.images.references import ImageReference, parse_reference
from donjon.kube.names import EPC
from donjon.kube.quantities import canonical, readable

MAX_IMAGES = 100  # of one run
MAX_SHOWN = 200  # signs of an image's name

_Needs = Mapping[str, EpcNeed | DonjonError]


@dataclass(frozen=True, slots=True)
class ImageLooks:
    """What images were looked into; each is, once."""

    access: RegistryAccess
    places: Mapping[str, ImageReference] = field(default_factory=dict)  # where an image is, by its name in a manifest
    by_name: dict[str, _Needs] = field(default_factory=dict)

    def needs(self, image: str) -> _Needs:
        """What each enclave of the image takes, by its path; under the empty one why that cannot be told."""
        if image not in self.by_name:
            self.by_name[image] = self._look(image)
        return self.by_name[image]

    def _look(self, image: str) -> _Needs:
        if len(self.by_name) == MAX_IMAGES:
            return {}
        try:
            return image_needs(self.places.get(image) or parse_reference(image), self.access)
        except DonjonError as error:
            return {"": error}


def with_images(report: ManifestReport, access: RegistryAccess, places: Mapping[str, ImageReference]) -> ManifestReport:
    """The report with what the images of containers that ask for EPC say."""
    looks = ImageLooks(access, places)
    return replace(report, pods=tuple(_with_images(each, looks) for each in report.pods))


def _with_images(report: PodReport, looks: ImageLooks) -> PodReport:
    pod = report.verdict.admitted
    reasons = (reason for each in intent.read(pod).containers if each.epc for reason in _reasons(pod, each, looks))
    return replace(report, verdict=replace(report.verdict, reasons=(*report.verdict.reasons, *reasons)))


def _reasons(pod: Json, container: Container, looks: ImageLooks) -> Iterator[Reason]:
    entries = at(pod, "spec", container.field)
    image = at(entries[container.index], "image") if isinstance(entries, list) else None
    if not isinstance(image, str):
        return
    needs = looks.needs(image)
    sizes = {path: need for path, need in needs.items() if isinstance(need, EpcNeed)}
    errors = {path: need for path, need in needs.items() if isinstance(need, DonjonError)}
    subject = f"container {excerpt(container.name)}"
    if sizes:
        path, least = min(sizes.items(), key=lambda each: each[1].start)
        if container.epc < least.start:
            where = f"{printable(image[:MAX_SHOWN])}: {printable(path)}"
            yield Reason(finding=_too_little(subject, container.epc, where, least), place=container.path)
    for path, error in errors.items():
        yield Reason(finding=_unknown(subject, image, path, error), place=f"{container.here}/image")


def _too_little(subject: str, request: int, where: str, need: EpcNeed) -> Finding:
    return Finding.warning(
        "DJ359",
        subject,
        f"asks for {readable(request)} of EPC, and the enclave in {where} takes {need.start / MIB:,.1f} MiB when it has started",
        "the scheduler counts what is asked for, and the kernel pages the rest out, which slows every enclave of the node",
        f'{EPC}: "{canonical(need.request)}"; see why: donjon enclave size',
    )


def _unknown(subject: str, image: str, path: str, error: DonjonError) -> Finding:
    return Finding.warning(
        "DJ360",
        subject,
        f"nothing can be told of its image {printable(image[:MAX_SHOWN])}{path and f', {printable(path)}'}: {error}",
        "what its enclave takes is not known here",
        "name an image that can be read; --logins, --mirror and --registry-authority say how",
    )
