"""Images that Donjon would read in one way and a container runtime in another, and those that hide one enclave behind others."""

import json
from pathlib import Path
from typing import cast

import pytest
from tests.enclave.signers import sign
from tests.enclave.vectors import OPEN_ENCLAVE_FILE, SDK_FILE
from tests.images.made import MadeImage, layer, member, write_layout

from donjon.adapters.images.images import Images
from donjon.adapters.kubeapi.client import KubeApi
from donjon.enclave.elf import read_elf
from donjon.enclave.gramine import read_manifest
from donjon.enclave.record import FileEnclave, InspectedImage
from donjon.enclave.search import MAX_ENCLAVES, enclaves
from donjon.enclave.trust import matches
from donjon.errors import DonjonError, Malformed, Untrusted
from donjon.formats.json import JsonObject
from donjon.images.access import RegistryAccess
from donjon.images.bounds import MAX_FOLDERS
from donjon.images.manifests import parse_config, parse_document
from donjon.images.overlay import EntryKind, LayerEntry, Overlay
from donjon.images.references import parse_reference
from donjon.services.admission.enclaves import memory
from donjon.services.admission.enclaves.reading import ImageReading

ACCESS = RegistryAccess()
READING = ImageReading(images=Images(ACCESS), access=ACCESS)
MANIFEST, CONFIG = "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.config.v1+json"


def inspect(folder: Path, image: MadeImage) -> InspectedImage:
    place = parse_reference(f"oci:{write_layout(folder / 'layout', image)}")
    return READING.inspect(READING.images.resolve(place))


@pytest.mark.parametrize("name", ["Layers", "LAYERS", "layer\u017f", "MediaType", "Config"])
def test_a_manifest_with_a_member_in_two_spellings_is_refused(name: str) -> None:
    """Go's library, by which runtimes read manifests, takes the last of them (encoding/json, "case-insensitive match")."""
    document = {**json.loads(MadeImage(layer({"a": b"a"})).manifest), name: []}
    with pytest.raises(Malformed, match="spelling"):
        parse_document(json.dumps(document).encode(), "", "image")


def test_a_config_with_layers_in_another_spelling_is_refused() -> None:
    config: JsonObject = {**MadeImage(layer({"a": b"a"})).config, "RootFS": {"diff_ids": []}}
    with pytest.raises(Malformed, match="spelling"):
        parse_config(json.dumps(config).encode(), "image")


def test_labels_may_be_spelled_in_any_way() -> None:
    config: JsonObject = {**MadeImage(layer({"a": b"a"})).config, "config": {"Labels": {"os": "a", "OS": "b"}}}
    assert parse_config(json.dumps(config).encode(), "image").labels == {"os": "a", "OS": "b"}


def test_a_layer_that_unpacks_to_something_else_than_its_config_says_is_refused(tmp_path: Path) -> None:
    """containerd finds an unpacked layer by the config's digest (`core/unpack`), so it would run what another image brought."""
    image, other = MadeImage(layer({"a": b"harmless"})), MadeImage(layer({"a": sign("another").raw}))
    config = image.add(json.dumps({**image.config, "rootfs": other.config["rootfs"]}).encode(), CONFIG)
    image.descriptor = image.add(json.dumps({**json.loads(image.manifest), "config": config}).encode(), MANIFEST)
    with pytest.raises(Untrusted, match="DJ323"):
        inspect(tmp_path, image)


def test_an_enclave_behind_as_many_others_as_are_looked_at_is_not_overlooked(tmp_path: Path) -> None:
    """Of a measurement that a policy lists anybody may sign as many as he likes, with his own key."""
    listed = b"".join(sign("me", svn=number).raw for number in range(MAX_ENCLAVES))
    assert len(enclaves(listed)) == MAX_ENCLAVES
    with pytest.raises(Malformed, match="DJ313"):
        enclaves(listed + sign("another").raw)
    assert inspect(tmp_path, MadeImage(layer({"a": listed + sign("another").raw}))).faults


