"""Collateral over HTTP, from Intel's PCS or from a PCCS. Nothing of what comes is believed here.

An answer is bounded in size and time, and a failure is told with address and status. What nothing was answered to is asked for
once more. The time is that of the whole answer, however it drips: answers are received in a loop of events, which can end one, in
a thread of its own.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from concurrent.futures import CancelledError
from contextlib import AbstractAsyncContextManager, contextmanager
from threading import Thread
from typing import TypeVar
from urllib.parse import unquote_to_bytes

from donjon.adapters.transport.client import OK, ConnectionTrouble, HttpAnswer, HttpClient
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

_NONE = frozenset({400, 404, 410, 461, 462})
"""A PCCS has statuses of its own for a platform that it does not know, and for certificates that Intel does not have."""
_JSON = {"Content-Type": "application/json"}


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


_UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"
_TRUST = "where you know who signed its certificate, name that authority: SSL_CERT_FILE=FILE in the environment"


class Service:
    """One service; `address` with or without the path that Intel's quote provider library is configured with."""

    def __init__(self, address: str, loop: asyncio.AbstractEventLoop) -> None:
        """The loop runs in another thread than the service's users."""
        self._address = address.rstrip("/").removesuffix(SGX)
        self._loop = loop
        self._client = HttpClient(code="DJ281", seconds=SECONDS)

    async def close(self) -> None:
        """In the loop: end what is still waited for."""
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for each in others:
            each.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._client.close()

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
                    return await self._request(request, where)
                except ConnectionTrouble as trouble:  # A connection may end as it is used, and nothing is changed by asking.
                    if _UNTRUSTED in trouble.message:
                        raise Unavailable(trouble.code, f"{trouble.message}; {_TRUST}") from trouble
                    return await self._request(request, where)
        except TimeoutError as error:
            raise Unavailable("DJ281", f"{where}: no whole answer within {SECONDS:g} s") from error

    async def _request(self, request: CollateralRequest, where: str) -> Answer:
        async with self._ask(request, where) as answer:
            _expect_one(answer, where)
            chain = next((header for name in request.chain if (header := answer.header(name))), "")
            if request.chain and not chain:
                raise Unavailable("DJ281", f"{where}: answered without {request.chain[0]}")
            return Answer(body=await answer.whole(MAX_BUNDLE), chain=unquote_to_bytes(chain))

    def _ask(self, request: CollateralRequest, where: str) -> AbstractAsyncContextManager[HttpAnswer]:
        if request.body:
            return self._client.ask("POST", where, what=where, body=request.body, headers=_JSON)
        return self._client.ask("GET", where, what=where, query=dict(request.query) or None)


def _expect_one(answer: HttpAnswer, where: str) -> None:
    if answer.status in _NONE:
        raise Absent("DJ281", f"{where}: answered {answer.status}")
    if answer.status != OK:
        raise Unavailable("DJ281", f"{where}: answered {answer.status}")
