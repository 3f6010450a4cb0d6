"""What becomes of a pod: each of its images looked into, judged by every policy that holds, and its digest pinned."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from donjon.admission.images import PlacedImage
from donjon.enclave.record import FileEnclave
from donjon.enclave.samples import SAMPLE_KEYS
from donjon.enclave.trust import EnclaveTrust
from donjon.enclave.trust_judgement import TrustVerdict, judge_all, judge_containers, judge_enclaves, judge_unseen
from donjon.errors import DonjonError, Malformed
from donjon.findings import Finding, Severity
from donjon.formats.json import Json, JsonObject
from donjon.images.references import parse_reference
from donjon.services.admission.enclaves.inspection import LookedInto
from donjon.services.admission.enclaves.rulebook import NamespaceRules

MAX_TOLD = 16  # enclaves in the annotation of a pod; all of them are judged
MAX_SHOWN_PATH = 200  # characters from its end
MAX_SAID = 8  # findings in a refusal, and warnings of a pod


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenImage:
    """One image of a pod, and what is known of it: what it holds, or why that is not known."""

    place: PlacedImage
    look: LookedInto | DonjonError
    unproved: Mapping[tuple[str, str], DonjonError] = field(default_factory=lambda: MappingProxyType({}))
    """Why keys have not signed it, by the name of the policy and of the key."""

    @property
    def pinned(self) -> str:
        """The image with its digest; as it was written where the digest is not known."""
        if isinstance(self.look, DonjonError):
            return self.place.image
        return pin_digest(self.place.image, self.look.name.digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class PodJudgement:
    """What is to be said of a pod, and what is to stand in it."""

    verdict: TrustVerdict
    images: tuple[SeenImage, ...]

    @property
    def pins(self) -> dict[str, str]:
        """Each image with its digest, by where it stands."""
        return {each.place.path: each.pinned for each in self.images}

    @property
    def annotation(self) -> str:
        """What was found, as the pod says it to whoever reads it."""
        return json.dumps(_entries(self.images), ensure_ascii=False, sort_keys=True)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is said to who makes the pod, where it is made."""
        return _sentences(self.verdict.findings, Severity.WARNING)

    @property
    def refusal(self) -> str:
        """What is said to who makes the pod, where it is not."""
        return "; ".join(_sentences(self.verdict.findings, Severity.ERROR))


def pin_digest(image: str, digest: str) -> str:
    """The image by the digest of the very manifest that was looked into, its registry and repository as they were written.

    A tag goes, and so does the digest of an index: which of its images is run, each node chooses.
    """
    name, _, _ = image.partition("@")
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.partition(':')[0]}@{digest}"


def judge_pod(rules: NamespaceRules, images: Sequence[SeenImage]) -> PodJudgement:
    """The judgement of all policies on all images."""
    verdicts = [verdict for each in images for verdict in _of_image(rules, each)]
    return PodJudgement(verdict=judge_all(verdicts), images=tuple(images))


def hold_to_pins(judged: PodJudgement) -> PodJudgement:
    """The judgement where an image that was looked into counts by its digest alone."""
    loose = [each for each in judged.images if each.pinned != each.place.image]
    findings = tuple(_loose(each) for each in loose)
    sentences = TrustVerdict(findings=findings, admits=not loose, would_admit=not loose)
    return replace(judged, verdict=judge_all([judged.verdict, sentences]))


def _loose(image: SeenImage) -> Finding:
    return Finding.error(
        "DJ382",
        image.place.where,
        f"its image is {image.place.image}, and was not pinned to its digest",
        "what runs would be what that name stands for later, which nobody looked at",
        "see which webhook changes images after ours (kubectl get mutatingwebhookconfigurations), or make the pod again",
    )


def _of_image(rules: NamespaceRules, image: SeenImage) -> Iterable[TrustVerdict]:
    name = name_of_image(image.place.image)
    yield from (judge_unseen(trust, name, error) for trust, error in rules.unreadable)
    for trust in rules.trusts:
        yield _by(trust, name, image)


def _by(trust: EnclaveTrust, name: str, image: SeenImage) -> TrustVerdict:
    if isinstance(image.look, DonjonError):
        return judge_unseen(trust, name, image.look)
    contents = image.look.contents
    broken = [judge_unseen(trust, name, Malformed("DJ378", fault)) for fault in contents.faults]
    enclaves = [each.enclave for each in contents.enclaves]
    keys = judge_containers(trust, name, {key: error for (policy, key), error in image.unproved.items() if policy == trust.name})
    of_enclaves = judge_enclaves(trust, name, enclaves, needs_enclave=image.place.asks and not broken)
    return judge_all([of_enclaves, *broken, keys])


def name_of_image(image: str) -> str:
    """Registry and repository, as policies speak of an image; what is no reference stays as it is."""
    try:
        reference = parse_reference(image)
    except Malformed:
        return image
    return f"{reference.registry}/{reference.repository}"


def _sentences(findings: Iterable[Finding], severity: Severity) -> tuple[str, ...]:
    sentences = [each.sentence() for each in findings if each.severity is severity]
    more = () if len(sentences) <= MAX_SAID else (f"and {len(sentences) - MAX_SAID} more",)
    return (*sentences[:MAX_SAID], *more)


def _entries(images: Iterable[SeenImage]) -> Json:
    left = MAX_TOLD
    entries: list[Json] = []
    for each in images:
        entry: JsonObject = {"container": each.place.container, "image": each.pinned}
        if isinstance(each.look, DonjonError):
            entries.append(entry | {"unknown": each.look.code})
            continue
        contents = each.look.contents
        enclaves: list[Json] = [_identity(enclave) for enclave in contents.enclaves[:left]]
        left -= len(enclaves)
        numbers = {"more": len(contents.enclaves) - len(enclaves), "broken": len(contents.faults)}
        entries.append(entry | {"enclaves": enclaves} | {name: number for name, number in numbers.items() if number})
    return entries


def _identity(contents: FileEnclave) -> JsonObject:
    sigstruct, path = contents.enclave.sigstruct, contents.path[-MAX_SHOWN_PATH:]
    if sigstruct is None:
        measurement = contents.enclave.measurement
        unsigned: JsonObject = {"path": path, "signed": False}
        return unsigned | ({} if measurement is None else {"mrenclave": measurement.hex()})
    identity: JsonObject = {
        "path": path,
        "mrenclave": sigstruct.mr_enclave.hex(),
        "mrsigner": sigstruct.mr_signer.hex(),
        "product": sigstruct.isv_prod_id,
        "svn": sigstruct.isv_svn,
    }
    sample = SAMPLE_KEYS.get(sigstruct.mr_signer.hex())
    return identity | ({"debug": True} if sigstruct.debug else {}) | ({} if sample is None else {"sampleKey": sample.key})
