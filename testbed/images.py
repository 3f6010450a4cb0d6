"""The images that every node holds: each one layer around Debian's static busybox, an OCI layout written by hand."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from testbed import processes
from testbed.commands import run
from testbed.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from testbed.layout import Layout, Node

BUSYBOX = Path("/bin/busybox")
PAUSE = "donjon.dev/testbed/pause:1"
ORDINARY = "donjon.dev/testbed/busybox:1"
SGX_TEST = "docker.io/oeciteam/sgx-test:1.0"
"""The image of the FAQ's Job under its full name. What the real one holds is not known to us: ours says that it is a stand-in."""

_SGX_TEST = """\
#!/bin/sh
# This is what the FAQ's Job runs on the testbed: it looks for the devices that an enclave needs and runs no enclave.
echo "stand-in for oeciteam/sgx-test:1.0 (no real enclave here)"
code=0
for device in /dev/sgx_enclave /dev/sgx/enclave /dev/sgx_provision /dev/sgx/provision; do
    if [ -c "$device" ]; then
        echo "$device: character device"
    elif [ -e "$device" ]; then
        echo "$device: not a character device"
    else
        echo "$device: absent"
    fi
    case "$device" in
    */sgx_enclave | */enclave)
        if [ -c "$device" ] && (exec 3<"$device") 2>/dev/null; then
            :
        else
            code=1
        fi
        ;;
    esac
done
[ "$code" -eq 0 ] || echo "not ready: both enclave paths must be character devices that can be opened"
exit "$code"
"""
# Not every applet: those that tests and people use to look around in a pod.
_APPLETS = ("sh", "ls", "cat", "echo", "sleep", "test", "id", "env", "ps", "mount", "grep", "wc",
    "head", "tail", "stat", "hexdump", "wget", "nc", "httpd", "ping", "true", "false", "dd", "kill", "mkdir")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image: its name, what it runs, and the files it has besides busybox."""

    name: str
    command: tuple[str, ...]
    files: Mapping[str, str]


IMAGES = (
    # The pause container only has to stay: the kernel ends it when the sandbox goes.
    Image(name=PAUSE, command=("/bin/sleep", "2147483647"), files={}),
    Image(name=ORDINARY, command=("/bin/sh",), files={}),
    Image(name=SGX_TEST, command=("/bin/sgx-test",), files={"bin/sgx-test": _SGX_TEST}),
)


def load(layout: Layout, nodes: Sequence[Node], archive: Path) -> None:
    """Import a tar of images (OCI layout or `docker save`) in every node."""
    if not archive.is_file():
        raise Trouble(
            f"{archive} is not a file", why="images are loaded from a tar", do="build the image first, or mend the path"
        )
    for node in nodes:
        if not processes.running(f"containerd-{node.name}"):
            raise Trouble(
                f"containerd of {node.name} does not run",
                why="images can only be loaded in a cluster that is up",
                do="run `python -m testbed up` first",
            )
        ctr = (layout.program("ctr"), "--address", node.containerd, "--namespace", "k8s.io")
        run(*ctr, "images", "import", archive.resolve())


def write(path: Path) -> Path:
    """Write the tar of all images of the testbed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    blobs: dict[str, bytes] = {}
    manifests = [_manifest(image, blobs) for image in IMAGES]
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests}
    files = {
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": json.dumps(index).encode(),
        **{f"blobs/sha256/{digest}": content for digest, content in blobs.items()},
    }
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            _add(archive, name, content)
    return path


def _manifest(image: Image, blobs: dict[str, bytes]) -> dict[str, object]:
    """The image's entry in the index; its blobs are put with the others."""
    layer = _layer(image)
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": list(image.command), "Labels": {"dev.donjon.stand-in": "true"}},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        "history": [{"created_by": "donjon testbed"}],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": _put(blobs, json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"),
        "layers": [_put(blobs, layer, "application/vnd.oci.image.layer.v1.tar")],
    }
    entry = _put(blobs, json.dumps(manifest).encode(), "application/vnd.oci.image.manifest.v1+json")
    names = {"io.containerd.image.name": image.name, "org.opencontainers.image.ref.name": image.name.rpartition(":")[2]}
    return {**entry, "platform": {"architecture": architecture, "os": "linux"}, "annotations": names}


def _put(blobs: dict[str, bytes], content: bytes, kind: str) -> dict[str, object]:
    digest = hashlib.sha256(content).hexdigest()
    blobs[digest] = content
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(content)}


def _layer(image: Image) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for folder in ("bin", "etc", "tmp"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            archive.addfile(entry)
        _add(archive, "bin/busybox", BUSYBOX.read_bytes(), mode=0o755)
        for applet in _APPLETS:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
        _add(archive, "etc/passwd", b"root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")
        # Names are looked up in the files of the image, as the statically linked C library cannot load anything else.
        _add(archive, "etc/nsswitch.conf", b"passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n")
        for name, text in image.files.items():
            _add(archive, name, text.encode(), mode=0o755)
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes, *, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))
