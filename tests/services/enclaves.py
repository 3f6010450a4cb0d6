"""Images that nobody has to fetch, policies in a fake API server, and the gate between them."""

import asyncio
import base64
import json
import threading
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.adapters.fakeapi import FakeApi
from tests.enclave.vectors import EDP, SAMPLE

from donjon.adapters import clock
from donjon.adapters.kubeapi.client import KubeApi
from donjon.enclave.record import FileEnclave, InspectedImage
from donjon.enclave.search import enclaves
from donjon.errors import DonjonError, Unavailable, Untrusted
from donjon.findings import Finding
from donjon.images.image import Image, ImageConfig
from donjon.images.references import parse_reference
from donjon.kube.names import EPC
from donjon.kube.patch import Add, apply
from donjon.services.admission.enclaves.gate import EnclaveGate
from donjon.services.admission.enclaves.inspection import Inspections
from donjon.services.admission.enclaves.memory import ImageMemory
from donjon.services.admission.enclaves.rulebook import Rulebook

SOON = 5.0
POLICIES = "/apis/donjon.dev/v1alpha1/clusterenclavepolicies"
GOOD, SAMPLED, EMPTY = "registry.example/good:1", "registry.example/sampled:1", "registry.example/empty:1"
AWAY = "registry.example/away:1"
SIGNER = {"name": "ours", "mrSigner": EDP.mr_signer.hex()}


def digest_of(image: str) -> str:
    """A digest that is the image's own."""
    return f"sha256:{image.encode().hex():0<64.64}"


@dataclass
class FakeImages:
    """Images by their names, each with the SIGSTRUCTs in it; what is not there is a registry that does not answer."""

    holding: dict[str, Sequence[bytes]] = field(default_factory=lambda: {GOOD: [EDP.raw], SAMPLED: [SAMPLE.raw], EMPTY: []})
    error: DonjonError = field(default_factory=lambda: Unavailable("DJ330", "registry.example: it does not answer"))
    faults: tuple[str, ...] = ()
    index: str = ""  # the digest that every tag stands for, where that is an index's
    asked: list[str] = field(default_factory=list)
    inspected: list[str] = field(default_factory=list)
    proofs: dict[str, str] = field(default_factory=dict)  # the key that signed each digest
    slow: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.slow.set()

    def resolve(self, image: str) -> Image:
        self.asked.append(image)
        self.slow.wait(SOON)
        name = next((each for each in self.holding if image in {each, pinned(each)}), None)
        if name is None:
            raise self.error
        named = self.index if image == name else digest_of(name)
        return Image(reference=parse_reference(name), digest=digest_of(name), config=ImageConfig(), layers=(), named_digest=named)

    def prove(self, image: str, digests: Collection[str], pem: str) -> None:
        del image
        if not any(self.proofs.get(digest) == pem for digest in digests):
            raise Untrusted("DJ384", "no signature is kept beside it")

    def inspect(self, image: Image) -> InspectedImage:
        self.inspected.append(str(image.reference))
        held = self.holding[str(image.reference)]
        found = tuple(FileEnclave(path="opt/e.sig", enclave=each) for raw in held for each in enclaves(raw))
        return InspectedImage(digest=image.digest, enclaves=found, faults=self.faults)


def pinned(image: str) -> str:
    return f"{image.rpartition(':')[0]}@{digest_of(image)}"


def policy(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "donjon.dev/v1alpha1",
        "kind": "ClusterEnclavePolicy",
        "metadata": {"name": "p", "generation": 1},
        "spec": {"mode": "enforce", "signers": [SIGNER], **spec},
    }


def asking(*images: str, **more: Any) -> dict[str, Any]:
    containers = [
        {"name": f"c{number}", "image": image, "resources": {"limits": {EPC: "1Mi"} if number == 0 else {}}}
        for number, image in enumerate(images)
    ]
    return {"metadata": {"name": "p"}, "spec": {"containers": containers}, **more}


@dataclass
class Story:
    """The gate and all around it."""

    api: FakeApi
    images: FakeImages
    gate: EnclaveGate
    rulebook: Rulebook
    memory: ImageMemory
    inspections: Inspections
    told: list[tuple[str, list[str]]] = field(default_factory=list)

    async def ask(self, path: str, made: Any, **changed: Any) -> dict[str, Any]:
        from tests.admission.test_review import question  # noqa: PLC0415 - it brings hypothesis along.

        body = json.dumps(question(made, **changed)).encode()
        answer: dict[str, Any] = json.loads(await self.gate.answer(path, body))["response"]
        return answer

    async def put_policy(self, **spec: Any) -> None:
        self.api.put(f"{POLICIES}/p", policy(**spec))
        await self.until_rules()

    @property
    def _policies(self) -> int:
        return sum(path.startswith(POLICIES) for path in self.api.objects)

    async def until_rules(self) -> None:
        async with asyncio.timeout(SOON):
            while self.rulebook.missing or len(self.rulebook) != self._policies:  # noqa: ASYNC110 - another loop's state.
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)


def admitted(made: Any, answer: dict[str, Any]) -> Any:
    """The pod after the patch of an answer."""
    steps = json.loads(base64.b64decode(answer["patch"]))
    return apply(made, [Add(path=each["path"], value=each["value"]) for each in steps])


@asynccontextmanager
async def story(folder: Path, images: FakeImages | None = None) -> AsyncIterator[Story]:
    """A gate that reads its policies from a fake API server."""
    api = FakeApi()
    await api.start()
    for name in ("team", "another"):
        api.put(f"/api/v1/namespaces/{name}", {"metadata": {"name": name, "labels": {"stage": name}}})
    client = KubeApi(api.access(folder))
    rulebook, memory = Rulebook(client, clock.moment), ImageMemory(client, "test")
    reader = images or FakeImages()
    inspections = Inspections(reader, memory, clock.monotonic)
    told: list[tuple[str, list[str]]] = []

    def tell(judgement: str, findings: Sequence[Finding]) -> None:
        told.append((judgement, [each.code for each in findings]))

    gate = EnclaveGate(rulebook, inspections, tell)
    tasks = [asyncio.create_task(each) for each in (rulebook.run(), memory.follow(), memory.write())]
    try:
        yield Story(api, reader, gate, rulebook, memory, inspections, told)
    finally:
        reader.slow.set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await inspections.close()
        await client.close()
        with suppress(ConnectionError):
            await api.stop()
