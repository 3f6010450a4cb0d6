"""A stand-in for Azure's Resource Manager, as far as pools of AKS go: long-running operations, and every way to be turned away.

Shapes: Azure REST API, agentPools; Azure Resource Manager, "Track asynchronous Azure operations" and "Throttling".
"""

import json
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.adapters.https import HOST, SERVING

POOL = re.compile(
    r"/subscriptions/[^/]+/resourceGroups/([^/]+)/providers/Microsoft\.ContainerService/managedClusters/([^/]+)/agentPools/([^/?]+)"
)
CLUSTER = re.compile(
    r"/subscriptions/[^/]+/resourceGroups/([^/]+)/providers/Microsoft\.ContainerService/managedClusters/([^/?]+)$"
)
OPERATION = re.compile(r".*/operations/([^/?]+)")

Answer = tuple[int, dict[str, str], bytes]


@dataclass
class FakeArm:
    """One cluster's pools; a test may say how the next questions are answered."""

    cluster: str = "vaults"
    pools: dict[str, dict[str, Any]] = field(default_factory=dict)
    looks: int = 2  # at an operation until it is over
    fate: str = "Succeeded"  # of operations
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    queue: list[Callable[[], Answer]] = field(default_factory=list)  # what the next requests get in place of an answer
    port: int = 0
    _left: dict[str, int] = field(default_factory=dict)
    _version: int = 0

    def put_there(self, name: str, **properties: object) -> None:
        """A pool that is there already."""
        self._version += 1
        whole = {"provisioningState": "Succeeded", "type": "VirtualMachineScaleSets", **properties, "eTag": f"v{self._version}"}
        self.pools[name] = whole

    def puts(self) -> list[str]:
        return [path for method, path, _ in self.requests if method == "PUT"]

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        self.requests.append((method, path.partition("?")[0], headers))
        if self.queue:
            return self.queue.pop(0)()
        bare = path.partition("?")[0]
        if operation := OPERATION.match(bare):
            return self._operation(operation[1])
        if pool := POOL.fullmatch(bare):
            return self._pool(method, pool[2], pool[3], headers, body)
        if cluster := CLUSTER.fullmatch(bare):
            return ok({"name": cluster[2]}) if cluster[2] == self.cluster else error(404, "ResourceNotFound", "no such cluster")
        return error(404, "NotFound", "nothing here")

    def _pool(self, method: str, cluster: str, name: str, headers: dict[str, str], body: bytes) -> Answer:
        if cluster != self.cluster:
            return error(404, "ResourceNotFound", f"The Resource 'managedClusters/{cluster}' was not found.")
        if method == "GET":
            if name not in self.pools:
                return 404, {}, json.dumps({"code": "NotFound", "message": f"Could not find the agent pool: {name}"}).encode()
            return ok({"name": name, "properties": self.pools[name]})
        if name in self.pools and headers.get("if-match", "").strip('"') not in ("", self.pools[name]["eTag"]):
            return error(412, "PreconditionFailed", "the etag is another")
        if name in self.pools and headers.get("if-none-match") == "*":
            return error(412, "PreconditionFailed", "there is one of that name")
        made = name not in self.pools
        self.put_there(name, **{**json.loads(body)["properties"], "provisioningState": "Creating" if made else "Updating"})
        self._left[name] = self.looks
        where = f"https://{HOST}:{self.port}/subscriptions/s/providers/Microsoft.ContainerService/locations/westeurope/operations/{name}"
        head = {"Azure-AsyncOperation": f"{where}?api-version=2016-03-30", "Retry-After": "0"}
        status, _, text = ok({"name": name, "properties": self.pools[name]})
        return 201 if made else status, head, text

    def _operation(self, name: str) -> Answer:
        self._left[name] -= 1
        if self._left[name] > 0:
            return ok({"name": name, "status": "InProgress", "startTime": "2026-11-30T08:00:00Z"}, {"Retry-After": "0"})
        self.pools[name]["provisioningState"] = self.fate
        failure = {} if self.fate == "Succeeded" else {"error": {"code": "OutOfQuota", "message": "no cores are left"}}
        return ok({"name": name, "status": self.fate, **failure})


def ok(body: dict[str, Any], headers: dict[str, str] | None = None) -> Answer:
    return 200, headers or {}, json.dumps(body).encode()


def error(status: int, code: str, words: str, headers: dict[str, str] | None = None) -> Answer:
    return status, headers or {}, json.dumps({"error": {"code": code, "message": words}}).encode()


@contextmanager
def serving(arm: FakeArm, folder: Path) -> Iterator[str]:
    """Its address, within the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, text = arm.answer(
                self.command, self.path, {name.lower(): text for name, text in self.headers.items()}, body
            )
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers, "Content-Length": str(len(text))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_PUT = do_DELETE = _do  # noqa: N815 - the library's names.

        def log_message(self, *_: object) -> None:
            pass

    for name, data in (("arm.crt", SERVING.certificate), ("arm.key", SERVING.key), ("authority.pem", SERVING.authority.pem)):
        (folder / name).write_bytes(data)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "arm.crt", folder / "arm.key")
    server = ThreadingHTTPServer((HOST, 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    arm.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"https://{HOST}:{arm.port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
