"""Signatures that cosign keeps beside an image, read from a real registry and proved by the key that a policy names."""

from collections.abc import Iterator

import httpx2
import pytest
from tests.adapters.dockerregistry import DockerRegistry, docker_registry
from tests.signing.test_containers import DIGEST, FOLDER, PAYLOAD, PEM

from donjon.adapters.images.images import Images
from donjon.adapters.images.signatures import container_signatures
from donjon.adapters.images.sources import digest_of
from donjon.errors import DonjonError, Untrusted
from donjon.images.access import RegistryAccess
from donjon.images.manifests import MANIFESTS
from donjon.images.references import parse_reference
from donjon.images.signatures import signature_tag
from donjon.services.admission.enclaves.reading import ImageReading

ACCESS = RegistryAccess(seconds=5.0, patience=20.0)
OTHER = f"sha256:{'0' * 64}"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    with docker_registry(tmp_path_factory.mktemp("registry") / "plain") as running:
        with httpx2.Client(base_url=f"http://{running.host}/v2/team/app", trust_env=False) as client:
            for content in (PAYLOAD, (FOLDER / "config.json").read_bytes()):
                place = client.post("/blobs/uploads/").headers["location"]
                sign = "&" if "?" in place else "?"
                assert client.put(f"{place}{sign}digest={digest_of(content)}", content=content).is_success
            headers = {"Content-Type": MANIFESTS[0]}
            manifest = (FOLDER / "signature.json").read_bytes()
            assert client.put(f"/manifests/{signature_tag(DIGEST)}", content=manifest, headers=headers).is_success
        yield running


def test_what_cosign_pushed_is_read_and_proved(registry: DockerRegistry) -> None:
    name = f"{registry.host}/team/app:1"
    (signature,) = container_signatures(ACCESS, parse_reference(name), DIGEST)
    assert signature.payload == PAYLOAD
    reading = ImageReading(images=Images(ACCESS), access=ACCESS)
    reading.prove(name, (DIGEST,), PEM)
    reading.prove(name, (OTHER, DIGEST), PEM)


def test_where_nobody_put_any_there_is_none(registry: DockerRegistry) -> None:
    name = f"{registry.host}/team/app:1"
    assert container_signatures(ACCESS, parse_reference(name), OTHER) == ()
    with pytest.raises(Untrusted) as raised:
        ImageReading(images=Images(ACCESS), access=ACCESS).prove(name, (OTHER,), PEM)
    assert raised.value.code == "DJ384"


def test_only_registries_that_are_allowed_are_asked(registry: DockerRegistry) -> None:
    reading = ImageReading(images=Images(ACCESS), access=ACCESS, registries=frozenset({"registry.example"}))
    for name in (f"{registry.host}/team/app:1", "oci:/etc", "docker-archive:/etc/passwd"):
        with pytest.raises(DonjonError) as raised:
            reading.resolve(name)
        assert raised.value.code == "DJ377"
