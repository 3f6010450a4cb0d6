"""What is chosen for an application, what a user lays over it, and what is told before anything is built."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from tests.wrapping.programs import VECTORS

from donjon.enclave.linkage import ProgramLinks
from donjon.enclave.signing import blank, change
from donjon.errors import DonjonError, Malformed, Misconfigured
from donjon.formats.json import JsonObject
from donjon.images.image import ImageConfig
from donjon.sgx.sigstruct import SigStruct
from donjon.wrapping import manifest as manifests
from donjon.wrapping.application import application_of, interpreter_of
from donjon.wrapping.building import sigstruct_fields
from donjon.wrapping.calls import absent_calls
from donjon.wrapping.contents import ImageContents, file_node
from donjon.wrapping.files import TrustedPath
from donjon.wrapping.gramine import GramineFiles, LibcKind, find_gramine
from donjon.wrapping.host import loader_needs
from donjon.wrapping.inspection import gramine_facts
from donjon.wrapping.kubernetes import epc_request
from donjon.wrapping.merge import lay_over, own_trusted, weaknesses
from donjon.wrapping.mounts import MountKind, all_mounts, parse_mount
from donjon.wrapping.obstacles import GramineFacts, ImageFacts, obstacles
from donjon.wrapping.sizing import GIB, MIB, choose_size, parse_size
from donjon.wrapping.tree import FileTree, file_tree, link_node

APP = file_node(b"\x7fELF", 0o755)
TREE = file_tree([("/usr/bin/app", APP), ("/bin", link_node("usr/bin")), ("/etc/a", file_node(b"a")), ("/run/x", APP)])
PASSWD = {"/etc/passwd": b"root:x:0:0::/:/bin/sh\napp:x:7:8::/:/bin/sh\n", "/etc/group": b"staff:x:50:\n"}
LARGE = replace(APP, size=300 << 20)
LINKS = ProgramLinks(
    is_amd64=True,
    is_static=False,
    interpreter="/lib64/ld-linux-x86-64.so.2",
    needed=("libc.so.6",),
    versions=(("libc.so.6", "GLIBC_2.34"), ("libc.so.6", "GLIBC_2.4")),
    provides=(),
    is_go=False,
    entry=0,
)


def facts(
    config: ImageConfig | None = None, program: ProgramLinks | None = LINKS, tree: FileTree = TREE, interpreter: str = ""
) -> ImageFacts:
    config = config or ImageConfig(entrypoint=("app",))
    application = application_of(config, tree, PASSWD)
    return ImageFacts(
        config=config,
        tree=tree,
        application=application,
        program=program,
        interpreter=interpreter,
        links={} if program is None else {"/usr/bin/app": program},
    )


def test_a_program_is_found_as_a_shell_finds_it_and_a_user_by_name_or_number() -> None:
    config = ImageConfig(entrypoint=("app", "-v"), command=("x",), environment=("PATH=/none:/bin", "A=b=c"), user="app:staff")
    application = application_of(config, TREE, PASSWD)
    assert (application.program, application.arguments) == ("/bin/app", ("app", "-v", "x"))
    assert (application.uid, application.gid, application.environment["A"]) == (7, 50, "b=c")
    assert application_of(ImageConfig(entrypoint=("./app",), working_dir="/usr/bin", user="12"), TREE, PASSWD).uid == 12


@pytest.mark.parametrize(
    "config",
    [
        ImageConfig(),
        ImageConfig(entrypoint=("",)),
        ImageConfig(entrypoint=("nothing",)),
        ImageConfig(entrypoint=("/etc/a",)),
        ImageConfig(entrypoint=("app", "\0")),
        ImageConfig(entrypoint=("app", *["x"] * 5000)),
        ImageConfig(entrypoint=("app",), environment=("nonsense",)),
        ImageConfig(entrypoint=("app",), environment=("=x",)),
        ImageConfig(entrypoint=("app",), user="nobody-there"),
        ImageConfig(entrypoint=("app",), user="99999999999"),
    ],
)
def test_a_config_of_nonsense_is_refused(config: ImageConfig) -> None:
    with pytest.raises(Malformed, match="DJ391"):
        application_of(config, TREE, PASSWD)


@pytest.mark.parametrize(
    ("line", "program"),
    [
        ("/usr/bin/app", "/usr/bin/app"),
        ("/usr/bin/env app", "/bin/app"),
        ("/usr/bin/env -S A=1 app -x", "/bin/app"),
        ("lost", "lost"),
        ("", ""),
    ],
)
def test_a_scripts_first_line_names_its_program_behind_env_too(line: str, program: str) -> None:
    application = application_of(ImageConfig(entrypoint=("app",), environment=("PATH=/bin",)), TREE, PASSWD)
    assert interpreter_of(line, application, TREE) == program


@pytest.mark.parametrize(
    ("said", "size"),
    [
        ({}, GIB),
        ({"memory": 100 * MIB}, 128 * MIB),
        ({"memory": 2 * GIB}, 4 * GIB),
        ({"size": 512 * MIB}, 512 * MIB),
    ],
)
def test_a_size_is_said_or_worked_out(said: Mapping[str, int], size: int) -> None:
    chosen = choose_size(
        "/usr/bin/python3.12",
        size=said.get("size"),
        threads=4,
        memory=said.get("memory"),
        loads=8 * MIB,
        manifest=MIB,
    )
    assert chosen.size == size
    assert chosen.overhead == 8 * MIB + 3 * MIB + 4 * 90 * 4096


@pytest.mark.parametrize("text", ["3M", "1", "0G", "1.5G", "1T", "-1G", "1" * 30, "1024G", ""])
def test_a_size_that_no_processor_takes_is_refused(text: str) -> None:
    with pytest.raises(Misconfigured, match="DJ398"):
        parse_size(text)


@pytest.mark.parametrize("text", ["512M", "512Mi", "1G"])
def test_a_size_is_read_as_gramine_does(text: str) -> None:
    assert parse_size(text) in {512 * MIB, GIB}


def test_a_mount_is_taken_where_links_lead_too() -> None:
    tree = file_tree([("/var/run", link_node("/run"))])
    kinds = {each.path: each.kind for each in all_mounts(tree, [parse_mount("/data"), parse_mount("/etc/hosts:encrypted")])}
    assert kinds["/data"] is MountKind.HOST
    assert kinds["/run/secrets/kubernetes.io/serviceaccount"] is MountKind.HOST
    assert kinds["/etc/hosts"] is MountKind.ENCRYPTED


@pytest.mark.parametrize("text", ["", "data", "/", "/..", "/a:read", "/a:allowed=k", "/a:tmpfs=k", "/a:encrypted=", "a:tmpfs"])
def test_a_mount_of_nonsense_is_refused(text: str) -> None:
    with pytest.raises(Malformed, match="DJ392"):
        parse_mount(text)


OURS: JsonObject = {
    "loader": {"entrypoint": {"uri": "file:/g"}, "env": {"A": "1", "B": "2"}, "uid": 7},
    "fs": {"mounts": [{"type": "tmpfs", "path": "/scratch"}]},
    "sgx": {"allowed_files": ["file:/etc/hosts"], "debug": False},
}


def test_a_users_word_wins_and_their_lists_are_added() -> None:
    theirs = manifests.parse(
        b'loader.env.A = { passthrough = true }\nloader.env.C = "3"\nsgx.allowed_files = ["file:/x"]\nsgx.debug = true\n'
    )
    merged = lay_over(OURS, theirs)
    assert merged["loader"] == {
        "entrypoint": {"uri": "file:/g"},
        "env": {"A": {"passthrough": True}, "B": "2", "C": "3"},
        "uid": 7,
    }
    assert merged["sgx"] == {"allowed_files": ["file:/etc/hosts", "file:/x"], "debug": True}
    assert [each.code for each in weaknesses(merged, "yours")] == ["DJ397"]


@pytest.mark.parametrize(
    "text",
    [
        b'loader.entrypoint = "file:/other"',
        b'loader.entrypoint.sha256 = "00"',
        b'fs.root.uri = "file:/other"',
        b"sgx = 1",
        b"fs.mounts = {}\nloader = []",
        b'sgx.trusted_files = "file:/etc/a"',
        b'sgx.trusted_files = ["file:/nowhere"]',
        b'sgx.trusted_files = ["/etc/a"]',
        b'sgx.trusted_files = [{uri = "file:/etc/a", sha256 = "00"}]',
    ],
)
def test_what_nobody_may_say_is_refused(text: bytes) -> None:
    theirs = manifests.parse(text)
    with pytest.raises(Misconfigured, match="DJ393"):
        list((lay_over(OURS, theirs), own_trusted(theirs, TREE))[1])


def test_a_file_that_comes_later_is_trusted_by_the_hash_that_is_said() -> None:
    theirs = manifests.parse(b'sgx.trusted_files = ["file:/etc/a", "file:/etc/", {uri = "file:/later", sha256 = "ab"}]')
    assert list(own_trusted(theirs, TREE)) == [TrustedPath("/etc/a", file_node(b"a").sha256.hex()), TrustedPath("/later", "ab")]


@pytest.mark.parametrize("text", [b"\xff", b"a = ", b"a = 1979-05-27", b"[" * 100_000, b"#" * (5 << 20)])
def test_a_manifest_that_is_none_is_refused(text: bytes) -> None:
    with pytest.raises(Malformed, match="DJ392"):
        manifests.parse(text)


def codes(found: ImageFacts, gramine: GramineFacts | None = None) -> list[tuple[str, str]]:
    return [(each.code, str(each.severity)) for each in obstacles(found, gramine)]


GRAMINE = GramineFacts(runtimes=(LibcKind.GLIBC,), glibc=("GLIBC_2.4", "GLIBC_2.34", "GLIBC_2.39"))
STOP, WARN = ("DJ394", "error"), ("DJ395", "warning")


def links(**changed: Any) -> ProgramLinks:
    return replace(LINKS, **changed)


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (LINKS, []),
        (links(is_amd64=False), [STOP]),
        (links(interpreter="/lib/ld-musl-x86_64.so.1"), [STOP]),
        (links(versions=(("libc.so.6", "GLIBC_2.40"),)), [STOP]),
        (links(is_static=True, interpreter="", needed=(), versions=()), [WARN]),
        (links(is_go=True), [WARN]),
        (None, [STOP]),
    ],
)
def test_what_would_stop_a_program_is_told_first(program: ProgramLinks | None, expected: list[tuple[str, str]]) -> None:
    assert codes(facts(program=program), GRAMINE) == expected


def test_what_of_an_image_matters_is_told() -> None:
    tree = file_tree([*TREE.nodes.items(), ("/usr/bin/su", file_node(b"", 0o4755)), ("/big", LARGE)])
    config = ImageConfig(entrypoint=("app",), user="7", exposed_ports=("80/tcp", "8080/tcp"), volumes=("/data",))
    assert sorted(codes(facts(config, tree=tree))) == [("DJ395", "info"), WARN, ("DJ396", "warning"), ("DJ396", "warning")]


@pytest.mark.parametrize(
    "paths",
    [
        ("/a/sgx/libpal.so",),
        ("/a/sgx/libpal.so", "/a/sgx/loader"),
        ("/a/sgx/libpal.so", "/a/sgx/loader", "/a/libsysdb.so", "/b/sgx/libpal.so"),
        (),
    ],
)
def test_gramine_that_is_not_whole_is_no_gramine(paths: tuple[str, ...]) -> None:
    with pytest.raises(DonjonError, match="DJ390"):
        find_gramine(file_tree((path, APP) for path in paths), "base")


def contents(**programs: ProgramLinks) -> ImageContents:
    """An image with programs: the loader, a library of its own, the C library."""
    places = {
        "loader": "/g/sgx/loader",
        "own": "/usr/lib/libown.so",
        "libc": "/lib/libc.so.6",
        "interpreter": "/lib64/ld-linux-x86-64.so.2",
    }
    nodes = [(places[name], replace(APP, program=program)) for name, program in programs.items()]
    return ImageContents(reference="it", config=ImageConfig(), tree=file_tree(nodes))


LIBC = replace(LINKS, needed=(), versions=(), provides=("GLIBC_2.4", "GLIBC_2.34"))
LOADER = replace(LINKS, needed=("libc.so.6", "libown.so"))
OWN = replace(LINKS, needed=(), versions=())
BASE = contents(loader=LOADER, own=OWN, libc=LIBC, interpreter=OWN)


@pytest.mark.parametrize(
    ("base", "image", "copies", "code"),
    [
        (BASE, contents(libc=LIBC, interpreter=OWN), {"/gramine/host/libown.so"}, []),
        (BASE, contents(own=OWN, libc=LIBC, interpreter=OWN), set(), []),
        (BASE, contents(libc=replace(LIBC, provides=("GLIBC_2.4",)), interpreter=OWN), {"/gramine/host/libown.so"}, ["DJ394"]),
        (BASE, contents(), {"/gramine/host/libown.so", "/gramine/host/libc.so.6", "/lib64/ld-linux-x86-64.so.2"}, []),
        (contents(loader=LOADER, libc=LIBC), contents(libc=LIBC, interpreter=OWN), set(), ["DJ394"]),
        (contents(), contents(libc=LIBC), set(), ["DJ394"]),
    ],
)
def test_the_loader_is_given_what_the_image_has_not_and_an_old_c_library_is_told(
    base: ImageContents, image: ImageContents, copies: set[str], code: list[str]
) -> None:
    needs = loader_needs(base, GramineFiles(root="/g", runtimes=()), image)
    assert set(needs.files.values()) == copies
    assert [each.code for each in needs.findings] == code


def test_of_gramines_c_library_its_versions_count_and_not_its_name() -> None:
    files = GramineFiles(root="/g", runtimes=(LibcKind.GLIBC,))
    libc = replace(APP, program=replace(LIBC, provides=("libc.so.6", "GLIBC_2.4", "GLIBC_2.30")))
    tree = file_tree([(f"{files.runtime(LibcKind.GLIBC)}/libc.so.6", libc)])
    (stop,) = obstacles(facts(), gramine_facts(ImageContents(reference="base", config=ImageConfig(), tree=tree), files))
    assert "needs GLIBC_2.34 (/usr/bin/app), and Gramine's glibc has GLIBC_2.30 at most" in stop.observation


@pytest.mark.parametrize(("edmm", "processes", "request_"), [(b"", 1, 65), (b"", 3, 193), (b"sgx.edmm_enable = true\n", 1, 65)])
def test_the_epc_asked_for_is_of_all_pages_of_all_processes(edmm: bytes, processes: int, request_: int) -> None:
    manifest = b'libos.entrypoint = "/a"\n' + edmm + b'sgx.enclave_size = "64M"\nsgx.max_threads = 4\n'
    assert epc_request(manifest, 64 * MIB, processes) == request_ * MIB


@pytest.mark.parametrize("name", ["plain", "edmm", "features"])
def test_the_fields_are_those_of_gramines_signer_to_the_byte(name: str) -> None:
    """Of a manifest with its defaults written out, as ours always has them."""
    own = SigStruct((VECTORS / f"{name}.sigstruct").read_bytes())
    manifest = manifests.parse((VECTORS / f"{name}.manifest.sgx").read_bytes())
    defaults: JsonObject = {"sgx": {"isvprodid": 0, "isvsvn": 0}}
    fields = sigstruct_fields(lay_over(defaults, manifest), date(2026, 11, 30))
    assert change(blank(own.mr_enclave), fields).sigstruct.raw == own.raw


@pytest.mark.parametrize(
    "text",
    [
        b"isvsvn = 65536",
        b"isvprodid = -1",
        b'isvprodid = "1"',
        b"isvsvn = true",
        b'cpu_features.avx = "perhaps"',
        b'cpu_features.mpx = "unspecified"',
    ],
)
def test_fields_that_gramine_takes_not_are_refused(text: bytes) -> None:
    with pytest.raises(Misconfigured, match="DJ398"):
        sigstruct_fields(lay_over({"sgx": {"isvprodid": 0, "isvsvn": 0}}, manifests.parse(b"[sgx]\n" + text)), date(2026, 1, 1))


def test_what_gramine_has_not_is_told_by_what_it_is_for_and_the_rest_is_not() -> None:
    imports = {"/usr/bin/app": frozenset({"unshare", "mount", "printf"}), "/lib/a.so": frozenset({"inotify_init1", "mount"})}
    told = [(each.subject, each.observation.split(",")[0], str(each.severity)) for each in absent_calls(imports)]
    assert told == [("/lib/a.so, /usr/bin/app", "imports mount", "info"), ("/lib/a.so", "imports inotify_init1", "info")]
    assert list(absent_calls({"/usr/bin/app": frozenset({"printf", "read"})})) == []
