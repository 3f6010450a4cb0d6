"""A Python application's image, made of this machine's own Python; and a stand-in for an image with Gramine.

The stand-in is none of Gramine: its libpal.so is a program of ours, its loader this machine's `tar`, its LibOS a text. All that a
measurement and a layer depend on is there; nothing of it could run an enclave.
"""

import subprocess
import tarfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from tests.images.made import MadeImage, layer, member

from donjon.formats.json import JsonObject

VECTORS = Path(__file__).parents[2] / "vectors" / "gramine"
PAL = (VECTORS / "standin-libpal.so").read_bytes()
OFFSETS = (VECTORS / "offsets.txt").read_bytes()
PYTHON = Path("/usr/bin/python3").resolve()
LOADER = Path("/usr/bin/tar").resolve()
GRAMINE = "usr/lib/x86_64-linux-gnu/gramine"
APP = b"import json\nprint(json.dumps({'hello': 'enclave'}))\n"
PROCESS: JsonObject = {
    "Entrypoint": ["python3"],
    "Cmd": ["/app/main.py", "--quiet"],
    "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"],
    "WorkingDir": "/app",
    "User": "app",
    "Labels": {"maintainer": "somebody"},
}
MERGED = {"bin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib64", "var/run": "/run"}
"""Links as Debian has them."""


@cache
def libraries(program: Path) -> Mapping[str, bytes]:
    """What a program of this machine is linked with, its loader among them, by the paths that links of Debian's lead to."""
    lines = subprocess.run(("ldd", program), check=True, capture_output=True, text=True).stdout.splitlines()
    paths = [word for line in lines for word in line.split() if word.startswith("/")]
    return {f"usr/{path.removeprefix('/usr').lstrip('/')}": Path(path).resolve().read_bytes() for path in paths}


def links(targets: Mapping[str, str]) -> list[tuple[tarfile.TarInfo, bytes]]:
    return [(member(path, tarfile.SYMTYPE, linkname=target, mode=0o777), b"") for path, target in targets.items()]


def files(contents: Mapping[str, bytes], mode: int = 0o644) -> list[tuple[tarfile.TarInfo, bytes]]:
    return [(member(path, mode=mode), content) for path, content in contents.items()]


@cache
def distribution() -> bytes:
    """The lowest layer: a Python and what it is linked with."""
    python = {"usr/bin/python3.11": PYTHON.read_bytes(), **libraries(PYTHON)}
    users = {"etc/passwd": b"root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/app:/bin/sh\n", "etc/hosts": b"127.0.0.1 localhost\n"}
    return layer([*links({**MERGED, "usr/bin/python3": "python3.11"}), *files(python, 0o755), *files(users)])


def application(process: JsonObject | None = None) -> MadeImage:
    """An application in Python, with data below /var, and a file that its last layer takes away."""
    app = {"app/main.py": APP, "var/lib/app/model.bin": b"weights", "app/draft.py": b"old"}
    return MadeImage(distribution(), layer(files(app)), layer({"app/.wh.draft.py": b""}), process=process or PROCESS)


@cache
def gramine_base() -> MadeImage:
    """A stand-in for an image with Gramine."""
    own = {
        f"{GRAMINE}/sgx/libpal.so": PAL,
        f"{GRAMINE}/libsysdb.so": b"a stand-in for Gramine's LibOS",
        f"{GRAMINE}/direct/loader": b"of no use",
        f"{GRAMINE}/runtime/glibc/libc.so.6": libraries(PYTHON)["usr/lib/x86_64-linux-gnu/libc.so.6"],
        f"{GRAMINE}/runtime/glibc/ld.so": b"a stand-in",
        "usr/lib/python3/dist-packages/_graminelibos_offsets.py": OFFSETS,
    }
    runtime = {f"{GRAMINE}/runtime/glibc/ld-linux-x86-64.so.2": "ld.so"}
    loader = {f"{GRAMINE}/sgx/loader": LOADER.read_bytes(), **libraries(LOADER)}
    return MadeImage(layer([*links({**MERGED, **runtime}), *files(own), *files(loader, 0o755)]))
