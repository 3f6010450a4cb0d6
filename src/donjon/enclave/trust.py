"""Which enclaves may run: one policy as a value.

`trust_reading` reads it, `trust_scope` says where it holds, `trust_judgement` judges by it.

Whatever is left out of a policy is as strict as it can be, but for its mode: a policy warns until it is told to enforce.
"""

from dataclasses import dataclass
from enum import StrEnum

MAX_SIGNERS = 64
MAX_MEASUREMENTS = 256
MAX_KEYS = 16  # that sign containers
MAX_PATTERNS = 64  # of images
MAX_NAME = 63  # characters of what a person calls a signer, a measurement or a key
MAX_PATTERN = 255  # characters
MAX_PEM = 4096  # characters of a public key
MAX_ISV = 65_535  # of product ids and SVNs: two bytes of SIGSTRUCT


class TrustMode(StrEnum):
    """What becomes of a pod that a policy does not admit."""

    WARN = "warn"  # it is made, with warnings
    ENFORCE = "enforce"  # it is refused


class TrustAnswer(StrEnum):
    """What a policy says of what it does not know."""

    ALLOW = "allow"
    WARN = "warn"
    REFUSE = "refuse"


class DebugRule(StrEnum):
    """Whether enclaves that are signed for debugging may run where the policy holds."""

    NEVER = "never"
    HERE = "here"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustSigner:
    """Enclaves of one key: of all its products or of one, from an SVN on."""

    name: str  # what people call it; unique in its policy
    mr_signer: bytes
    product_id: int | None = None  # `None` for every product of that key
    min_svn: int = 0

    @property
    def scope(self) -> str:
        """What it allows, in words."""
        product = "every product" if self.product_id is None else f"product {self.product_id}"
        return f"{product}, SVN {self.min_svn} or higher"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustMeasurement:
    """One very enclave, whoever signed it."""

    name: str
    mr_enclave: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerKey:
    """A key of which an image must bear a signature, as cosign makes it. Who verifies it is not this room."""

    name: str
    key: str  # in PEM
    images: tuple[str, ...] = ()  # patterns of those that must; empty for all that the policy covers


@dataclass(frozen=True, slots=True, kw_only=True)
class EnclaveTrust:
    """One policy."""

    name: str = "policy"  # which policy it is, as findings call it
    mode: TrustMode = TrustMode.WARN
    images: tuple[str, ...] = ()  # patterns of what it covers; empty for every image
    signers: tuple[TrustSigner, ...] = ()
    measurements: tuple[TrustMeasurement, ...] = ()
    sample_keys: frozenset[bytes] = frozenset()  # the exceptions: MRSIGNERs of which everybody has the key
    debug: DebugRule = DebugRule.NEVER
    unsigned: TrustAnswer = TrustAnswer.REFUSE  # an enclave without SIGSTRUCT, which whoever loads it signs
    unknown: TrustAnswer = TrustAnswer.REFUSE  # an enclave of which neither signer nor measurement is listed
    no_enclave: TrustAnswer | None = None  # an image in which none is found, where one is needed; `None`: as `unknown`
    unreachable: TrustAnswer = TrustAnswer.REFUSE  # an image whose registry does not answer
    container_keys: tuple[ContainerKey, ...] = ()

    @property
    def enforces(self) -> bool:
        """Whether it refuses, or only warns."""
        return self.mode is TrustMode.ENFORCE

    @property
    def without_enclave(self) -> TrustAnswer:
        """What it says of an image in which no enclave is found."""
        return self.unknown if self.no_enclave is None else self.no_enclave

    def covers(self, image: str) -> bool:
        """Whether it has a say on that image."""
        return matches(self.images, image)

    def keys_for(self, image: str) -> tuple[ContainerKey, ...]:
        """The keys that must all have signed that image."""
        return tuple(each for each in self.container_keys if matches(each.images, image))


def matches(patterns: tuple[str, ...], image: str) -> bool:
    """Whether one of the patterns is of that image, or there is no pattern at all.

    `*` stands for any characters. An image is compared by registry and repository, without tag and digest.
    """
    name = repository(image)
    return not patterns or any(_fits(name, each) for each in patterns)


def _fits(name: str, pattern: str) -> bool:
    """Not by `fnmatch`, which keeps what it makes of 32,768 patterns for ever."""
    first, *others = pattern.split("*")
    if not others:
        return name == first
    *parts, last = others
    place, end = len(first), len(name) - len(last)
    if not name.startswith(first) or end < place or not name.endswith(last):
        return False
    for part in parts:
        if (start := name.find(part, place, end)) < 0:
            return False
        place = start + len(part)
    return True


def repository(image: str) -> str:
    """Registry and repository of an image whose reference is written in full, in small letters and without the usual port."""
    path, slash, last = image.lower().partition("@")[0].rpartition("/")
    host, rest = path.partition("/")[::2]
    path = "/".join((host.removesuffix(":443"), rest)) if rest else host.removesuffix(":443")
    return f"{path}{slash}{last.partition(':')[0]}"
