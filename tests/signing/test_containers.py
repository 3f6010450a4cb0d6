"""What cosign signed is proved, and nothing that was changed, or signed by or for another."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from donjon.errors import DonjonError, Malformed, Untrusted
from donjon.images.signatures import parse_signatures, signature_tag
from donjon.signing.containers import ContainerSignature, parse_container_key, verify_container

FOLDER = Path(__file__).parents[2] / "vectors" / "cosign"
DIGEST = "sha256:616941cb78c12b9932624cd6aa07b14a2cc5d4444dbd7e7188f5d012027f2943"
PEM = (FOLDER / "cosign.pub").read_text()
PAYLOAD = (FOLDER / "payload.json").read_bytes()
(PLACE,) = parse_signatures((FOLDER / "signature.json").read_bytes(), "vector")
SIGNATURE = ContainerSignature(payload=PAYLOAD, signature=PLACE.signature)


def test_what_cosign_signed_is_proved() -> None:
    verify_container(SIGNATURE, parse_container_key(PEM), DIGEST)
    assert signature_tag(DIGEST) == "sha256-616941cb78c12b9932624cd6aa07b14a2cc5d4444dbd7e7188f5d012027f2943.sig"


@pytest.mark.parametrize(
    "signature",
    [
        ContainerSignature(payload=PAYLOAD.replace(b"616941", b"616942"), signature=PLACE.signature),
        ContainerSignature(payload=PAYLOAD + b" ", signature=PLACE.signature),
        ContainerSignature(payload=PAYLOAD, signature=PLACE.signature[:-8] + "AAAAAAA="),
        ContainerSignature(payload=PAYLOAD, signature="no base64"),
        ContainerSignature(payload=PAYLOAD, signature=""),
    ],
)
def test_what_was_changed_proves_nothing(signature: ContainerSignature) -> None:
    with pytest.raises(Untrusted) as raised:
        verify_container(signature, parse_container_key(PEM), DIGEST)
    assert raised.value.code == "DJ384"


def test_another_key_and_another_digest_are_refused() -> None:
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(Untrusted):
        verify_container(SIGNATURE, other, DIGEST)
    with pytest.raises(Untrusted, match="expected sha256:0000"):
        verify_container(SIGNATURE, parse_container_key(PEM), f"sha256:{'0' * 64}")


def said(**changed: Any) -> bytes:
    critical = {
        "identity": {"docker-reference": ""},
        "image": {"docker-manifest-digest": DIGEST},
        "type": "cosign container image signature",
    }
    return json.dumps({"critical": critical | changed, "optional": None}).encode()


def test_keys_of_each_kind_are_taken() -> None:
    payload = said()
    edwards, own = ed25519.Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 2048)
    verify_container(_signed(payload, edwards.sign(payload)), edwards.public_key(), DIGEST)
    verify_container(_signed(payload, own.sign(payload, PKCS1v15(), SHA256())), own.public_key(), DIGEST)


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (said(type="atomic container signature"), "DJ384"),
        (said(image={}), "DJ385"),
        (said(image=[]), "DJ385"),
        (b"[]", "DJ385"),
        (b'{"critical":{},"critical":{}}', "DJ385"),
        (b"{" * 10_000, "DJ385"),
        (said(filler="x" * 70_000), "DJ385"),
    ],
)
def test_a_true_signature_of_something_else_is_refused(payload: bytes, code: str) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    with pytest.raises(DonjonError) as raised:
        verify_container(_signed(payload, key.sign(payload)), key.public_key(), DIGEST)
    assert raised.value.code == code


def test_a_key_that_is_none_is_refused() -> None:
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505 - it is to be refused.
    small = weak.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for pem in ("", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", small.decode()):
        with pytest.raises(Malformed) as raised:
            parse_container_key(pem)
        assert raised.value.code == "DJ385"


def _signed(payload: bytes, signature: bytes) -> ContainerSignature:
    return ContainerSignature(payload=payload, signature=base64.b64encode(signature).decode())


@pytest.mark.parametrize("text", [b"", b"{}", b'{"layers":[{"mediaType":"application/vnd.dev.cosign.simplesigning.v1+json"}]}'])
def test_a_manifest_of_signatures_that_is_none_is_refused(text: bytes) -> None:
    with pytest.raises(Malformed) as raised:
        parse_signatures(text, "signatures")
    assert raised.value.code == "DJ385"


def test_of_very_many_signatures_the_first_are_taken_and_other_layers_let_alone() -> None:
    whole = json.loads((FOLDER / "signature.json").read_bytes())
    (layer,) = whole["layers"]
    whole["layers"] = [{**layer, "mediaType": "text/plain"}, *[layer] * 100]
    assert len(parse_signatures(json.dumps(whole).encode(), "signatures")) == 16
