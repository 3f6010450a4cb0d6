"""Pods that ask for EPC, made again and again at a held rate while something else happens, and what became of each.

They are dry runs: the API server does everything but keep them, so that thousands leave nothing behind.
"""

import asyncio
import base64
import ssl
import threading
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2
from ruamel.yaml import YAML
from tests.cluster.agents import ENCLAVE, EPC, pod
from tests.cluster.conftest import ORDINARY_IMAGE, Cluster

ASKING = pod("load", image=ORDINARY_IMAGE, limits={"sgx.intel.com/sgx_epc_mem_in_MiB": "1"})
ORDINARY = pod("load", image=ORDINARY_IMAGE, limits={"cpu": "1m"})
ANSWERED_WITHIN = 20.0


class Load:
    """Makes pods from a thread of its own for as long as it is entered; the figures are whole once it is left."""

    def __init__(self, cluster: Cluster, folder: Path, *, rate: float, made: Any = ASKING) -> None:
        self._cluster, self._folder, self._rate, self._made = cluster, folder, rate, made
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self.outcomes: Counter[str] = Counter()
        self.seconds: list[float] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stopped.set()
        self._thread.join()

    async def _run(self) -> None:
        server, context = client_of(self._cluster, self._folder)
        limits = httpx2.Limits(max_connections=100)
        waiting = httpx2.Timeout(ANSWERED_WITHIN, pool=None)  # A wait for a connection of our own is no answer of theirs.
        async with httpx2.AsyncClient(base_url=server, verify=context, timeout=waiting, limits=limits) as client:
            loop = asyncio.get_running_loop()
            tasks, due = set[asyncio.Task[None]](), loop.time()
            while not self._stopped.is_set():
                tasks.add(task := asyncio.create_task(self._make(client)))
                task.add_done_callback(tasks.discard)
                due += 1 / self._rate
                await asyncio.sleep(max(0.0, due - loop.time()))
            await asyncio.gather(*tasks)

    async def _make(self, client: httpx2.AsyncClient) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            answer = await client.post("/api/v1/namespaces/default/pods?dryRun=All", json=self._made)
        except httpx2.HTTPError as error:
            self.outcomes[f"failed: {error!r}"] += 1
            return
        self.seconds.append(loop.time() - began)
        self.outcomes[outcome(answer.status_code, answer.json())] += 1


def outcome(status: int, said: Any) -> str:
    """What became of the pod."""
    if status == httpx2.codes.CREATED:
        limits = said["spec"]["containers"][0]["resources"]["limits"]
        return "wired" if {EPC, ENCLAVE} <= set(limits) else "unwired"
    words = said.get("message", "")
    return "refused" if "not wired" in words else f"failed: {status} {words[:300]}"


def client_of(cluster: Cluster, folder: Path) -> tuple[str, ssl.SSLContext]:
    """The API server's address and how to speak to it as the kubeconfig's user."""
    config = YAML(typ="safe").load(cluster.kubeconfig)
    server, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    files = {}
    for name in ("client-certificate", "client-key"):
        files[name] = folder / name
        files[name].write_bytes(base64.b64decode(user[f"{name}-data"]))
    context = ssl.create_default_context(cadata=base64.b64decode(server["certificate-authority-data"]).decode())
    context.load_cert_chain(files["client-certificate"], files["client-key"])
    return server["server"], context
