"""The attestation service on a port of its own, over a database in a folder."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx2
from tests.adapters import databases
from tests.collateral.machines import ENCRYPTED_PPID
from tests.simulation.intel import MOMENT

from donjon.pki import intel
from donjon.pki.intel import Anchor
from donjon.services.attestation import run
from donjon.services.attestation.settings.service import AttestationSettings, CacheMode, ClientCertificates
from donjon.simulation.intel.machines import Svns, tcbm

V4 = "/sgx/certification/v4"
CLIENT = httpx2.Limits(max_connections=20)


@dataclass
class Here:
    """A running one."""

    address: str
    client: httpx2.AsyncClient

    async def get(self, path: str, **query: str) -> httpx2.Response:
        return await self.client.get(self.address + path, params=query)

    async def refresh(self, token: str) -> httpx2.Response:
        return await self.client.get(f"{self.address}{V4}/refresh", headers={"admin-token": token})

    async def certificate(self, tcb: Svns, **changes: str) -> httpx2.Response:
        """As Intel's quote provider library asks."""
        told = tcbm(tcb)
        said = {
            "qeid": "aa" * 16,
            "encrypted_ppid": ENCRYPTED_PPID.hex(),
            "cpusvn": told[:32],
            "pcesvn": told[32:],
            "pceid": "0000",
        }
        return await self.get(f"{V4}/pckcert", **{**said, **changes})

    async def send(self, method: str, path: str, body: bytes = b"", **tokens: str) -> httpx2.Response:
        told = {f"{who}-token": token for who, token in tokens.items()}
        return await self.client.request(method, self.address + path, content=body, headers=told)


def settings(folder: Path, root: bytes | None = None, upstream: str = "", moment: datetime = MOMENT) -> AttestationSettings:
    anchor: Anchor = intel.INTEL if root is None else intel.anchor(root)
    return AttestationSettings(
        listen=("127.0.0.1", 0),
        probes=("127.0.0.1", 0),
        tls=None,
        client_ca=None,
        client_certificates=ClientCertificates.OPTIONAL,
        database=databases.prepare(f"sqlite:///{folder}/attestation.db"),
        mode=CacheMode.LAZY if upstream else CacheMode.OFFLINE,
        upstream=upstream or None,
        anchor=anchor,
        admin_token_hash=None,
        user_token_hash=None,
        moment=moment,
        drain=0.0,
        audit_keys=None,
        audit_kept=None,
        rate_limit=0,
    )


@asynccontextmanager
async def running(chosen: AttestationSettings) -> AsyncIterator[Here]:
    stopped, port = asyncio.Event(), asyncio.get_running_loop().create_future()
    task = asyncio.create_task(run.serve(chosen, stopped, port.set_result))
    await asyncio.wait([task, port], return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task
    async with httpx2.AsyncClient(limits=CLIENT) as client:
        yield Here(f"http://127.0.0.1:{port.result()}", client)
    stopped.set()
    await task
