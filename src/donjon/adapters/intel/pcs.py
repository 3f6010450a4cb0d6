"""Collateral over HTTP, from Intel's PCS or from a PCCS. Nothing of what comes is believed here.

An answer is bounded in size and time, redirects are not followed, and a failure is told with address and status.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from urllib.parse import unquote_to_bytes

import httpx2

from donjon.collateral.highwater import Channel
from donjon.collateral.plan import SGX, Absent, Answer, Request, assembled, pck_certificate, requests
from donjon.collateral.received import MAX_BUNDLE, Collateral
from donjon.errors import Unavailable
from donjon.sgx.platform import Platform

INTEL = "https://api.trustedservices.intel.com"
INTEL_ROOT_CRL = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"
SECONDS = 20.0  # for each answer

_OK = 200
_NONE = frozenset({400, 404, 410, 461, 462})
"""A PCCS has statuses of its own for a platform that it does not know, and for certificates that Intel does not have."""
_JSON = {"Content-Type": "application/json"}


@contextmanager
def opened(address: str | None) -> Iterator["Service"]:
    """The service at that address, Intel's own for `None`, until the end of the block."""
    with httpx2.Client() as client:
        yield Service(address or INTEL, client)


class Service:
    """One service; `address` with or without the path that Intel's quote provider library is configured with."""

    def __init__(self, address: str, client: httpx2.Client) -> None:
        self._address = address.rstrip("/").removesuffix(SGX)
        self._client = client

    def collateral(self, platform: Platform, channel: Channel, pck_certificate_chain: bytes | None = None) -> Collateral:
        """What verification needs for that platform; raises `Unavailable` DJ281, and `Malformed` DJ214."""
        asked = requests(platform, channel)
        return assembled({name: self.answer(request) for name, request in asked.items()}, pck_certificate_chain)

    def pck_chain(self, qe_id: bytes, certification: bytes) -> bytes:
        """The chain, in PEM, of a platform whose quotes carry none; raises `Unavailable` DJ281."""
        found = self.answer(pck_certificate(qe_id, certification))
        return found.body.rstrip() + b"\n" + found.chain

    def answer(self, request: Request) -> Answer:
        """What it answers to one request; raises `Unavailable` DJ281, `Absent` where it has none."""
        where = self._address + request.path
        if self._address == INTEL and request.path.endswith("/rootcacrl"):
            where = INTEL_ROOT_CRL
        try:
            with self._sent(request, where) as response:
                body = _bounded(response, where)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise Unavailable("DJ281", f"{where}: {str(error) or type(error).__name__}") from error
        chain = next((found for name in request.chain if (found := response.headers.get(name))), "")
        if request.chain and not chain:
            raise Unavailable("DJ281", f"{where}: answered without {request.chain[0]}")
        return Answer(body=body, chain=unquote_to_bytes(chain))

    def _sent(self, request: Request, where: str) -> AbstractContextManager[httpx2.Response]:
        if request.body:
            return self._client.stream("POST", where, content=request.body, headers=_JSON, timeout=SECONDS)
        return self._client.stream("GET", where, params=dict(request.query), timeout=SECONDS)


def _bounded(response: httpx2.Response, where: str) -> bytes:
    if response.status_code in _NONE:
        raise Absent("DJ281", f"{where}: answered {response.status_code}")
    if response.status_code != _OK:
        raise Unavailable("DJ281", f"{where}: answered {response.status_code}")
    body = b""
    for part in response.iter_bytes():
        body += part
        if len(body) > MAX_BUNDLE:
            raise Unavailable("DJ281", f"{where}: answers more than {MAX_BUNDLE} bytes")
    return body
