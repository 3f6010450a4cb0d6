import pytest

from donjon.errors import Malformed
from donjon.images.references import ImagePlace, parse_reference

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("ubuntu", "docker.io/library/ubuntu:latest"),
        ("ubuntu:24.04", "docker.io/library/ubuntu:24.04"),
        ("gramineproject/gramine", "docker.io/gramineproject/gramine:latest"),
        ("index.docker.io/library/ubuntu", "docker.io/library/ubuntu:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/app:1", "localhost:5000/app:1"),
        ("registry.example.com/team/app", "registry.example.com/team/app:latest"),
        (f"registry.example.com/app@{DIGEST}", f"registry.example.com/app@{DIGEST}"),
        (f"registry.example.com/app:1@{DIGEST}", f"registry.example.com/app:1@{DIGEST}"),
        ("[::1]:5000/app", "[::1]:5000/app:latest"),
        ("REGISTRY/app", "REGISTRY/app:latest"),
        ("a__b/c-d.e---f", "docker.io/a__b/c-d.e---f:latest"),
    ],
)
def test_a_name_is_read_as_docker_does(text: str, whole: str) -> None:
    assert str(parse_reference(text)) == whole


@pytest.mark.parametrize(
    ("text", "place", "path", "tag"),
    [
        ("oci:layout", ImagePlace.OCI_LAYOUT, "layout", ""),
        ("oci:/a/b:c/layout.tar", ImagePlace.OCI_LAYOUT, "/a/b:c/layout.tar", ""),
        ("oci:/a/layout.tar:v1", ImagePlace.OCI_LAYOUT, "/a/layout.tar", "v1"),
        ("docker-archive:/a/image.tar", ImagePlace.DOCKER_ARCHIVE, "/a/image.tar", ""),
    ],
)
def test_a_path_is_told_from_a_name_by_the_word_before_the_colon(text: str, place: ImagePlace, path: str, tag: str) -> None:
    reference = parse_reference(text)
    assert (reference.place, reference.path, reference.tag) == (place, path, tag)
    assert str(reference) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "oci:", "docker-archive:", "Ubuntu", "a b", "a/../b", "https://a.example/b", "a@sha256:12", f"a@{DIGEST}{DIGEST}"),
        *("a:", "a:b c", "a.example//b", "-a.example/b", "a" * 256, "a:" + "b" * 129, "a\nb", "user:pw@a.example/b"),
        *("a.example:port/b", "a" * 5000),
    ],
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(Malformed, match="DJ320"):
        parse_reference(text)
