"""Images that somebody made to be misread, to be slow, or to take all memory: each is one thing wrong in an image."""

import io
import json
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from tests.images.made import MadeImage, digest, layer, member, write_archive, write_docker_archive, write_layout

from donjon.adapters.images import streams
from donjon.adapters.images.images import Images
from donjon.errors import DonjonError, Malformed, Unavailable, Untrusted
from donjon.formats.json import JsonObject
from donjon.images import overlay
from donjon.images.access import RegistryAccess
from donjon.images.image import Compression
from donjon.images.references import parse_reference

IMAGES = Images(RegistryAccess())
BASE = layer({"a": b"content", "b": b"b" * 1000})


def read(name: str) -> dict[str, bytes]:
    image = IMAGES.resolve(parse_reference(name))
    return {file.path: file.content for file in IMAGES.files(image, lambda _path, _size: True)}


def refuses(folder: Path, image: MadeImage, kind: type[DonjonError], words: str, index: tuple[JsonObject, ...] = ()) -> None:
    with pytest.raises(kind, match=words):
        read(f"oci:{write_layout(folder / 'layout', image, index)}")


def raw(info: tarfile.TarInfo, layout: Literal[0, 1] = tarfile.USTAR_FORMAT) -> bytearray:
    """A header to be changed."""
    return bytearray(info.tobuf(layout, "utf-8", "surrogateescape"))


def summed(header: bytearray) -> bytes:
    """The header with the sum that its bytes have now."""
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


END = bytes(1024)


def blob(folder: Path, image: MadeImage, number: int) -> Path:
    """A layer's file."""
    descriptors = json.loads(image.manifest)["layers"]
    return folder / "blobs" / "sha256" / str(descriptors[number]["digest"]).removeprefix("sha256:")


def test_a_layer_that_was_changed_is_refused(tmp_path: Path) -> None:
    """A bit of a layer turned, its length as before. Refused: OCI image specification, `descriptor.md`, "Verification"."""
    image = MadeImage(BASE, compression=Compression.NONE)
    path = blob(write_layout(tmp_path / "layout", image), image, 0)
    path.write_bytes(path.read_bytes().replace(b"content", b"CONTENT"))
    with pytest.raises(Untrusted, match="DJ323"):
        read(f"oci:{tmp_path}/layout")


@pytest.mark.parametrize("change", [lambda octets: octets + b"\0", lambda octets: octets[:-1]])
def test_a_layer_of_another_length_is_refused(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    """A byte more, or less. Refused: the same."""
    image = MadeImage(BASE, compression=Compression.NONE)
    path = blob(write_layout(tmp_path / "layout", image), image, 0)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(Untrusted, match="DJ323"):
        read(f"oci:{tmp_path}/layout")


def test_a_config_and_a_manifest_that_were_changed_are_refused(tmp_path: Path) -> None:
    """A space behind each. Refused: the same."""
    image = MadeImage(BASE)
    for number, name in enumerate((image.descriptor["digest"], json.loads(image.manifest)["config"]["digest"])):
        folder = write_layout(tmp_path / str(number), image)
        path = folder / "blobs" / "sha256" / str(name).removeprefix("sha256:")
        path.write_bytes(path.read_bytes() + b" ")
        with pytest.raises(Untrusted, match="DJ323"):
            read(f"oci:{folder}")


def test_a_docker_archive_whose_layer_is_not_its_configs_is_refused(tmp_path: Path) -> None:
    """A layer that the config says nothing of. Refused: its digest is all that names it."""
    image = MadeImage(BASE)
    image.layers = (layer({"evil": b"evil"}),)
    with pytest.raises(Untrusted, match="DJ323"):
        read(f"docker-archive:{write_docker_archive(tmp_path / 'image.tar', image)}")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"manifests": []}, "two kinds of document"),
        ({"mediaType": "application/vnd.oci.image.index.v1+json"}, "DJ322"),
        ({"layers": []}, "DJ322"),
        ({"layers": "none"}, "DJ322"),
        ({"config": {"mediaType": "application/vnd.unknown.config.v1+json", "digest": "sha256:" + "0" * 64, "size": 2}}, "DJ322"),
        ({"layers": [{"mediaType": "application/x-tar", "digest": "sha256:" + "0" * 64, "size": 2}]}, "is not read here"),
        ({"layers": [{"mediaType": "application/x-tar", "digest": "sha256:../../../etc/passwd", "size": 2}]}, "DJ322"),
        ({"layers": [{"mediaType": "application/x-tar", "digest": "sha512:" + "0" * 128, "size": 2}]}, "DJ322"),
        ({"layers": [{"mediaType": "application/x-tar", "digest": "sha256:" + "0" * 64, "size": -1}]}, "DJ322"),
    ],
)
def test_a_manifest_that_is_none_or_two_things_is_refused(tmp_path: Path, changes: JsonObject, words: str) -> None:
    """A manifest that another reader takes for an index (CVE-2021-41190), or that names what is no layer. Refused."""
    refuses(tmp_path, MadeImage(BASE, changed_manifest=changes), Malformed, words)


