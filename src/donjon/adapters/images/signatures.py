"""What is kept beside an image in its registry as its signatures, by cosign's convention."""

from donjon.adapters.images.registry import Registry
from donjon.adapters.images.sources import check
from donjon.errors import Unavailable
from donjon.findings.codes import REGISTRY_UNKNOWN
from donjon.images.access import RegistryAccess
from donjon.images.manifests import MANIFESTS
from donjon.images.references import ImageReference
from donjon.images.signatures import MAX_PAYLOAD, PAYLOAD, parse_signatures, signature_tag
from donjon.signing.containers import ContainerSignature


def container_signatures(access: RegistryAccess, reference: ImageReference, digest: str) -> tuple[ContainerSignature, ...]:
    """The signatures of the image of that digest, in the repository of the reference; none where nobody put any.

    Raises `Malformed` DJ385 for what is none, `Untrusted` DJ323 for a payload of another digest, `Unavailable` as `Images` does.
    """
    what = f"{reference.registry}/{reference.repository}:{signature_tag(digest)}"
    with Registry(access, reference) as registry:
        try:
            manifest = registry.document(f"manifests/{signature_tag(digest)}", MANIFESTS)
        except Unavailable as error:
            if error.code == REGISTRY_UNKNOWN:
                return ()
            raise
        return tuple(
            ContainerSignature(payload=_payload(registry, place.payload, what), signature=place.signature)
            for place in parse_signatures(manifest, what)
        )


def _payload(registry: Registry, digest: str, what: str) -> bytes:
    return check(registry.document(f"blobs/{digest}", (PAYLOAD,))[: MAX_PAYLOAD + 1], digest, what)
