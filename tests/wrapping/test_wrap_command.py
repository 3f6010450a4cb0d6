"""`donjon wrap`, from an image to one that others read: everything up to what EINIT is given is checked, without SGX."""

import json
import subprocess
import tarfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.adapters.dockerregistry import docker_registry
from tests.cli.calling import call
from tests.images.made import MadeImage, layer, write_docker_archive, write_layout
from tests.wrapping.programs import APP, GRAMINE, OFFSETS, PAL, PYTHON, application, files, gramine_base, links

from donjon.adapters.images.images import Images
from donjon.enclave.gramine_measurement import GramineEnclave, measure_gramine, read_offsets
from donjon.enclave.signature import signature_faults
from donjon.formats.json import JsonObject
from donjon.images.access import RegistryAccess
from donjon.images.references import parse_reference
from donjon.sgx.sigstruct import SigStruct
from donjon.wrapping.layers import digest_of

DAY = "2026-11-30"
MANIFEST, SIGNATURE = "gramine/app_files/entrypoint.manifest.sgx", "gramine/app_files/entrypoint.sig"


@dataclass(frozen=True, slots=True)
class World:
    """A folder with an application's image, a base image, and a key."""

    folder: Path

    @property
    def words(self) -> tuple[str, ...]:
        return ("wrap", f"oci:{self.folder}/app", "--gramine", f"oci:{self.folder}/base", "--date", DAY)

    def wrap(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        small = () if {"--memory", "--enclave-size"} & set(words) else ("--enclave-size", "64M")
        done = call(*self.words, *small, *words)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def sign(self, name: str, *words: str) -> JsonObject:
        said = self.wrap("--to", f"oci:{self.folder}/{name}:v1", "--key", f"{self.folder}/key.pem", "--output", "json", *words)
        document: JsonObject = json.loads(said.stdout)
        return document

    def files(self, name: str) -> dict[str, bytes]:
        images = Images(RegistryAccess())
        image = images.resolve(parse_reference(f"oci:{self.folder}/{name}:v1"))
        return {each.path: each.content for each in images.files(image, lambda path, _: "gramine/" in path)}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("wrap")
    write_layout(folder / "app", application())
    write_layout(folder / "base", gramine_base())
    assert call("enclave", "keygen", folder / "key.pem").returncode == 0
    return World(folder)


@pytest.fixture(scope="module")
def signed(world: World) -> JsonObject:
    return world.sign("signed", "--kubernetes", f"{world.folder}/pod.yaml")


def test_a_key_that_cannot_be_used_is_told_before_any_image_is_read(world: World) -> None:
    words = ("--gramine", "oci:nowhere", "--to", f"oci:{world.folder}/never")
    away = call("wrap", "oci:nowhere", *words, "--key", f"{world.folder}/away.pem")
    assert (away.returncode, "away.pem: cannot be read" in away.stderr, "DJ347" in away.stderr) == (3, True, True)


def test_the_signature_is_of_what_is_in_the_image(world: World, signed: JsonObject) -> None:
    own = world.files("signed")
    sigstruct, manifest = SigStruct(own[SIGNATURE]), tomllib.loads(own[MANIFEST].decode())
    enclave = GramineEnclave(size=64 << 20, threads=manifest["sgx"]["max_threads"], edmm=False)
    measured = measure_gramine(own[MANIFEST], own[f"{GRAMINE}/sgx/libpal.so"], enclave, read_offsets(OFFSETS.decode()))
    assert list(signature_faults(sigstruct)) == []
    assert sigstruct.mr_enclave.hex() == measured.hex() == signed["mrenclave"]
    assert not sigstruct.debug
    assert sigstruct.masks_debug
    assert sigstruct.date == bytes.fromhex("30112620")


def test_it_can_be_attested_and_not_debugged(world: World, signed: JsonObject) -> None:
    del signed
    manifest = tomllib.loads(world.files("signed")[MANIFEST].decode())
    assert manifest["sgx"]["enclave_size"] == "64M"
    assert manifest["loader"]["entrypoint"]["uri"] == f"file:/{GRAMINE}/libsysdb.so"
    assert manifest["sgx"]["remote_attestation"] == "dcap"
    assert manifest["sgx"]["debug"] is False


def test_the_manifest_is_the_images_own_config(world: World, signed: JsonObject) -> None:
    del signed
    manifest = tomllib.loads(world.files("signed")[MANIFEST].decode())
    loader = manifest["loader"]
    assert manifest["libos"]["entrypoint"] == "/usr/bin/python3"
    assert loader["argv"] == ["python3", "/app/main.py", "--quiet"]
    assert (loader["uid"], loader["gid"], manifest["fs"]["start_dir"]) == (1000, 1001, "/app")
    assert loader["env"]["LANG"] == "C.UTF-8"
    assert loader["env"]["LD_LIBRARY_PATH"].split(":")[:2] == [f"/{GRAMINE}/runtime/glibc", "/lib/x86_64-linux-gnu"]


def test_every_file_is_trusted_by_every_path_and_what_kubernetes_mounts_by_none(world: World, signed: JsonObject) -> None:
    del signed
    sgx = tomllib.loads(world.files("signed")[MANIFEST].decode())["sgx"]
    hashes = {each["uri"].removeprefix("file:"): each["sha256"] for each in sgx["trusted_files"]}
    assert hashes["/app/main.py"] == digest_of(APP).removeprefix("sha256:")
    assert hashes["/bin/python3"] == hashes["/usr/bin/python3.11"]
    assert "/var/lib/app/model.bin" in hashes
    assert f"/{GRAMINE}/runtime/glibc/libc.so.6" in hashes
    assert not {"/app/draft.py", "/etc/hosts", f"/{GRAMINE}/direct/loader"} & set(hashes)
    assert {"file:/etc/hosts", "file:/run/secrets/kubernetes.io/serviceaccount/"} <= set(sgx["allowed_files"])


def test_the_same_inputs_make_the_same_digest_from_every_kind_of_image(world: World, signed: JsonObject) -> None:
    assert world.sign("again")["digest"] == signed["digest"]
    archive = write_docker_archive(world.folder / "app.tar", application())
    words = ("--gramine", f"oci:{world.folder}/base", "--enclave-size", "64M", "--date", DAY, "--key", f"{world.folder}/key.pem")
    done = call("wrap", f"docker-archive:{archive}", *words, "--to", f"oci:{world.folder}/archive", "--output", "json")
    assert json.loads(done.stdout)["mrenclave"] == signed["mrenclave"]


def test_the_key_is_nowhere_in_the_image(world: World, signed: JsonObject) -> None:
    del signed
    lines = (world.folder / "key.pem").read_bytes().splitlines()
    blobs = [path.read_bytes() for path in (world.folder / "signed" / "blobs" / "sha256").iterdir()]
    assert not [line for line in lines if any(line in blob for blob in blobs)]


def test_signed_later_it_is_the_same_enclave_and_another_signature_is_refused(world: World, signed: JsonObject) -> None:
    folder = world.folder
    world.wrap("--to", f"oci:{folder}/unsigned:v1", "--unsigned", f"{folder}/app.sigstruct")
    assert SIGNATURE not in world.files("unsigned")
    done = call(
        "enclave", "sign", folder / "app.sigstruct", "--key", folder / "key.pem", "--date", "same", "--to", folder / "app.sig"
    )
    assert done.returncode == 0, done.stderr
    later = ("wrap", f"oci:{folder}/unsigned:v1", "--signature", str(folder / "app.sig"))
    assert call(*later, "--to", f"oci:{folder}/later:v1").returncode == 0
    assert world.files("later")[SIGNATURE] == world.files("signed")[SIGNATURE]
    assert signed["digest"] == json.loads((folder / "later" / "index.json").read_text())["manifests"][0]["digest"]
    world.sign("other", "--svn", "3", "--threads", "8")
    (folder / "other.sig").write_bytes(world.files("other")[SIGNATURE])
    refused = call("wrap", f"oci:{folder}/unsigned:v1", "--signature", folder / "other.sig", "--to", f"oci:{folder}/x:v1")
    assert (refused.returncode, "DJ343" in refused.stderr) == (1, True)
    assert not (folder / "x").exists()


def test_its_deployment_is_admitted_with_the_epc_that_its_enclave_takes(world: World, signed: JsonObject) -> None:
    pod = world.folder / "pod.yaml"
    done = call("check", pod)
    assert done.returncode == 0, done.stdout
    assert f"sgx.intel.com/epc: {signed['epc']}" in pod.read_text()
    assert f"@{signed['digest']}" in pod.read_text()


def test_a_registry_has_it_by_its_digest_and_its_enclave_is_found_there(world: World, signed: JsonObject, tmp_path: Path) -> None:
    with docker_registry(tmp_path) as registry:
        name = registry.push(f"oci:{world.folder}/signed:v1", "app:v1", "--preserve-digests")
        done = call("enclave", "inspect", f"{name.removesuffix(':v1')}@{signed['digest']}")
    assert done.returncode == 0, done.stderr
    assert f"{signed['mrenclave']}: the same that was signed" in done.stdout


def test_its_loader_brings_the_library_that_the_image_has_not(world: World, signed: JsonObject) -> None:
    del signed
    index = json.loads((world.folder / "signed" / "index.json").read_text())
    blobs = world.folder / "signed" / "blobs" / "sha256"
    manifest = json.loads((blobs / index["manifests"][0]["digest"][7:]).read_text())
    config = json.loads((blobs / manifest["config"]["digest"][7:]).read_text())["config"]
    assert config["Entrypoint"] == [
        f"/{GRAMINE}/sgx/loader",
        f"/{GRAMINE}/sgx/libpal.so",
        "init",
        "/gramine/app_files/entrypoint",
    ]
    assert "LD_LIBRARY_PATH=/gramine/host" in config["Env"]
    with tarfile.open(blobs / manifest["layers"][-3]["digest"][7:]) as archive:
        names, members = archive.getnames(), archive.getmembers()
    assert "gramine/host/libacl.so.1" in names
    assert "gramine/host/libc.so.6" not in names
    assert all(each.mtime == 0 and each.uid == 0 for each in members)


def test_what_it_chose_is_explained_and_what_is_chosen_otherwise_is_as_said(world: World) -> None:
    fragment = world.folder / "own.toml"
    fragment.write_text('[loader]\nlog_level = "debug"\n[sgx]\nallowed_files = ["file:/data/"]\n[loader.env]\nLANG = "C"\n')
    words = (
        "--manifest",
        str(fragment),
        "--mount",
        "/data/db:encrypted=vault",
        "--env",
        "TOKEN",
        "--memory",
        "100Mi",
        "--threads",
        "5",
    )
    said = world.wrap("--to", f"oci:{world.folder}/own:v1", "--key", f"{world.folder}/key.pem", *words).stdout
    manifest = tomllib.loads(world.files("own")[MANIFEST].decode())
    assert manifest["loader"]["env"]["TOKEN"] == {"passthrough": True}
    assert (manifest["loader"]["env"]["LANG"], manifest["sgx"]["enclave_size"], manifest["sgx"]["max_threads"]) == (
        "C",
        "128M",
        5,
    )
    assert {"type": "encrypted", "path": "/data/db", "uri": "file:/data/db", "key_name": "vault"} in manifest["fs"]["mounts"]
    assert "file:/data/" in manifest["sgx"]["allowed_files"]
    assert "the next power of two above 100Mi" in said
    assert "loader.log_level is debug" in said
    assert "below /var" in said


def test_inspect_says_yes_and_builds_nothing(world: World) -> None:
    done = world.wrap("--inspect")
    assert "can be wrapped" in done.stdout
    document = json.loads(world.wrap("--inspect", "--output", "json").stdout)
    assert {each["code"] for each in document["findings"]} == {"DJ357", "DJ395"}


def test_a_size_in_a_manifest_of_ones_own_is_the_one_that_is_told_and_held_to(world: World) -> None:
    fragment = world.folder / "size.toml"
    fragment.write_text('[sgx]\nenclave_size = "2M"\n')
    words = ("--to", f"oci:{world.folder}/small", "--key", f"{world.folder}/key.pem", "--manifest", str(fragment))
    assert "DJ398" in world.wrap(*words, code=2).stderr
    fragment.write_text('[sgx]\nenclave_size = "128M"\nmax_threads = 3\n')
    said = world.wrap(*words).stdout
    assert "128Mi of memory" in said
    assert "3 threads at once" in said


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--entrypoint", "nothing"), 2, "DJ391"),
        (("--mount", "data"), 2, "DJ392"),
        (("--mount", "/a:encrypted", "--mount", "/a:allowed"), 2, "DJ392"),
        (("--enclave-size", "3M"), 2, "DJ398"),
        (("--enclave-size", "2M"), 2, "DJ398"),
        (("--threads", "0"), 2, "DJ398"),
        (("--env", "A=b"), 2, "DJ392"),
        (("--mount", "/usr/bin"), 2, "DJ393"),
        (("--mount", "/lib"), 2, "DJ393"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(world: World, words: tuple[str, ...], code: int, says: str) -> None:
    done = world.wrap("--to", f"oci:{world.folder}/never", "--key", f"{world.folder}/key.pem", *words, code=code)
    assert says in done.stderr
    assert not list(world.folder.glob("*never*"))


def test_a_folder_that_is_there_is_left_as_it_is(world: World) -> None:
    there = world.folder / "there"
    there.mkdir()
    done = world.wrap("--to", f"oci:{there}", "--key", f"{world.folder}/key.pem", code=2)
    assert "DJ392" in done.stderr
    assert not list(there.iterdir())


def test_an_image_without_gramine_is_no_base(world: World) -> None:
    done = call("wrap", f"oci:{world.folder}/app", "--gramine", f"oci:{world.folder}/app", "--inspect")
    assert (done.returncode, "DJ390" in done.stderr) == (2, True)


def test_what_is_wrapped_is_not_wrapped_again(world: World, signed: JsonObject) -> None:
    del signed
    words = ("--gramine", f"oci:{world.folder}/base", "--key", f"{world.folder}/key.pem", "--to", f"oci:{world.folder}/twice")
    done = call("wrap", f"oci:{world.folder}/signed:v1", *words)
    assert (done.returncode, "DJ390" in done.stderr) == (2, True)


def test_the_stand_in_is_what_was_measured_by_gramines_signer() -> None:
    assert digest_of(PAL) == "sha256:62894f34489d6a1694cb37693a3345fa745c5143678230d3f5adcf4d250f05d2"


MUSL = b"/lib/ld-musl-x86_64.so.1"


def musl(program: bytes) -> bytes:
    """The program as one that is linked with musl: another loader is named in it, in the same place."""
    loader = b"/lib64/ld-linux-x86-64.so.2"
    assert loader in program
    return program.replace(loader, MUSL.ljust(len(loader), b"\0"), 1)


def test_an_image_with_musl_needs_a_gramine_with_musl_and_is_given_a_loader(world: World) -> None:
    alpine = layer(files({"usr/bin/app": musl(PYTHON.read_bytes()), "lib/ld-musl-x86_64.so.1": b"a stand-in"}, 0o755))
    write_layout(world.folder / "alpine", MadeImage(alpine, process={"Entrypoint": ["/usr/bin/app"]}))
    refused = call("wrap", f"oci:{world.folder}/alpine", "--gramine", f"oci:{world.folder}/base", "--inspect")
    assert (refused.returncode, "is linked with musl, and the Gramine named brings glibc" in refused.stdout) == (1, True)
    runtime = layer(files({f"{GRAMINE}/runtime/musl/libc.so": b"a stand-in"}))
    write_layout(world.folder / "both", MadeImage(*gramine_base().layers, runtime))
    words = ("--gramine", f"oci:{world.folder}/both", "--enclave-size", "64M", "--key", f"{world.folder}/key.pem")
    done = call("wrap", f"oci:{world.folder}/alpine", *words, "--to", f"oci:{world.folder}/musl:v1")
    assert done.returncode == 0, done.stdout + done.stderr
    manifest = tomllib.loads(world.files("musl")[MANIFEST].decode())
    assert manifest["loader"]["env"]["LD_LIBRARY_PATH"].split(":")[0] == f"/{GRAMINE}/runtime/musl"
    assert {"gramine/host/libc.so.6", "gramine/host/libacl.so.1"} <= set(world.files("musl"))
    assert "file:/lib64/ld-linux-x86-64.so.2" in {each["uri"] for each in manifest["sgx"]["trusted_files"]}


@pytest.mark.parametrize(
    ("entries", "process", "code"),
    [
        (links({"usr/bin/app": "app"}), {"Entrypoint": ["/usr/bin/app"]}, "DJ391"),
        (links({"usr/bin/app": "../../../../../../etc/shadow"}), {"Entrypoint": ["/usr/bin/app"]}, "DJ391"),
        (links({"usr/bin/a": "b", "usr/bin/b": "a"}), {"Entrypoint": ["a"], "Env": ["PATH=/usr/bin"]}, "DJ391"),
        (files({"../outside": b"1"}), {"Entrypoint": ["/app"]}, "DJ327"),
        (files({"app": b"#!/bin/sh\n"}), {"Entrypoint": ["/app"]}, "DJ391"),
        (files({"app": b"1"}, 0o755), {"Entrypoint": "app"}, "DJ322"),
        (files({"app": b"1"}, 0o755), {"Entrypoint": ["/app"], "Env": ["no equals sign"]}, "DJ391"),
        (files({"app": b"1"}, 0o755), {"Entrypoint": ["/app"], "User": "-1"}, "DJ391"),
        (files({"app": b"\x7fELF" + b"\xff" * 60}, 0o755), {"Entrypoint": ["/app"]}, "DJ310"),
    ],
)
def test_an_image_made_by_hostile_hands_is_refused(
    world: World, tmp_path: Path, entries: list[tuple[tarfile.TarInfo, bytes]], process: JsonObject, code: str
) -> None:
    write_layout(tmp_path / "hostile", MadeImage(layer(entries), process=process))
    words = ("--gramine", f"oci:{world.folder}/base", "--key", f"{world.folder}/key.pem", "--to", f"oci:{tmp_path}/out")
    done = call("wrap", f"oci:{tmp_path}/hostile", *words)
    assert (done.returncode, code in done.stderr) == (2, True), done.stdout + done.stderr
    assert not (tmp_path / "out").exists()