@pytest.mark.parametrize(
    "descriptor",
    [
        {"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"},
        {"mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"},
        {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "urls": ["http://169.254.169.254/layer"]},
    ],
)
def test_a_layer_that_is_kept_elsewhere_is_refused(tmp_path: Path, descriptor: JsonObject) -> None:
    """A foreign layer. Refused: whoever made the image would choose what is fetched."""
    entry: JsonObject = {"digest": "sha256:" + "0" * 64, "size": 2, **descriptor}
    refuses(tmp_path, MadeImage(BASE, changed_manifest={"layers": [entry]}), Malformed, "DJ328")


def test_indexes_without_end_are_refused(tmp_path: Path) -> None:
    """An index of an index of an index… Refused, four deep; a true circle nobody can make, for a digest names what it is of."""
    image = MadeImage(BASE)
    top = image.index(image)
    for _ in range(5):
        text = json.dumps(
            {"schemaVersion": 2, "mediaType": top["mediaType"] if "index" in str(top["mediaType"]) else "", "manifests": [top]}
        )
        top = image.add(text.encode(), "application/vnd.oci.image.index.v1+json")
    refuses(tmp_path, image, Malformed, "more than 4 deep", (top,))


def test_more_layers_than_any_runtime_takes_are_refused(tmp_path: Path) -> None:
    """513 layers. Refused before one of them is read."""
    entry: JsonObject = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": "sha256:" + "0" * 64, "size": 2}
    refuses(tmp_path, MadeImage(BASE, changed_manifest={"layers": [entry] * 513}), Malformed, "DJ326")


def test_a_manifest_of_megabytes_is_refused(tmp_path: Path) -> None:
    """A manifest with an annotation of 4 MiB. Refused before it is read to its end."""
    refuses(tmp_path, MadeImage(BASE, changed_manifest={"annotations": {"a": "b" * (4 << 20)}}), Malformed, "DJ322")


def test_an_image_for_another_processor_is_refused(tmp_path: Path) -> None:
    """An image for arm64 alone. Refused, and told as that."""
    refuses(tmp_path, MadeImage(BASE, platform=("linux", "arm64")), Malformed, "DJ324")


def test_layers_that_the_config_does_not_count_are_refused(tmp_path: Path) -> None:
    """Two layers, one digest in the config. Refused: a runtime refuses it, too."""
    image = MadeImage(BASE, BASE)
    text = json.dumps({**image.config, "rootfs": {"type": "layers", "diff_ids": [digest(BASE)]}}).encode()
    config = image.add(text, "application/vnd.oci.image.config.v1+json")
    manifest = json.dumps({**json.loads(image.manifest), "config": config}).encode()
    refuses(tmp_path, image, Malformed, "DJ322", (image.add(manifest, "application/vnd.oci.image.manifest.v1+json"),))


@pytest.mark.parametrize("compression", [Compression.GZIP, Compression.ZSTD])
def test_a_bomb_ends_at_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: Compression) -> None:
    """A file of 256 MiB of zeros. Refused at the bounds, here lowered; zstd makes of 20 KiB as much as gzip of 250."""
    monkeypatch.setattr(streams, "RATIO_FROM", 1 << 20)
    monkeypatch.setattr(streams, "MAX_RATIO", 100)
    refuses(tmp_path, MadeImage(layer({"zeros": bytes(1 << 25)}), compression=compression), Malformed, "DJ326")


def test_a_zstd_window_beyond_all_measure_is_refused(tmp_path: Path) -> None:
    """A frame that asks for a window of 1 GiB to be kept. Refused before memory is taken (RFC 8878, 3.1.1.1.2)."""
    image = MadeImage(BASE, compression=Compression.ZSTD)
    frame = b"\x28\xb5\x2f\xfd\x00" + bytes([20 << 3]) + b"\x01\x00\x00"
    entry = image.add(frame, "application/vnd.oci.image.layer.v1.tar+zstd")
    manifest = json.dumps({**json.loads(image.manifest), "layers": [entry]}).encode()
    refuses(tmp_path, image, Malformed, "DJ325", (image.add(manifest, "application/vnd.oci.image.manifest.v1+json"),))


