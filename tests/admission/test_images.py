"""Which images a pod has, who asks, and what stands there once their digests are pinned."""

import json
from typing import Any

from donjon.admission.images import asks_for_enclaves, images_of, pin
from donjon.kube.names import ANNOTATION_ENCLAVES, ANNOTATION_IMAGES, ENCLAVE, EPC, PROVISION
from donjon.kube.patch import apply

PINNED = f"registry.example/a@sha256:{'0' * 64}"


def made(*containers: Any, **spec: Any) -> Any:
    return {"metadata": {"name": "p"}, "spec": {"containers": list(containers), **spec}}


def one(name: str, image: str, **limits: Any) -> Any:
    return {"name": name, "image": image, "resources": {"limits": limits}}


def test_images_of_every_kind_of_container_are_there_with_their_places() -> None:
    whole = made(
        one("app", "a:1", **{EPC: "1Mi"}),
        initContainers=[one("first", "b:1")],
        ephemeralContainers=[{"name": "debug", "image": "c:1"}],
    )
    assert [(each.path, each.image, each.asks) for each in images_of(whole)] == [
        ("/spec/initContainers/0/image", "b:1", False),
        ("/spec/containers/0/image", "a:1", True),
        ("/spec/ephemeralContainers/0/image", "c:1", False),
    ]


def test_whoever_has_any_of_the_devices_asks_and_none_is_not_asking() -> None:
    for name in (EPC, ENCLAVE, PROVISION):
        assert asks_for_enclaves(images_of(made(one("app", "a", **{name: 1}))))
        assert not asks_for_enclaves(images_of(made(one("app", "a", **{name: "0"}))))
    assert not asks_for_enclaves(images_of(made(one("app", "a", cpu="1"))))
    assert not asks_for_enclaves(images_of(made(one("app", "a", **{EPC: "much"}))))


def test_nonsense_has_no_images() -> None:
    listed: list[Any] = [{}, {"spec": []}, {"spec": {"containers": 3}}, made(4, {"name": "x"}, {"name": 1, "image": 2})]
    for nonsense in listed:
        assert images_of(nonsense) == ()


def test_a_pin_replaces_the_image_and_keeps_what_stood_there() -> None:
    whole = made(one("app", "registry.example/a:1", **{EPC: "1Mi"}), one("other", "registry.example/b:1"))
    after = apply(whole, pin(whole, {"/spec/containers/0/image": PINNED}, "[]"))
    spec: Any = after["spec"]
    assert [each["image"] for each in spec["containers"]] == [PINNED, "registry.example/b:1"]
    notes: Any = after["metadata"]
    assert notes["annotations"][ANNOTATION_ENCLAVES] == "[]"
    assert json.loads(notes["annotations"][ANNOTATION_IMAGES]) == {"app": "registry.example/a:1"}


def test_a_second_look_keeps_what_the_first_kept_and_nothing_of_what_a_tenant_put_there() -> None:
    whole = made(one("app", PINNED, **{EPC: "1Mi"}), one("other", "registry.example/b:1"))
    kept = {"app": "registry.example/a:1", "stranger": "x", "other": 7}
    whole["metadata"]["annotations"] = {ANNOTATION_IMAGES: json.dumps(kept), ANNOTATION_ENCLAVES: "forged"}
    pins = {"/spec/containers/0/image": PINNED, "/spec/containers/1/image": PINNED.replace("/a", "/b")}
    notes: Any = apply(whole, pin(whole, pins, "[1]"))["metadata"]
    assert notes["annotations"][ANNOTATION_ENCLAVES] == "[1]"
    assert json.loads(notes["annotations"][ANNOTATION_IMAGES]) == {"app": "registry.example/a:1", "other": "registry.example/b:1"}


def test_what_is_no_json_in_that_annotation_is_as_good_as_nothing() -> None:
    for text in ("{", "[]", "3", "null"):
        whole = made(one("app", "registry.example/a:1", **{EPC: "1Mi"}))
        whole["metadata"]["annotations"] = {ANNOTATION_IMAGES: text}
        notes: Any = apply(whole, pin(whole, {"/spec/containers/0/image": PINNED}, "[]"))["metadata"]
        assert json.loads(notes["annotations"][ANNOTATION_IMAGES]) == {"app": "registry.example/a:1"}
