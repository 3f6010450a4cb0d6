"""What policies on enclaves say of the pods in manifests: each image is looked into where it is, or where a person says it is."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from donjon.admission.images import PlacedImage, asks_for_enclaves, images_of
from donjon.admission.manifests.check import ManifestReport, NamespaceLabels, PodReport
from donjon.admission.manifests.workloads import namespaces
from donjon.admission.reasons import Reason
from donjon.cli.enclave.images import ImageEnclaves, image_enclaves
from donjon.cli.manifests import documents_of
from donjon.cli.terminal import say_finding
from donjon.enclave.trust import EnclaveTrust
from donjon.enclave.trust_advice import advice
from donjon.enclave.trust_judgement import TrustVerdict, judge_all, judge_enclaves, judge_unseen
from donjon.enclave.trust_reading import read_policy
from donjon.enclave.trust_scope import EnclavePolicy, trusts_in
from donjon.errors import DonjonError, Malformed, Unavailable
from donjon.findings import Finding
from donjon.images.access import RegistryAccess
from donjon.images.references import ImageReference, parse_reference
from donjon.kube.names import POLICY_VERSION

ImageLook = tuple[ImageEnclaves, ...] | DonjonError
"""What an image holds of enclaves, or why that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReach:
    """How images are reached. Each is looked into once."""

    access: RegistryAccess
    places: Mapping[str, ImageReference] = field(default_factory=dict)  # where an image is, by its name in a manifest
    looks: dict[str, ImageLook] = field(default_factory=dict)

    @property
    def could_look(self) -> bool:
        """Whether every image that was asked for was there."""
        return not any(isinstance(each, Unavailable) for each in self.looks.values())

    def look(self, image: str) -> ImageLook:
        """What is in the image by that name."""
        if image not in self.looks:
            try:
                self.looks[image] = image_enclaves(self.places.get(image) or parse_reference(image), self.access)
            except DonjonError as error:
                self.looks[image] = error
        return self.looks[image]


def read_policies(files: Iterable[str], namespace: str) -> tuple[EnclavePolicy, ...]:
    """The policies in manifests, what is unwise in them told; raises `Malformed` DJ365, also for a file without any."""
    policies = tuple(policy for file in files for policy in _policies(file, namespace))
    for finding in (finding for each in policies for finding in advice(each.trust)):
        say_finding(finding, err=True)
    return policies


def _policies(file: str, namespace: str) -> Iterator[EnclavePolicy]:
    things = [thing for document in documents_of((file,)) for thing in document.things if thing.version == POLICY_VERSION]
    if not things:
        raise Malformed("DJ365", f"{file}: no EnclavePolicy or ClusterEnclavePolicy of {POLICY_VERSION} is in it")
    return (read_policy(thing.content, namespace) for thing in things)


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
    reasons = (Reason(finding=one, place=each.path) for each in images for one in _verdict(trusts, each, reach).findings)
    return _with(pod, tuple(reasons))


def _with(pod: PodReport, reasons: tuple[Reason, ...]) -> PodReport:
    return replace(pod, verdict=replace(pod.verdict, reasons=(*pod.verdict.reasons, *reasons)))


def _verdict(trusts: Iterable[EnclaveTrust], image: PlacedImage, reach: ImageReach) -> TrustVerdict:
    look = reach.look(image.image)
    return judge_all(verdict for trust in trusts for verdict in _by(trust, image, look))


def _by(trust: EnclaveTrust, image: PlacedImage, look: ImageLook) -> Iterator[TrustVerdict]:
    name = _whole_name(image.image)
    if isinstance(look, DonjonError):
        yield judge_unseen(trust, name, look)
        return
    faults = [each.error for each in look if each.error is not None]
    enclaves = [enclave for each in look for enclave in each.enclaves]
    yield judge_enclaves(trust, name, enclaves, needs_enclave=image.asks and not faults)
    yield from (judge_unseen(trust, name, fault) for fault in faults)
    if trust.covers(name) and (keys := trust.keys_for(name)):
        yield TrustVerdict(findings=(_not_verified(name, [each.name for each in keys]),))


def _whole_name(image: str) -> str:
    try:
        return str(parse_reference(image))
    except Malformed:
        return image


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
        "signatures of containers are verified where pods are admitted",
    )
