"""Images in a real registry, Debian's docker-registry, put there by skopeo and made by buildah or here."""

import base64
import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from testbed import packages
from tests.adapters.dockerregistry import PASSWORD, USER, DockerRegistry, docker_registry, install, skopeo
from tests.adapters.https import SERVING
from tests.cli.calling import call
from tests.enclave.vectors import SDK_FILE
from tests.images.made import MadeImage, digest, layer, write_layout

from donjon.adapters.images.images import Images
from donjon.errors import DonjonError
from donjon.images.access import RegistryAccess, RegistryLogin
from donjon.images.image import Image
from donjon.images.references import parse_reference

BASE = layer({"etc/a": b"old", "usr/bin/app": b"app" * 100_000})
TOP = layer({"etc/a": b"new"})
FILES = {"etc/a": b"new", "usr/bin/app": b"app" * 100_000}
ACCESS = RegistryAccess(
    authorities=SERVING.authority.pem.decode(), logins={"127.0.0.1": RegistryLogin()}, seconds=5.0, patience=20.0
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_layout(tmp_path_factory.mktemp("image") / "layout", MadeImage(BASE, TOP))


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    with docker_registry(tmp_path_factory.mktemp("registry") / "plain") as running:
        yield running


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory, made: Path) -> Iterator[DockerRegistry]:
    with docker_registry(tmp_path_factory.mktemp("registry") / "closed", tls=True, password=True) as running:
        running.push(f"oci:{made}", "team/app:1")
        yield running


def read(name: str, access: RegistryAccess = ACCESS) -> tuple[Image, dict[str, bytes]]:
    images = Images(access)
    image = images.resolve(parse_reference(name))
    return image, {file.path: file.content for file in images.files(image, lambda _path, _size: True)}


@pytest.mark.parametrize("options", [[], ["--format", "v2s2"], ["--dest-compress-format", "zstd", "--format", "oci"]])
def test_an_image_is_read_by_its_tag_and_by_its_digest(registry: DockerRegistry, made: Path, options: list[str]) -> None:
    name = registry.push(f"oci:{made}", f"team/app:{len(options)}", *options)
    image, files = read(name)
    assert files == FILES
    by_digest, again = read(f"{name}@{image.digest}")
    assert (by_digest.digest, again) == (image.digest, FILES)


