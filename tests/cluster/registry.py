"""A real registry (Debian's `docker-registry`) beside the testbed, and images put into it as `docker push` does."""

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
from testbed import clock, images
from testbed.layout import HOST_ADDRESS, Layout
from testbed.packages import install

MANIFEST, CONFIG = "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
PACKAGES = {"docker-registry": "docker-registry"}
PORT = 5000
HOST = f"{HOST_ADDRESS}:{PORT}"


@dataclass(slots=True)
class TestRegistry:
    """A registry of one's own, over plain HTTP."""

    __test__ = False

    folder: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Serve; what was pushed before is there."""
        (self.folder / "config.yml").write_text(
            f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {self.folder / 'data'}}}}}\n"
            f"http: {{addr: '{HOST}'}}\nlog: {{level: warn}}\n"
        )
        command = ["docker-registry", "serve", str(self.folder / "config.yml")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        assert clock.wait_until(self.answers, seconds=10), (self.folder / "log").read_text()[-2000:]

    def answers(self) -> bool:
        """Whether it answers."""
        try:
            return httpx2.get(f"http://{HOST}/v2/", trust_env=False).is_success
        except httpx2.HTTPError:
            return False

    def stop(self) -> None:
        """Be away."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
            self.process = None

    def push(self, repository: str, tag: str, files: Mapping[str, bytes]) -> str:
        """Put an image there, busybox and these files; its digest."""
        base = gzip.compress(images._layer(images.Image(name="", command=(), files={})), mtime=0)
        layers = [base, gzip.compress(_archive(files), mtime=0)]
        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/sleep", "600"]},
            "rootfs": {"type": "layers", "diff_ids": [_digest(gzip.decompress(each)) for each in layers]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.blob(repository, json.dumps(config).encode(), CONFIG),
            "layers": [self.blob(repository, each, LAYER) for each in layers],
        }
        return self.manifest(repository, tag, json.dumps(manifest).encode())

    def blob(self, repository: str, content: bytes, media_type: str) -> dict[str, object]:
        """Put a blob there; what a manifest says of it."""
        with httpx2.Client(base_url=f"http://{HOST}", trust_env=False, timeout=10) as client:
            place = client.post(f"/v2/{repository}/blobs/uploads/").headers["location"]
            sign = "&" if "?" in place else "?"
            answer = client.put(f"{place}{sign}digest={_digest(content)}", content=content)
            assert answer.is_success, answer.text
        return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}

    def manifest(self, repository: str, tag: str, content: bytes) -> str:
        """Let a tag stand for a manifest; its digest."""
        with httpx2.Client(base_url=f"http://{HOST}", trust_env=False, timeout=10) as client:
            answer = client.put(f"/v2/{repository}/manifests/{tag}", content=content, headers={"Content-Type": MANIFEST})
            assert answer.is_success, answer.text
        return _digest(content)


@contextmanager
def registry(layout: Layout, folder: Path) -> Iterator[TestRegistry]:
    """A registry that the nodes' containerd pulls from, until the block ends."""
    install(PACKAGES)
    known = layout.state / "registries" / HOST
    known.mkdir(parents=True, exist_ok=True)
    (known / "hosts.toml").write_text(f'server = "http://{HOST}"\n[host."http://{HOST}"]\ncapabilities = ["pull", "resolve"]\n')
    made = TestRegistry(folder)
    made.start()
    try:
        yield made
    finally:
        made.stop()


def _archive(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
