"""What policies on enclaves say of the pods in manifests, by the code that says it where pods are admitted.

Each image is looked into where it is, or where a person says it is.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from donjon.adapters.images.images import Images
from donjon.admission.images import PlacedImage, asks_for_enclaves, images_of
from donjon.admission.manifests.check import ManifestReport, NamespaceLabels, PodReport
from donjon.admission.manifests.workloads import namespaces
from donjon.admission.reasons import Reason
from donjon.cli.files import within
from donjon.cli.manifests import documents_of
from donjon.cli.terminal import say_finding
from donjon.enclave.trust import EnclaveTrust
from donjon.enclave.trust_advice import advice
from donjon.enclave.trust_reading import read_policy
from donjon.enclave.trust_scope import EnclavePolicy, trusts_in
from donjon.errors import DonjonError, Malformed, Unavailable
from donjon.findings import Finding
from donjon.images.access import RegistryAccess
from donjon.images.references import ImagePlace, ImageReference, parse_reference
from donjon.kube.names import POLICY_VERSION
from donjon.services.admission.enclaves.inspection import LookedInto, ResolvedName
from donjon.services.admission.enclaves.judging import SeenImage, judge_pod, name_of_image
from donjon.services.admission.enclaves.reading import ImageReading
from donjon.services.admission.enclaves.rulebook import NamespaceRules


@dataclass(slots=True, kw_only=True)
class ImageReach:
    """How images are reached. Each is looked into once."""

    access: RegistryAccess
    places: Mapping[str, ImageReference] = field(default_factory=dict)  # where an image is, by its name in a manifest
    looks: dict[str, LookedInto | DonjonError] = field(default_factory=dict)
    could_look: bool = True  # whether everything that was asked answered

    def place(self, image: str) -> ImageReference:
        """Where the image by that name is; raises `Malformed` DJ320."""
        return self.places.get(image) or parse_reference(image)

    def look(self, image: str) -> LookedInto | DonjonError:
        """What is in the image by that name."""
        if image not in self.looks:
            try:
                self.looks[image] = self._look(image)
            except DonjonError as error:
                self.looks[image] = self._heed(error)
        return self.looks[image]

    def _look(self, image: str) -> LookedInto:
        resolved = self._reading().images.resolve(self.place(image))
        name = ResolvedName(digest=resolved.digest, named_digest=resolved.named_digest or resolved.digest)
        return LookedInto(name=name, contents=self._reading().inspect(resolved))

    def unproved(self, image: str, name: ResolvedName, trusts: Iterable[EnclaveTrust]) -> dict[tuple[str, str], DonjonError]:
        """Why keys have not signed an image of a registry, by the name of the policy and of the key."""
        answers: dict[tuple[str, str], DonjonError] = {}
        for trust, key in ((each, key) for each in trusts for key in each.keys_for(name_of_image(image))):
            try:
                self._reading().prove(str(self.place(image)), (name.named_digest, name.digest), key.key)
            except DonjonError as error:
                answers[trust.name, key.name] = self._heed(error)
        return answers

    def _reading(self) -> ImageReading:
        return ImageReading(images=Images(self.access), access=self.access)

    def _heed(self, error: DonjonError) -> DonjonError:
        self.could_look = self.could_look and not isinstance(error, Unavailable)
        return error


def read_policies(files: Iterable[str], namespace: str) -> tuple[EnclavePolicy, ...]:
    """The policies in manifests, what is unwise in them told; raises `Malformed` DJ365, also for a file without any."""
    policies = tuple(policy for file in files for policy in _policies(file, namespace))
    for finding in (finding for each in policies for finding in advice(each.trust)):
        say_finding(finding, err=True)
    return policies


def _policies(file: str, namespace: str) -> tuple[EnclavePolicy, ...]:
    things = [thing for document in documents_of((file,)) for thing in document.things if thing.version == POLICY_VERSION]
    if not things:
        raise Malformed("DJ365", f"{file}: no EnclavePolicy or ClusterEnclavePolicy of {POLICY_VERSION} is in it")
    with within(file):
        return tuple(read_policy(thing.content, namespace) for thing in things)


def judge(
    report: ManifestReport,
    policies: tuple[EnclavePolicy, ...],
    labels_by_option: Mapping[str, Mapping[str, str]],
    namespace: str,
    reach: ImageReach,
) -> ManifestReport:
    """The report, with what the policies say beside the rules of admission; the namespace is that of what names none."""
    things = (thing for document in report.documents for thing in document.things)
    labels = NamespaceLabels(by_manifest=namespaces(things), by_option=labels_by_option)
    return replace(report, pods=tuple(_judge_pod(each, policies, labels, namespace, reach) for each in report.pods))


def _judge_pod(
    pod: PodReport, policies: tuple[EnclavePolicy, ...], labels: NamespaceLabels, namespace: str, reach: ImageReach
) -> PodReport:
    images = images_of(pod.verdict.admitted)
    if not asks_for_enclaves(images):
        return pod
    here = pod.pod_template.thing.namespace or namespace
    trusts = trusts_in(policies, here, labels.of(here))
    if not trusts:
        return _with(pod, (Reason(finding=_no_policy(here), place="/spec"),))
    reasons = (Reason(finding=one, place=each.path) for each in images for one in _findings(trusts, each, reach))
    return _with(pod, tuple(reasons))


def _with(pod: PodReport, reasons: tuple[Reason, ...]) -> PodReport:
    return replace(pod, verdict=replace(pod.verdict, reasons=(*pod.verdict.reasons, *reasons)))


def _findings(trusts: tuple[EnclaveTrust, ...], image: PlacedImage, reach: ImageReach) -> Iterator[Finding]:
    look = reach.look(image.image)
    covering = [trust for trust in trusts if trust.covers(name_of_image(image.image))]
    in_registry = not isinstance(look, DonjonError) and reach.place(image.image).place is ImagePlace.REGISTRY
    image_look = SeenImage(place=image, look=look)
    if in_registry and not isinstance(look, DonjonError):
        image_look = replace(image_look, unproved=reach.unproved(image.image, look.name, covering))
    yield from judge_pod(NamespaceRules(trusts=trusts), (image_look,)).verdict.findings
    keys = [key.name for trust in covering for key in trust.keys_for(name_of_image(image.image))]
    if keys and not in_registry:
        yield _not_verified(image.image, keys)


def _no_policy(namespace: str) -> Finding:
    return Finding.warning(
        "DJ374",
        f"namespace {namespace}",
        "none of the policies holds there",
        "a pod in it asks for EPC, and nobody says which enclaves it may start",
        "say the policy's namespace (-n, or in its manifest), or the labels of this one (--namespace-label)",
    )


def _not_verified(image: str, keys: list[str]) -> Finding:
    return Finding.info(
        "DJ374",
        image,
        f"has to be signed by {', '.join(keys)}, which was not looked at here",
        "such signatures are in its registry",
    )
