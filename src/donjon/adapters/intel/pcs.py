"""Collateral over HTTP, from Intel's PCS or from a PCCS. Nothing of what comes is believed here.

An answer is bounded in size and time, redirects are not followed, and a failure is told with address and status. What
nothing was answered to is asked for once more. The time is that of the whole answer, however it drips: a socket knows
only how long it waits for the next byte, so answers are received in a loop of events, which can end one, in a thread of its own.
None comes compressed: what is small could be anything.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from concurrent.futures import CancelledError
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import cached_property
from threading import Thread
from typing import TypeVar
from urllib.parse import unquote_to_bytes

import httpx2

from donjon.collateral.bundle import MAX_BUNDLE, Collateral
from donjon.collateral.plan import (
    SGX,
    Absent,
    Answer,
    Channel,
    CollateralKind,
    CollateralRequest,
    assemble,
    pck_certificate,
    requests,
)
from donjon.errors import Unavailable
from donjon.sgx.platform import Platform

INTEL = "https://api.trustedservices.intel.com"
INTEL_ROOT_CRL = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"
SECONDS = 20.0  # for each answer, altogether

_OK = 200
_NONE = frozenset({400, 404, 410, 461, 462})
"""A PCCS has statuses of its own for a platform that it does not know, and for certificates that Intel does not have."""
_UNUSABLE = (OSError, ValueError, ImportError)
"""What a client is not made for: authorities or a proxy that the environment names, and that are not there or none."""
_JSON = {"Content-Type": "application/json"}
_AS_IT_IS = {"Accept-Encoding": "identity"}


T = TypeVar("T")


@contextmanager
def open_service(address: str | None) -> Iterator["Service"]:
    """The service at that address, Intel's own for `None`, until the end of the block; who waits for it then is told so."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, name="upstream", daemon=True)
    thread.start()
    service = Service(address or INTEL, loop)
    try:
        yield service
    finally:
        asyncio.run_coroutine_threadsafe(service.close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class Service:
    """One service; `address` with or without the path that Intel's quote provider library is configured with."""

    def __init__(self, address: str, loop: asyncio.AbstractEventLoop) -> None:
        """The loop runs in another thread than the service's users."""
        self._address = address.rstrip("/").removesuffix(SGX)
        self._loop = loop

    @cached_property
    def _client(self) -> httpx2.AsyncClient:
        """Made, in the loop, when first something is asked for: it reads every authority of the system, 75 ms of a start."""
        return httpx2.AsyncClient(headers=_AS_IT_IS, timeout=SECONDS)

    async def close(self) -> None:
        """In the loop: end what is still waited for."""
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for each in others:
            each.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        if (client := vars(self).get("_client")) is not None:
            await client.aclose()

    def collateral(self, platform: Platform, channel: Channel, pck_certificate_chain: bytes | None = None) -> Collateral:
        """What verification needs for that platform; raises `Unavailable` DJ281, and `Malformed` DJ214."""
        by_name = requests(platform, channel)
        return assemble({name: self.answer(request) for name, request in by_name.items()}, pck_certificate_chain)

    def pck_chain(self, qe_id: bytes, certification: bytes) -> bytes:
        """The chain, in PEM, of a platform whose quotes carry none; raises `Unavailable` DJ281."""
        answer = self.answer(pck_certificate(qe_id, certification))
        return answer.body.rstrip() + b"\n" + answer.chain

    def answer(self, request: CollateralRequest) -> Answer:
        """What it answers to one request; raises `Unavailable` DJ281, `Absent` where it has none."""
        where = self._address + request.path
        if self._address == INTEL and request.kind is CollateralKind.ROOT_CA_CRL:
            where = INTEL_ROOT_CRL
        return self._run_in_loop(self._answer(request, where), where)

    def _run_in_loop(self, work: Coroutine[None, None, T], where: str) -> T:
        """The result of what the loop does, which is waited for."""
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result()
        except CancelledError as error:
            raise Unavailable("DJ281", f"{where}: not waited for any longer") from error

    async def _answer(self, request: CollateralRequest, where: str) -> Answer:
        try:
            async with asyncio.timeout(SECONDS):
                try:
                    body, headers = await self._request(request, where)
                except httpx2.TransportError:  # A connection may end as it is used, and nothing is changed by asking.
                    body, headers = await self._request(request, where)
        except TimeoutError as error:
            raise Unavailable("DJ281", f"{where}: no whole answer within {SECONDS:g} s") from error
        except (httpx2.HTTPError, httpx2.InvalidURL, *_UNUSABLE) as error:
            raise Unavailable("DJ281", f"{where}: {str(error) or type(error).__name__}") from error
        chain = next((header for name in request.chain if (header := headers.get(name))), "")
        if request.chain and not chain:
            raise Unavailable("DJ281", f"{where}: answered without {request.chain[0]}")
        return Answer(body=body, chain=unquote_to_bytes(chain))

    async def _request(self, request: CollateralRequest, where: str) -> tuple[bytes, httpx2.Headers]:
        async with self._open_stream(request, where) as response:
            return await _read_body(response, where), response.headers

    def _open_stream(self, request: CollateralRequest, where: str) -> AbstractAsyncContextManager[httpx2.Response]:
        if request.body:
            return self._client.stream("POST", where, content=request.body, headers=_JSON)
        return self._client.stream("GET", where, params=dict(request.query))


async def _read_body(response: httpx2.Response, where: str) -> bytes:
    if response.status_code in _NONE:
        raise Absent("DJ281", f"{where}: answered {response.status_code}")
    if response.status_code != _OK:
        raise Unavailable("DJ281", f"{where}: answered {response.status_code}")
    body = b""
    async for part in response.aiter_raw():
        body += part
        if len(body) > MAX_BUNDLE:
            raise Unavailable("DJ281", f"{where}: answers more than {MAX_BUNDLE} bytes")
    return body