def test_an_image_that_buildah_made_is_read_with_what_it_deleted(registry: DockerRegistry, tmp_path: Path) -> None:
    install(packages.BUILDAH)
    (tmp_path / "tree" / "bin").mkdir(parents=True)
    (tmp_path / "tree" / "bin" / "app").write_bytes(b"app")
    (tmp_path / "tree" / "bin" / "link").hardlink_to(tmp_path / "tree" / "bin" / "app")
    (tmp_path / "tree" / "secret").write_bytes(b"secret")
    script = """
        base=$(buildah from scratch) && buildah copy -q "$base" tree / && buildah config --env A=b --cmd '["/bin/app"]' "$base"
        image=$(buildah commit -q "$base") && upper=$(buildah from "$image")
        rm "$(buildah mount "$upper")/secret" && buildah umount "$upper"
        buildah commit -q "$upper" "oci:$PWD/layout"
    """
    own = {"HOME": str(tmp_path), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "BUILDAH_ISOLATION": "chroot"}
    place = ["--storage-driver", "vfs", "--root", f"{tmp_path}/storage", "--runroot", f"{tmp_path}/run"]
    program = f'set -e; buildah() {{ command buildah {" ".join(place)} "$@"; }}; {script}'
    built = subprocess.run(["bash", "-c", program], cwd=tmp_path, env=own, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    image, files = read(registry.push(f"oci:{tmp_path}/layout", "team/built:1"))
    assert files == {"bin/app": b"app", "bin/link": b"app"}
    assert (image.config.command, "A=b" in image.config.environment, len(image.layers)) == (("/bin/app",), True, 2)
    skopeo("copy", f"oci:{tmp_path}/layout", f"docker-archive:{tmp_path}/image.tar:team/built:1")
    assert read(f"docker-archive:{tmp_path}/image.tar")[1] == files


def test_a_registry_with_an_authority_of_its_own_takes_a_login(closed: DockerRegistry) -> None:
    access = replace(ACCESS, logins={closed.host: RegistryLogin(user=USER, password=PASSWORD)})
    assert read(f"{closed.host}/team/app:1", access)[1] == FILES


@pytest.mark.parametrize(
    ("logins", "path", "expected"),
    [
        ({}, "team/app:1", "DJ331"),
        ({"": RegistryLogin(user=USER, password="wrong")}, "team/app:1", "DJ331"),  # noqa: S106 - it is wrong.
        ({"": RegistryLogin(user=USER, password=PASSWORD)}, "team/app:2", "DJ332"),
        ({"/team/app": RegistryLogin(user=USER, password=PASSWORD)}, "team/other", "DJ331"),
    ],
)
def test_who_may_not_and_what_is_not_there_is_told(
    closed: DockerRegistry, logins: dict[str, RegistryLogin], path: str, expected: str
) -> None:
    access = replace(ACCESS, logins={closed.host + place: login for place, login in logins.items()})
    with pytest.raises(DonjonError, match=expected):
        read(f"{closed.host}/{path}", access)


def test_a_certificate_of_an_unknown_authority_is_refused(closed: DockerRegistry) -> None:
    access = RegistryAccess(logins={closed.host: RegistryLogin(user=USER, password=PASSWORD)})
    with pytest.raises(DonjonError, match=r"certificate.*DJ330"):
        read(f"{closed.host}/team/app:1", access)


def test_a_mirror_is_asked_first_and_the_registry_where_it_has_nothing(
    registry: DockerRegistry, made: Path, closed: DockerRegistry
) -> None:
    registry.push(f"oci:{made}", "mirror/app:1")
    access = replace(ACCESS, mirrors={"registry.invalid": (closed.host, registry.host)})
    image, files = read("registry.invalid/mirror/app:1", access)
    assert (image.digest, files) == (digest((made / "blobs" / "sha256" / image.digest[7:]).read_bytes()), FILES)
    access = replace(ACCESS, mirrors={registry.host: ("127.0.0.1:1",)})
    assert read(f"{registry.host}/mirror/app:1", access)[1] == FILES


def test_an_index_is_read_to_the_image_for_this_processor(registry: DockerRegistry, tmp_path: Path) -> None:
    image, other = MadeImage(BASE), MadeImage(TOP, platform=("linux", "arm64"))
    image.blobs |= other.blobs
    folder = write_layout(tmp_path / "layout", image, [image.index(image, other)])
    name = registry.push(f"oci:{folder}", "team/both:1", "--all")
    there, files = read(name)
    assert (there.digest, set(files)) == (digest(image.manifest), {"etc/a", "usr/bin/app"})
    assert there.named_digest not in {"", there.digest}


def test_show_says_what_an_image_of_a_registry_has(closed: DockerRegistry, tmp_path: Path) -> None:
    folder = write_layout(tmp_path / "layout", MadeImage(layer({"app/enclave.signed.so": SDK_FILE})))
    name = closed.push(f"oci:{folder}", "team/enclave:1")
    pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {closed.host: {"auth": pair}}}))
    options: list[str | Path] = ["--logins", tmp_path / "config.json", "--registry-authority", closed.folder / "trust" / "ca.crt"]
    result = call("enclave", "show", name, *options, "--output", "json")
    assert (result.returncode, result.stderr) == (0, "")
    assert [(each["image"], each["file"]) for each in json.loads(result.stdout)] == [(name, "app/enclave.signed.so")]


def test_a_registry_within_is_asked_only_where_somebody_named_it(registry: DockerRegistry, made: Path) -> None:
    name = registry.push(f"oci:{made}", "team/inner:1")
    with pytest.raises(DonjonError, match=r"127\.0\.0\.1, of this machine.*DJ336"):
        read(name, replace(ACCESS, inside=frozenset()))
    assert read(name, replace(ACCESS, inside=frozenset({registry.host})))[1] == FILES