def test_more_entries_than_the_bound_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries without end, of one layer or of several. Refused; the bound is lowered here."""
    monkeypatch.setattr(overlay, "MAX_ENTRIES", 9)
    refuses(
        tmp_path, MadeImage(layer({str(n): b"" for n in range(5)}), layer({str(n): b"" for n in range(5)})), Malformed, "DJ326"
    )


def test_a_file_that_is_asked_for_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of more than may be kept. Refused, not cut."""
    monkeypatch.setattr("donjon.adapters.images.images.MAX_CONTENT", 999)
    refuses(tmp_path, MadeImage(BASE), Malformed, "DJ326")


@pytest.mark.parametrize("name", ["../a", "a/../../b", "a/..", "x" * 256, "/".join(["y" * 200] * 21)])
def test_a_path_that_leaves_its_place_is_refused(tmp_path: Path, name: str) -> None:
    """An entry above the root, or one that no file system takes. Refused; a slash before a path is none (below)."""
    refuses(tmp_path, MadeImage(layer({name: b"evil"})), Malformed, "DJ327")


def test_a_slash_before_a_path_means_the_images_root(tmp_path: Path) -> None:
    """`/a`, `./b` and `c//d`. Accepted, as by every runtime."""
    folder = write_layout(tmp_path / "layout", MadeImage(layer({"/a": b"1", "./b": b"2", "c//d": b"3"})))
    assert read(f"oci:{folder}") == {"a": b"1", "b": b"2", "c/d": b"3"}


def test_a_hard_link_above_the_root_is_refused(tmp_path: Path) -> None:
    """A hard link to `../../etc/shadow`. Refused."""
    refuses(tmp_path, MadeImage(layer([(member("a", tarfile.LNKTYPE, linkname="../../etc/shadow"), b"")])), Malformed, "DJ327")


def test_a_symbolic_link_above_the_root_leads_nowhere(tmp_path: Path) -> None:
    """A link to `../../../etc/shadow`, and a file through it. Accepted as a path; nothing here follows a link."""
    entries = [(member("a", tarfile.SYMTYPE, linkname="../../../etc"), b""), (member("a/shadow"), b"own")]
    folder = write_layout(tmp_path / "layout", MadeImage(layer(entries)))
    assert read(f"oci:{folder}") == {"a/shadow": b"own"}


