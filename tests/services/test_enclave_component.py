"""What the gate knows by: settings and files, images warmed at the start, objects shared and dropped, registries not asked."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.dockerregistry import docker_registry
from tests.services.enclaves import AWAY, GOOD, SAMPLED, FakeImages, asking, story

from donjon.adapters.images.images import Images
from donjon.adapters.kubeapi.client import KubeApi
from donjon.enclave.record import InspectedImage, write_record
from donjon.errors import DonjonError, Misconfigured
from donjon.services.admission import settings as admission_settings
from donjon.services.admission.enclaves import memory
from donjon.services.admission.enclaves.credentials import registry_access
from donjon.services.admission.enclaves.reading import ImageReading
from donjon.services.admission.enclaves.settings import EnclaveSettings
from donjon.services.admission.enclaves.warming import warm

SHARED = "/apis/donjon.dev/v1alpha1/enclaveimages"


def test_settings_are_read_together_and_nothing_is_asked_unless_told_to() -> None:
    assert admission_settings.read({}, {}, "").enclaves is None
    flags = {"enclaves": "true", "registry": "a.example,b.example:5000", "registry-inside": "b.example:5000"}
    said = admission_settings.read(flags, {}, "").enclaves
    assert said == EnclaveSettings(registries=frozenset({"a.example", "b.example:5000"}), inside=frozenset({"b.example:5000"}))
    with pytest.raises(Misconfigured) as raised:
        admission_settings.read({"enclaves": "true", "registry": "https://a.example"}, {}, "")
    assert "HOST or HOST:PORT" in str(raised.value)


def test_credentials_and_authorities_come_from_files_and_missing_ones_are_told(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"auths": {"a.example": {"username": "u", "password": "p"}}}')
    access = registry_access(EnclaveSettings(config=config, authority=config))
    assert access.logins["a.example"].user == "u"
    assert access.authorities == config.read_text()
    config.write_text("no JSON")
    for settings, code in ((EnclaveSettings(config=config), "DJ334"), (EnclaveSettings(authority=tmp_path / "no"), "DJ383")):
        with pytest.raises(Misconfigured) as raised:
            registry_access(settings)
        assert raised.value.code == code


def test_a_registry_of_this_machine_is_asked_only_where_settings_name_it(tmp_path: Path) -> None:
    with docker_registry(tmp_path / "registry") as registry:
        for inside, code in ((frozenset[str](), "DJ336"), (frozenset({registry.host}), "DJ332")):
            access = registry_access(EnclaveSettings(inside=inside, plain_http=frozenset({registry.host})))
            with pytest.raises(DonjonError) as raised:
                ImageReading(images=Images(access), access=access).resolve(f"{registry.host}/team/app:1")
            assert raised.value.code == code


def test_images_of_running_pods_that_ask_are_looked_into_first(short: Path) -> None:
    async def run() -> None:
        async with story(short) as here:
            ended: Any = {**asking(SAMPLED), "status": {"phase": "Succeeded"}}
            plain: Any = asking(SAMPLED)
            plain["spec"]["containers"][0]["resources"] = {}
            for number, pod in enumerate((asking(AWAY), asking(GOOD), ended, plain)):
                here.api.put(f"/api/v1/pods/p{number}", pod)
            client = KubeApi(here.api.access(short))
            await warm(client, here.inspections)
            await client.close()
            assert here.images.inspected == [GOOD]

    asyncio.run(run())


def test_of_shared_objects_the_oldest_go(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MAX_SHARED", 3)

    def image(number: int) -> InspectedImage:
        return InspectedImage(digest=f"sha256:{number:064x}", enclaves=())

    async def run() -> None:
        async with story(short) as here:
            for number in range(5):
                record: Any = write_record(image(number), "test")
                record["metadata"]["creationTimestamp"] = f"2026-11-30T10:00:{number:02}Z"
                here.api.put(f"{SHARED}/{record['metadata']['name']}", record)
            async with asyncio.timeout(5):
                while len(here.memory) < 5:  # noqa: ASYNC110 - another loop's state.
                    await asyncio.sleep(0.01)
            await here.memory._drop_oldest()
            left = sorted(path[-2:] for path in here.api.objects if path.startswith(SHARED))
            assert left == ["02", "03", "04"]
            await here.memory._drop_oldest()
            assert len([each for each in here.api.requests if each.method == "DELETE"]) == 2

    asyncio.run(run())


def test_an_object_of_another_version_is_written_anew_once_somebody_looked(short: Path) -> None:
    async def run() -> None:
        async with story(short) as here:
            found = FakeImages().inspect(FakeImages().resolve(GOOD))
            old: Any = write_record(found, "another version")
            path = f"{SHARED}/{old['metadata']['name']}"
            here.api.put(path, old)
            await here.until_rules()
            assert here.memory.get(found.digest) is None
            here.memory.keep(found, share=True)
            async with asyncio.timeout(5):
                while here.api.objects[path]["spec"]["reader"] != "test":  # type: ignore[index,call-overload]  # noqa: ASYNC110 - as above.
                    await asyncio.sleep(0.01)

    asyncio.run(run())