@pytest.mark.parametrize(("program", "section"), [(OPEN_ENCLAVE_FILE, ".oeinfo"), (SDK_FILE, ".note.sgxmeta")])
def test_two_places_for_a_signature_are_refused(program: bytes, section: str) -> None:
    """Of two `.oeinfo`, the one for debugging without a signature is signed by its loader: the other would speak for it."""
    table, count = int.from_bytes(program[40:48], "little"), int.from_bytes(program[60:62], "little")
    headers = [program[at : at + 64] for at in range(table, table + 64 * count, 64)]
    place = read_elf(program).sections[section][0].to_bytes(8, "little")
    own = next(each for each in headers if each[24:32] == place)
    doubled = bytearray(program + b"".join((*headers, own)))
    doubled[40:48], doubled[60:62] = len(program).to_bytes(8, "little"), (count + 1).to_bytes(2, "little")
    with pytest.raises(Malformed, match=f"several sections {section}"):
        enclaves(bytes(doubled))


def test_two_files_that_look_alike_are_two(tmp_path: Path) -> None:
    """One named by a byte that is no text, one as such a byte is written out."""
    signed = [sign("another"), sign("me")]
    files = [(member("\udcff"), signed[0].raw), (member("\\xff"), signed[1].raw)]
    found = inspect(tmp_path, MadeImage(layer(files)))
    assert [each.enclave.sigstruct for each in found.enclaves] == signed


def test_an_image_whose_enclaves_take_too_long_is_refused(tmp_path: Path) -> None:
    """A file of some KiB may say that it is an enclave of 2 GiB, seconds of hashing, and an image may have hundreds of these."""
    place = parse_reference(f"oci:{write_layout(tmp_path / 'layout', MadeImage(layer({'a': sign('me').raw})))}")
    hurried = ImageReading(images=READING.images, access=RegistryAccess(patience=0.0))
    image = READING.images.resolve(place)
    with pytest.raises(Malformed, match="DJ378"):
        hurried.inspect(image)


def test_what_is_remembered_of_images_is_bounded_by_their_enclaves(monkeypatch: pytest.MonkeyPatch) -> None:
    """An image may have 64, and some 200 KiB are kept of each such."""
    monkeypatch.setattr(memory, "MAX_ENCLAVES", 5)
    kept = memory.ImageMemory(cast("KubeApi", object()), "test")  # It asks nobody here.
    two = tuple(FileEnclave(path="a", enclave=each) for each in enclaves(sign("me").raw + sign("another").raw))
    for number in (1, 2, 2, 3):
        kept.keep(InspectedImage(digest=str(number), enclaves=two), share=False)
    assert [kept.get(str(number)) is not None for number in (1, 2, 3)] == [False, True, True]


def test_a_manifest_with_a_key_of_very_many_parts_is_refused_at_once() -> None:
    """40 KB of `a.a.a…` took 15 s."""
    with pytest.raises(Malformed, match="DJ317"):
        read_manifest(b"loader.entrypoint = 'a'\na" + b".a" * 20_000 + b" = 1\n")


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [("*", "a/b", True), ("a/*", "a/b", True), ("a/*/c", "a/c", False), ("*b*", "a/b", True), ("ab*ba", "aba", False)],
)
def test_a_star_stands_for_any_characters(pattern: str, name: str, *, fits: bool) -> None:
    assert matches((pattern,), name) is fits


def test_a_path_of_two_thousand_folders_is_read() -> None:
    overlay = Overlay()
    assert overlay.place(LayerEntry("/".join(["a"] * 2000), EntryKind.FILE))
    overlay.next_layer()
    assert not overlay.place(LayerEntry("/".join(["a"] * 2000), EntryKind.FILE))


def test_paths_that_each_name_a_thousand_folders_are_refused() -> None:
    """A hundred such paths took 300 MiB, and a layer of some 100 KiB has thousands."""
    overlay, tail = Overlay(), "/".join(["abc"] * 1000)
    entries = (LayerEntry(f"{number}/{tail}", EntryKind.FILE) for number in range(300))
    with pytest.raises(DonjonError, match=f"more than {MAX_FOLDERS}"):
        list(map(overlay.place, entries))
