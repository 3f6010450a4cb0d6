"""An image of 1 GiB, made in the run, looked through for enclaves: beside the bare decompression of its layers.

The image holds this machine's own programs and libraries, in four layers, and one enclave. Both read layers from the disk; the
floor unpacks them by the same library and does nothing else: no digest, no archive, no search. Each runs in a process of its own.
"""

import multiprocessing
import os
import resource
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from backports.zstd import ZstdDecompressor
from tests.enclave.vectors import SDK_FILE
from tests.images.made import MadeImage, layer, write_layout

from donjon.adapters.images.enclaves import enclave_files
from donjon.adapters.images.images import Images
from donjon.images.access import RegistryAccess
from donjon.images.image import Compression
from donjon.images.references import parse_reference

MIB, GIB = 1 << 20, 1 << 30
SIZE, LAYERS, TURNS, PIECE = 1 * GIB, 4, 3, 1 << 16
GOAL, GOAL_MIB = 0.7, 100


def main() -> None:
    """Print both times, their ratio and the memory."""
    with tempfile.TemporaryDirectory() as name:
        for compression in (Compression.GZIP, Compression.ZSTD):
            folder = Path(name) / compression
            _aside(_make, folder, compression)
            sizes = sum(path.stat().st_size for path in (folder / "blobs" / "sha256").iterdir())
            print(f"{compression}: {SIZE / MIB:.0f} MiB in {LAYERS} layers of together {sizes / MIB:.0f} MiB")
            turns = [(_aside(_floor, folder, compression), _aside(_inspect, folder, compression)) for _ in range(TURNS)]
            floor, ours = min(turn[0][0] for turn in turns), min(turn[1][0] for turn in turns)
            most = max(turn[1][1] for turn in turns)
            print(f"  bare decompression {floor:.2f} s, looked through {ours:.2f} s: {floor / ours:.2f} (goal {GOAL})")
            print(f"  each turn: {', '.join(f'{bare[0] / whole[0]:.2f}' for bare, whole in turns)}")
            alone = _aside(_nothing, folder, compression)[1]
            print(f"  most memory {most:.0f} MiB (goal {GOAL_MIB}), of which the interpreter and its modules {alone:.0f}")


def _aside(work: Callable[[Path, Compression], None], folder: Path, compression: Compression) -> tuple[float, float]:
    """Seconds of work in a fresh process, and the most MiB that it had resident."""
    context = multiprocessing.get_context("spawn")
    mine, its = context.Pipe()
    process = context.Process(target=_report, args=(its, work, folder, compression))
    process.start()
    seconds, memory = mine.recv()
    process.join()
    return seconds, memory


def _report(
    pipe: "Connection[tuple[float, float], None]",
    work: Callable[[Path, Compression], None],
    folder: Path,
    compression: Compression,
) -> None:
    start = time.perf_counter()  # noqa: TID251 - what is measured.
    work(folder, compression)
    seconds = time.perf_counter() - start  # noqa: TID251 - as above.
    pipe.send((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def _nothing(_folder: Path, _compression: Compression) -> None:
    pass


def _floor(folder: Path, compression: Compression) -> None:
    for path in (folder / "blobs" / "sha256").iterdir():
        if path.stat().st_size > MIB:
            unpacker = zlib.decompressobj(wbits=31) if compression is Compression.GZIP else ZstdDecompressor()
            with path.open("rb") as file:
                while piece := file.read(PIECE):
                    unpacker.decompress(piece)


def _inspect(folder: Path, _compression: Compression) -> None:
    images = Images(RegistryAccess())
    image = images.resolve(parse_reference(f"oci:{folder}"))
    assert [file.path for file in enclave_files(images, image)] == ["app/enclave.signed.so"]


def _make(folder: Path, compression: Compression) -> None:
    files, layers = _files(), []
    for number in range(LAYERS):
        content = {"app/enclave.signed.so": SDK_FILE} if not number else {}
        size = 0
        while size < SIZE // LAYERS:
            path = next(files)
            content[f"{number}{path}"] = path.read_bytes()
            size += len(content[f"{number}{path}"])
        layers.append(layer(content))
    write_layout(folder, MadeImage(*layers, compression=compression))


def _files() -> Iterator[Path]:
    """Programs, libraries and texts of this machine, again and again where there are too few."""
    while True:
        for top in ("/usr/bin", "/usr/lib", "/usr/share"):
            for folder, _, names in os.walk(top):
                for name in names:
                    path = Path(folder) / name
                    if path.is_file() and not path.is_symlink() and path.stat().st_size < 64 * MIB:
                        yield path


if __name__ == "__main__":
    main()
