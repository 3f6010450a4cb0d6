"""Where an image's signatures are, as cosign keeps them beside it: a tag named after the digest, in its manifest a layer each.

Source: sigstore/cosign, `specs/SIGNATURE_SPEC.md`. What a signature proves is for `donjon.signing.containers`.
"""

from dataclasses import dataclass

from donjon.errors import Malformed
from donjon.formats import strict_json
from donjon.images.bounds import MAX_MANIFEST
from donjon.images.references import is_digest

PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE = "dev.cosignproject.cosign/signature"
MAX_SIGNATURES = 16  # of one image; who signs is few, and whoever can push may add others
MAX_PAYLOAD = 64 << 10  # bytes of what is signed
MAX_SIGNATURE = 4096  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class SignaturePlace:
    """One signature, and the digest of the bytes that it signs."""

    payload: str  # a digest
    signature: str  # in base64


def signature_tag(digest: str) -> str:
    """The tag under which the signatures of a digest are kept."""
    return f"{digest.replace(':', '-')}.sig"


def parse_signatures(text: bytes, subject: str) -> tuple[SignaturePlace, ...]:
    """The signatures that a manifest lists, the first of very many; raises `Malformed` DJ385 for no such manifest."""
    try:
        layers = strict_json.parse(text, subject, MAX_MANIFEST, fractions=True).members("layers")
        fitting = [each for each in layers if each.content.get("mediaType") == PAYLOAD][:MAX_SIGNATURES]
        places = [
            SignaturePlace(payload=each.text("digest"), signature=each.member("annotations").text(SIGNATURE)) for each in fitting
        ]
    except Malformed as error:
        raise Malformed("DJ385", f"{subject}: {error.message}") from error
    return tuple(each for each in places if is_digest(each.payload) and len(each.signature) <= MAX_SIGNATURE)
