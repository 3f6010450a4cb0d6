"""An API server with a scheduler and nothing else: nodes are objects, and pods get one or stay Pending. Needs no root.

The programs are the testbed's, built from Kubernetes' own sources. Without kubelets no pod starts, and none is to.
"""

import json
import os
import signal
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from testbed import clock
from testbed.layout import here
from tests.ports import free_port

HOST, TOKEN = "127.0.0.1", "plane"
READY_WITHIN = 60.0


@dataclass(slots=True)
class Plane:
    """The API server, asked by one who may do everything."""

    port: int
    kubeconfig: Path
    connection: HTTPSConnection
    scheduler: int  # its process

    def pause_scheduler(self) -> None:
        os.kill(self.scheduler, signal.SIGSTOP)

    def resume_scheduler(self) -> None:
        os.kill(self.scheduler, signal.SIGCONT)

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None, kind: str = "application/json") -> Any:
        self.connection.request(
            method, path, None if body is None else json.dumps(body), {"Content-Type": kind, "Authorization": f"Bearer {TOKEN}"}
        )
        answer = self.connection.getresponse()
        text = answer.read()
        assert answer.status < 300, (method, path, answer.status, text[:500])
        return json.loads(text) if text else None

    def create(self, path: str, thing: Mapping[str, Any]) -> Any:
        return self.call("POST", path, thing)


def _connection(port: int) -> HTTPSConnection:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return HTTPSConnection(HOST, port, context=context, timeout=60)


@contextmanager
def plane(folder: Path) -> Iterator[Plane]:
    """Up within the block."""
    etcd, peer, port = free_port(), free_port(), free_port()
    key = folder / "sa.key"
    key.write_bytes(
        rsa.generate_private_key(65537, 2048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    tokens = folder / "tokens.csv"
    tokens.write_text(f"{TOKEN},admin,admin,system:masters\n")
    config = folder / "kubeconfig"
    cluster = {"server": f"https://{HOST}:{port}", "insecure-skip-tls-verify": True}
    config.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "c", "cluster": cluster}],
                "users": [{"name": "u", "user": {"token": TOKEN}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "x",
            }
        )
    )
    commands = {
        "etcd": (
            f"--data-dir={folder / 'etcd'}",
            f"--listen-client-urls=http://{HOST}:{etcd}",
            f"--advertise-client-urls=http://{HOST}:{etcd}",
            f"--listen-peer-urls=http://{HOST}:{peer}",
            f"--initial-advertise-peer-urls=http://{HOST}:{peer}",
            f"--initial-cluster=default=http://{HOST}:{peer}",
            "--unsafe-no-fsync",
            "--log-level=error",
        ),
        "kube-apiserver": (
            f"--etcd-servers=http://{HOST}:{etcd}",
            f"--bind-address={HOST}",
            f"--secure-port={port}",
            f"--cert-dir={folder / 'certificates'}",
            f"--advertise-address={HOST}",
            "--endpoint-reconciler-type=none",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--authorization-mode=RBAC",
            f"--token-auth-file={tokens}",
            "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition,PodSecurity",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--max-requests-inflight=4000",
            "--max-mutating-requests-inflight=2000",
        ),
        "kube-scheduler": (
            f"--kubeconfig={config}",
            "--leader-elect=false",
            "--secure-port=0",
            "--kube-api-qps=5000",
            "--kube-api-burst=5000",
        ),
    }
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for name, arguments in commands.items():
            if name == "kube-scheduler":
                _wait(port)
            with (folder / f"{name}.log").open("wb") as log:
                processes.append(subprocess.Popen([here().program(name), *arguments], stdout=log, stderr=log, cwd=folder))
        with closing(_connection(port)) as connection:
            yield Plane(port, config, connection, processes[-1].pid)
    finally:
        for process in reversed(processes):
            process.kill()  # Nothing of it is to last.
            process.wait()


def _wait(port: int) -> None:
    def ready() -> bool:
        try:
            with closing(_connection(port)) as connection:
                connection.request("GET", "/readyz", headers={"Authorization": f"Bearer {TOKEN}"})
                return connection.getresponse().status == 200
        except OSError:
            return False

    assert clock.wait_until(ready, seconds=READY_WITHIN), "the API server is not ready"