@pytest.mark.parametrize("compression", Compression)
def test_a_layer_that_ends_early_is_refused(tmp_path: Path, compression: Compression) -> None:
    """Half of a layer, under a digest that is its own. Refused."""
    image = MadeImage(BASE, compression=compression)
    descriptor = json.loads(image.manifest)["layers"][0]
    half = image.blobs[descriptor["digest"]]
    entry = image.add(half[: 1800 if compression is Compression.NONE else len(half) * 2 // 3], descriptor["mediaType"])
    manifest = json.dumps({**json.loads(image.manifest), "layers": [entry]}).encode()
    refuses(tmp_path, image, DonjonError, "DJ32[35]", (image.add(manifest, "application/vnd.oci.image.manifest.v1+json"),))


def size_of_less_than_nothing() -> bytes:
    """GNU's binary numbers can be negative; before CPython 3.11.14 `tarfile` went round in circles (CVE-2025-8194)."""
    header = raw(member("a"), tarfile.GNU_FORMAT)
    header[124:136] = struct.pack(">Iq", 0xFFFFFFFF, -1536)
    return summed(header) + END


def rubbish_after_an_entry() -> bytes:
    """`tarfile` takes this for the end; Go does not."""
    return layer({"a": b"1"})[:1024] + b"x" * 512 + layer({"evil": b"evil"})


def path_of_all_entries() -> bytes:
    """A global header: `tarfile` gives its path to every file, Go to none."""
    with tarfile.open(
        fileobj=(octets := io.BytesIO()), mode="w", format=tarfile.PAX_FORMAT, pax_headers={"path": "hidden"}
    ) as archive:
        archive.addfile(member("evil"), io.BytesIO())
    return octets.getvalue()


def extension(kind: bytes, content: bytes) -> bytes:
    """An extension before an entry."""
    return bytes(raw(member("././ext", kind, size=len(content)))) + content.ljust(-(-len(content) // 512) * 512, b"\0")


def two_extensions() -> bytes:
    """POSIX' before GNU's: `tarfile` takes the first path, Go the second."""
    return extension(tarfile.XHDTYPE, b"13 path=good\n") + extension(b"L", b"evil\0") + bytes(raw(member("a"))) + END


def twice_extended() -> bytes:
    """Two of POSIX': `tarfile` takes the first, Go the second."""
    first, second = (extension(tarfile.XHDTYPE, b"13 path=%s\n" % name) for name in (b"good", b"evil"))
    return first + second + bytes(raw(member("a"))) + END


def empty_path() -> bytes:
    """`tarfile` takes the empty path, Go the header's."""
    return extension(tarfile.XHDTYPE, b"8 path=\n") + bytes(raw(member("evil"))) + END


def empty_long_name() -> bytes:
    """GNU's long name that is empty: `tarfile` takes it, Go the header's."""
    return extension(b"L", b"\0evil\0") + bytes(raw(member("evil"))) + END


def long_name_that_goes_on() -> bytes:
    """A long name of four bytes in a block with more: Go takes the four, `tarfile` all."""
    head = bytes(raw(member("././ext", b"L", size=4)))
    return head + b"evil/but/not".ljust(512, b"\0") + bytes(raw(member("a"))) + END


def attribute_of_the_overlay() -> bytes:
    """A file whose content Linux takes from another one, be that deleted or not."""
    return layer([(member("a", pax_headers={"SCHILY.xattr.trusted.overlay.metacopy": "", "SCHILY.xattr.user.a": "b"}), b"")])


def extension_of_solaris() -> bytes:
    """Solaris' kind of extension: Go takes it for an entry."""
    return extension(b"X", b"13 path=good\n") + bytes(raw(member("evil"))) + END


def prefix_of_gnu() -> bytes:
    """GNU's headers have no prefix, and other fields in its place: Go reads none, `tarfile` does."""
    header = raw(member("evil"), tarfile.GNU_FORMAT)
    header[345:349] = b"good"
    return summed(header) + END


def sparse() -> bytes:
    """A file with holes, in GNU's oldest form."""
    header = raw(member("a", b"S"), tarfile.GNU_FORMAT)
    header[386:410] = b"00000000000\x0000000000000\0"
    header[483:495] = b"00000000000\0"
    return summed(header) + END


def unknown_kind() -> bytes:
    """A kind of entry that nobody knows."""
    return summed(raw(member("a", b"Z"))) + END


def extensions_without_end() -> bytes:
    """1,100 long names, one for another: `tarfile` calls itself for each."""
    return extension(b"L", b"name\0") * 1100 + bytes(raw(member("a"))) + END


def path_with_a_zero() -> bytes:
    """A zero byte in a path of POSIX' headers."""
    return extension(tarfile.XHDTYPE, b"13 path=a\0bc\n") + bytes(raw(member("a"))) + END


@pytest.mark.parametrize(
    "make",
    [
        size_of_less_than_nothing,
        rubbish_after_an_entry,
        path_of_all_entries,
        two_extensions,
        twice_extended,
        empty_path,
        empty_long_name,
        long_name_that_goes_on,
        extension_of_solaris,
        attribute_of_the_overlay,
        prefix_of_gnu,
        sparse,
        unknown_kind,
        extensions_without_end,
        path_with_a_zero,
    ],
)
def test_an_archive_that_two_readers_read_in_two_ways_is_refused(tmp_path: Path, make: Callable[[], bytes]) -> None:
    """Each as its function says. Refused: an enclave could hide between what is read here and what a runtime unpacks."""
    refuses(tmp_path, MadeImage(make()), Malformed, r"DJ32[56]")


def test_a_header_of_megabytes_is_refused(tmp_path: Path) -> None:
    """An attribute of 2 MiB before a file. Refused before it is kept."""
    refuses(tmp_path, MadeImage(layer([(member("a", pax_headers={"comment": "x" * (2 << 20)}), b"")])), Malformed, "DJ326")


def test_what_a_deleted_link_hides_is_refused(tmp_path: Path) -> None:
    """`c/` and a link `a` to it; `a/evil`, which lies in `c`; `a` deleted: `c/evil` remains. Refused (DJ329), not missed."""
    base = layer([(member("c", tarfile.DIRTYPE), b""), (member("a", tarfile.SYMTYPE, linkname="c"), b"")])
    refuses(tmp_path, MadeImage(base, layer({"a/evil": b"evil"}), layer({".wh.a": b""})), Malformed, "DJ329")


def test_an_archive_of_a_layout_whose_parts_are_cut_is_refused(tmp_path: Path) -> None:
    """Half of an archive. Refused."""
    path = write_archive(
        write_layout(tmp_path / "layout", MadeImage(BASE, compression=Compression.NONE)), tmp_path / "layout.tar"
    )
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    with pytest.raises((Malformed, Unavailable), match=r"DJ32[15]"):
        read(f"oci:{path}")


@pytest.mark.parametrize("name", ["oci:{0}", "docker-archive:{0}", "oci:{0}/no", "oci:/dev/null", "docker-archive:/dev/zero"])
def test_what_holds_no_image_is_told(tmp_path: Path, name: str) -> None:
    """An empty folder, nothing, a device. Refused; a device is not read."""
    with pytest.raises(DonjonError, match="DJ321"):
        read(name.format(tmp_path))
