"""Debian's docker-registry (distribution) on this machine, by TLS or not, open or with a password; and skopeo, which fills it."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from testbed import clock, packages
from testbed.trouble import Lacking, Trouble
from tests.adapters.https import SERVING
from tests.ports import HOST, free_port

USER, PASSWORD = "reader", "right"
_BCRYPT = "$2y$05$abcdefghijklmnopqrstuu8xaCxxL82bnl.UY74PMksDxIJShppPC"  # of the password, by libxcrypt
_SECONDS = 20


@dataclass(frozen=True)
class DockerRegistry:
    """One that runs."""

    host: str  # ADDRESS:PORT
    folder: Path
    tls: bool

    def push(self, source: str, name: str, *options: str) -> str:
        """Have skopeo copy an image, such as oci:FOLDER, and answer how it is called here."""
        reference = f"{self.host}/{name}"
        trust = ["--dest-cert-dir", str(self.folder / "trust")] if self.tls else ["--dest-tls-verify=false"]
        skopeo("copy", *trust, "--dest-creds", f"{USER}:{PASSWORD}", *options, source, f"docker://{reference}")
        return reference


def skopeo(*words: str) -> None:
    """Run it; a failure says what it said."""
    result = subprocess.run(["skopeo", "--insecure-policy", *words], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def install(*sets: dict[str, str]) -> None:
    """The Debian packages; where they are missing and cannot be installed, the test is not run, and says so."""
    try:
        for each in sets:
            packages.install(each)
    except (Lacking, Trouble) as error:
        pytest.skip(f"needs {', '.join(name for each in sets for name in each)}: {error}")


@contextmanager
def docker_registry(folder: Path, *, tls: bool = False, password: bool = False, proxied: str = "") -> Iterator[DockerRegistry]:
    """A new one, empty; or one that stands before another."""
    install(packages.REGISTRY, packages.SKOPEO)
    port = free_port()
    (folder / "trust").mkdir(parents=True)
    (folder / "trust" / "ca.crt").write_bytes(SERVING.authority.pem)
    (folder / "server.crt").write_bytes(SERVING.certificate)
    (folder / "server.key").write_bytes(SERVING.key)
    (folder / "users").write_text(f"{USER}:{_BCRYPT}\n")
    lines = [
        "version: 0.1",
        "log: {level: error, accesslog: {disabled: true}}",
        f"storage: {{filesystem: {{rootdirectory: {folder}/data}}}}",
        f"http: {{addr: '{HOST}:{port}'{_tls(folder) if tls else ''}}}",
        f"auth: {{htpasswd: {{realm: tests, path: {folder}/users}}}}" if password else "",
        f"proxy: {{remoteurl: '{proxied}'}}" if proxied else "",
    ]
    (folder / "config.yml").write_text("\n".join(lines))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(folder / "config.yml")], stdout=log, stderr=log)
        try:
            assert clock.wait_until(lambda: _answers(port), seconds=_SECONDS), (folder / "log").read_text()
            yield DockerRegistry(f"{HOST}:{port}", folder, tls)
        finally:
            process.terminate()
            process.wait()


def _tls(folder: Path) -> str:
    return f", tls: {{certificate: {folder}/server.crt, key: {folder}/server.key}}"


def _answers(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), 1).close()
    except OSError:
        return False
    return True
