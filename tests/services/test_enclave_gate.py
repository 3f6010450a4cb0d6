"""What becomes of a pod by the enclaves in its images: warned about, refused, pinned, and held to it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.enclave.vectors import EDP
from tests.services.enclaves import (
    AWAY,
    EMPTY,
    GOOD,
    POLICIES,
    SAMPLED,
    FakeImages,
    Story,
    admitted,
    asking,
    digest_of,
    pinned,
    policy,
    story,
)

from donjon.admission.policies.enclaves import HOLD_PATH, PIN_PATH
from donjon.enclave.record import read_record
from donjon.errors import Malformed, Unavailable, Untrusted
from donjon.kube.names import ANNOTATION_ENCLAVES, ANNOTATION_IMAGES
from donjon.services.admission.enclaves import gate, inspection, rulebook


def told(short: Path, tale: Callable[[Story], Awaitable[None]], images: FakeImages | None = None) -> None:
    async def run() -> None:
        async with story(short, images) as here:
            await here.until_rules()
            await tale(here)

    asyncio.run(run())


def test_an_image_of_a_trusted_signer_is_admitted_and_pinned(short: Path) -> None:
    async def tale(here: Story) -> None:
        await here.put_policy()
        made = asking(GOOD)
        answer = await here.ask(PIN_PATH, made)
        assert answer["allowed"]
        after: Any = admitted(made, answer)
        assert after["spec"]["containers"][0]["image"] == pinned(GOOD)
        notes = after["metadata"]["annotations"]
        (found,) = json.loads(notes[ANNOTATION_ENCLAVES])
        assert found["enclaves"][0]["mrsigner"] == EDP.mr_signer.hex()
        assert json.loads(notes[ANNOTATION_IMAGES]) == {"c0": GOOD}
        assert (await here.ask(HOLD_PATH, after))["allowed"]
        assert here.images.inspected == [GOOD]  # once a digest

    told(short, tale)


def test_a_sample_key_is_refused_by_its_name_and_only_warned_about_where_a_policy_warns(short: Path) -> None:
    async def tale(here: Story) -> None:
        await here.put_policy()
        answer = await here.ask(PIN_PATH, asking(SAMPLED))
        assert not answer["allowed"]
        assert "Intel SDK's sample key" in answer["status"]["message"]
        assert "[DJ368]" in answer["status"]["message"]
        await here.put_policy(mode="warn")
        answer = await here.ask(PIN_PATH, asking(SAMPLED))
        assert answer["allowed"]
        assert any("Intel SDK's sample key" in each for each in answer["warnings"])
        assert admitted(asking(SAMPLED), answer)["spec"]["containers"][0]["image"] == pinned(SAMPLED)
        assert [judgement for judgement, _ in here.told] == ["refused", "admitted"]

    told(short, tale)


def test_without_a_policy_nobody_is_asked_and_the_pod_says_so(short: Path) -> None:
    async def tale(here: Story) -> None:
        made = asking(SAMPLED)
        after = admitted(made, await here.ask(PIN_PATH, made))
        assert after["metadata"]["annotations"] == {ANNOTATION_ENCLAVES: "[]"}
        assert after["spec"] == made["spec"]
        assert here.images.asked == []

    told(short, tale)


def test_a_pod_that_does_not_ask_is_let_alone(short: Path) -> None:
    async def tale(here: Story) -> None:
        await here.put_policy()
        made = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": SAMPLED}]}}
        for path in (PIN_PATH, HOLD_PATH):
            assert await here.ask(path, made) == {"uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "allowed": True}
        assert here.images.asked == []

    told(short, tale)


@pytest.mark.parametrize(("unreachable", "allowed"), [("refuse", False), ("warn", True), ("allow", True)])
def test_a_registry_that_does_not_answer_is_as_the_policy_says(short: Path, unreachable: str, *, allowed: bool) -> None:
    async def tale(here: Story) -> None:
        await here.put_policy(unreachable=unreachable)
        made = asking(AWAY)
        answer = await here.ask(PIN_PATH, made)
        assert answer["allowed"] is allowed
        if not allowed:
            assert "DJ373" in answer["status"]["message"]
            return
        assert bool(answer["warnings"]) is (unreachable == "warn")
        after = admitted(made, answer)
        assert after["spec"] == made["spec"]  # What is not known is not pinned.
        assert (await here.ask(HOLD_PATH, after))["allowed"]

    told(short, tale)


@pytest.mark.parametrize("error", [Untrusted("DJ377", "nobody asks it"), Malformed("DJ320", "no reference")])
def test_what_is_not_what_it_says_to_be_is_refused_whatever_the_policy_says_of_the_unreachable(
    short: Path, error: Untrusted | Malformed
) -> None:
    async def tale(here: Story) -> None:
        await here.put_policy(unreachable="allow")
        assert not (await here.ask(PIN_PATH, asking(AWAY)))["allowed"]

    told(short, tale, FakeImages(error=error))


def test_a_broken_enclave_is_refused_beside_a_good_one(short: Path) -> None:
    async def tale(here: Story) -> None:
        await here.put_policy(unreachable="allow", unknown="allow")
        answer = await here.ask(PIN_PATH, asking(GOOD))
        assert not answer["allowed"]
        assert "lies about its notes" in answer["status"]["message"]

    told(short, tale, FakeImages(faults=("opt/x.so: it lies about its notes [DJ306]",)))


def test_an_image_that_takes_long_is_being_looked_into_and_the_next_pod_finds_it_known(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(gate.WITHIN, PIN_PATH, 0.1)

    async def tale(here: Story) -> None:
        await here.put_policy()
        here.images.slow.clear()
        answer = await here.ask(PIN_PATH, asking(GOOD))
        assert not answer["allowed"]
        assert "DJ379" in answer["status"]["message"]
        assert f"again in {inspection.AGAIN_IN} s" in answer["status"]["message"]
        here.images.slow.set()
        async with asyncio.timeout(5):
            while here.inspections.running:  # noqa: ASYNC110 - what is waited for is another thread's.
                await asyncio.sleep(0.01)
        assert (await here.ask(PIN_PATH, asking(GOOD)))["allowed"]
        assert here.images.inspected == [GOOD]

    told(short, tale)


def test_one_namespace_cannot_take_every_place(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(gate.WITHIN, PIN_PATH, 0.05)
    monkeypatch.setattr(inspection, "MAX_OF_NAMESPACE", 2)

    async def tale(here: Story) -> None:
        await here.put_policy()
        here.images.slow.clear()
        for number in range(3):
            answer = await here.ask(PIN_PATH, asking(f"registry.example/stalls:{number}"))
            assert ("too many others" in answer["status"]["message"]) is (number == 2)
        here.images.slow.set()
        answer = await here.ask(PIN_PATH, asking(GOOD), namespace="another")
        assert "too many others" not in str(answer)

    told(short, tale)


def test_an_image_that_is_not_pinned_in_the_end_is_refused(short: Path) -> None:
    async def tale(here: Story) -> None:
        await here.put_policy()
        forged = asking(GOOD)
        forged["metadata"]["annotations"] = {ANNOTATION_ENCLAVES: "[]"}
        answer = await here.ask(HOLD_PATH, forged)
        assert not answer["allowed"]
        assert "[DJ382]" in answer["status"]["message"]
        assert not (await here.ask(HOLD_PATH, asking(pinned(SAMPLED))))["allowed"]

    told(short, tale)


def test_only_another_image_of_a_running_pod_is_judged(short: Path) -> None:
    async def tale(here: Story) -> None:
        await here.put_policy()
        old = asking(SAMPLED)  # It ran before there was a policy.
        debugged = {**old, "spec": {**old["spec"], "ephemeralContainers": [{"name": "d", "image": SAMPLED}]}}
        change = {"operation": "UPDATE", "subResource": "ephemeralcontainers", "oldObject": old}
        assert not (await here.ask(PIN_PATH, debugged, **change))["allowed"]
        debugged["spec"]["ephemeralContainers"] = [{"name": "d", "image": EMPTY}]
        answer = await here.ask(PIN_PATH, debugged, **change)
        assert answer["allowed"]  # It can ask for no device, so it needs no enclave.
        after = admitted(debugged, answer)
        assert after["spec"]["ephemeralContainers"][0]["image"] == pinned(EMPTY)
        assert after["spec"]["containers"] == old["spec"]["containers"]
        assert (await here.ask(HOLD_PATH, after, **change))["allowed"]
        moved = asking(GOOD)
        answer = await here.ask(PIN_PATH, moved, operation="UPDATE", oldObject=old)
        assert admitted(moved, answer)["spec"]["containers"][0]["image"] == pinned(GOOD)

    told(short, tale)


def test_the_image_of_a_volume_is_judged_and_pinned(short: Path) -> None:
    """Whatever container mounts it can start what is in it (KEP-4639)."""

    async def tale(here: Story) -> None:
        await here.put_policy()
        made = asking(GOOD)
        made["spec"]["volumes"] = [{"name": "e", "emptyDir": {}}, {"name": "v", "image": {"reference": SAMPLED}}]
        refusal = await here.ask(PIN_PATH, made)
        assert not refusal["allowed"]
        assert "registry.example/sampled" in refusal["status"]["message"]
        made["spec"]["volumes"][1]["image"]["reference"] = EMPTY  # It needs no enclave, for it asks for no device.
        after = admitted(made, await here.ask(PIN_PATH, made))
        assert after["spec"]["volumes"][1]["image"]["reference"] == pinned(EMPTY)
        assert json.loads(after["metadata"]["annotations"][ANNOTATION_IMAGES])["volume v"] == EMPTY
        assert "volume v: its image" in (await here.ask(HOLD_PATH, made))["status"]["message"]
        assert (await here.ask(HOLD_PATH, after))["allowed"]

    told(short, tale)


def test_a_container_that_does_not_ask_needs_no_enclave_and_its_enclaves_are_judged(short: Path) -> None:
    async def tale(here: Story) -> None:
        await here.put_policy()
        assert (await here.ask(PIN_PATH, asking(GOOD, EMPTY)))["allowed"]
        assert not (await here.ask(PIN_PATH, asking(EMPTY)))["allowed"]
        assert not (await here.ask(PIN_PATH, asking(GOOD, SAMPLED)))["allowed"]

    told(short, tale)


def test_a_policy_that_cannot_be_read_refuses_while_it_enforces_and_says_so_in_its_status(short: Path) -> None:
    async def tale(here: Story) -> None:
        await here.put_policy(debug="sometimes")
        answer = await here.ask(PIN_PATH, asking(GOOD))
        assert not answer["allowed"]
        assert "DJ365" in answer["status"]["message"]
        (path,) = [path for path in here.api.objects if path.endswith("/p")]
        status: Any = here.api.objects[path]["status"]
        assert status["observedGeneration"] == 1
        assert (status["conditions"][0]["status"], status["conditions"][0]["reason"]) == ("False", "Unreadable")
        assert "debug" in status["conditions"][0]["message"]

    told(short, tale)


def test_a_policy_in_force_says_so_once(short: Path) -> None:
    async def tale(here: Story) -> None:
        await here.put_policy()
        (path,) = [path for path in here.api.objects if path.endswith("/p")]
        status: Any = here.api.objects[path]["status"]
        assert (status["conditions"][0]["status"], status["signers"], status["measurements"]) == ("True", 1, 0)
        await asyncio.sleep(0.2)
        assert len(here.api.asked("PATCH", f"{path}/status")) == 1

    told(short, tale)


def test_what_was_found_is_shared_and_not_in_a_rehearsal(short: Path) -> None:
    async def tale(here: Story) -> None:
        await here.put_policy(mode="warn")
        await here.ask(PIN_PATH, asking(SAMPLED), dryRun=True)
        await here.ask(PIN_PATH, asking(GOOD))
        path = f"/apis/donjon.dev/v1alpha1/enclaveimages/{digest_of(GOOD).replace(':', '-')}"
        async with asyncio.timeout(5):
            while path not in here.api.objects:  # noqa: ASYNC110 - another loop's state.
                await asyncio.sleep(0.01)
        shared = read_record(here.api.objects[path], "test")
        assert shared is not None
        assert shared.enclaves[0].enclave.sigstruct == EDP
        assert len([path for path in here.api.objects if "enclaveimages" in path]) == 1

    told(short, tale)


def test_what_another_replica_found_is_not_looked_for_again(short: Path) -> None:
    async def tale(here: Story) -> None:
        found = FakeImages().inspect(FakeImages().resolve(GOOD))
        here.memory.keep(found, share=True)
        await here.put_policy()
        assert (await here.ask(PIN_PATH, asking(GOOD)))["allowed"]
        assert here.images.inspected == []

    told(short, tale)


def test_before_the_policies_were_read_nobody_is_judged(short: Path) -> None:
    async def run() -> None:
        async with story(short) as here:
            with pytest.raises(Unavailable) as raised:
                await here.ask(PIN_PATH, asking(SAMPLED))
            assert raised.value.code == "DJ380"

    asyncio.run(run())


def test_too_many_images_are_not_looked_for(short: Path) -> None:
    async def tale(here: Story) -> None:
        await here.put_policy()
        answer = await here.ask(PIN_PATH, asking(*(f"registry.example/i{number}:1" for number in range(70))))
        assert not answer["allowed"]
        assert len(here.images.asked) <= 8
        long = await here.ask(PIN_PATH, asking("registry.example/" + "a" * 600))
        assert "DJ381" in long["status"]["message"]
        assert len(long["status"]["message"]) < 4000

    told(short, tale)


def test_a_pod_of_very_many_containers_keeps_nobody_waiting(short: Path) -> None:
    async def tale(here: Story) -> None:
        await here.put_policy()
        answer = await here.ask(PIN_PATH, asking(*[GOOD] * 300))
        assert not answer["allowed"]
        assert "[DJ381]" in answer["status"]["message"]
        await here.put_policy(mode="warn")
        answer = await here.ask(PIN_PATH, asking(*[GOOD] * 300))
        assert answer["allowed"]
        assert "[DJ381]" in answer["warnings"][0]
        assert not here.images.asked

    told(short, tale)


KEY = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"
SIGNED = [{"name": "release", "key": KEY}]


def test_an_image_must_bear_the_signature_of_each_key_that_a_policy_names(short: Path) -> None:
    async def tale(here: Story) -> None:
        await here.put_policy(containerSignatures=SIGNED)
        answer = await here.ask(PIN_PATH, asking(GOOD))
        assert not answer["allowed"]
        assert "no signature of release was proved" in answer["status"]["message"]
        assert "[DJ384]" in answer["status"]["message"]
        await here.put_policy(containerSignatures=[{**SIGNED[0], "images": ["other.example/*"]}])
        assert (await here.ask(PIN_PATH, asking(GOOD)))["allowed"]

    told(short, tale)


def test_a_signature_is_of_the_manifest_or_of_the_index_that_the_tag_stands_for(short: Path) -> None:
    index = f"sha256:{'1d' * 32}"

    async def tale(here: Story) -> None:
        await here.put_policy(containerSignatures=SIGNED)
        made = asking(GOOD)
        after = admitted(made, await here.ask(PIN_PATH, made))
        assert after["spec"]["containers"][0]["image"] == pinned(GOOD)
        assert (await here.ask(HOLD_PATH, after))["allowed"]
        here.inspections._proofs.clear()  # as of another replica
        assert (await here.ask(HOLD_PATH, after))["allowed"]
        here.inspections._proofs.clear()
        forged = asking(pinned(EMPTY))
        forged["metadata"]["annotations"] = after["metadata"]["annotations"]
        assert "DJ384" in (await here.ask(HOLD_PATH, forged))["status"]["message"]

    told(short, tale, FakeImages(index=index, proofs={index: KEY}))
    told(short, tale, FakeImages(proofs={digest_of(GOOD): KEY}))


EVERYWHERE_ELSE = {"matchLabels": {"stage": "another"}}


def test_a_policy_of_the_cluster_holds_where_it_selects_and_where_nobody_knows_the_labels(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rulebook, "HEARD_WITHIN", 0.1)

    async def tale(here: Story) -> None:
        await here.put_policy(namespaceSelector=EVERYWHERE_ELSE)
        assert (await here.ask(PIN_PATH, asking(SAMPLED)))["allowed"]
        assert not (await here.ask(PIN_PATH, asking(SAMPLED), namespace="another"))["allowed"]
        assert not (await here.ask(PIN_PATH, asking(SAMPLED), namespace="nobody-heard-of"))["allowed"]
        large: Any = {"name": "team", "labels": {"stage": "team"}, "annotations": {"note": "x" * 400_000}}
        here.api.put("/api/v1/namespaces/team", {"metadata": large})
        await asyncio.sleep(0.1)
        assert not (await here.ask(PIN_PATH, asking(SAMPLED)))["allowed"]

    told(short, tale)


def test_a_policy_too_large_to_be_read_refuses_and_blinds_nobody_to_others(short: Path) -> None:
    async def tale(here: Story) -> None:
        large = policy()
        large["metadata"] |= {"name": "large", "annotations": {"note": "x" * 400_000}}
        here.api.put(f"{POLICIES}/large", large)
        await here.until_rules()
        assert "larger than 320 KiB" in (await here.ask(PIN_PATH, asking(GOOD)))["status"]["message"]
        here.api.delete(f"{POLICIES}/large")
        await here.put_policy()
        assert (await here.ask(PIN_PATH, asking(GOOD)))["allowed"]

    told(short, tale)


def test_a_namespace_that_was_made_a_moment_ago_is_waited_for(short: Path) -> None:
    async def tale(here: Story) -> None:
        await here.put_policy(namespaceSelector=EVERYWHERE_ELSE)
        asked = asyncio.create_task(here.ask(PIN_PATH, asking(SAMPLED), namespace="young"))
        await asyncio.sleep(0.2)
        here.api.put("/api/v1/namespaces/young", {"metadata": {"name": "young"}})
        assert (await asked)["allowed"]

    told(short, tale)
