"""Asks the meter of a node for its report, over HTTP."""

import asyncio
import ssl

from donjon.adapters.transport.client import OK, HttpClient
from donjon.errors import Malformed, Unavailable
from donjon.formats.words import recite
from donjon.kube import epc_report
from donjon.kube.epc_report import EpcReport

CODE = "DJ786"
PATIENCE = 2.0  # seconds for a whole answer


class MeterClient:
    """Asks meters; one client for all of them."""

    def __init__(self, patience: float = PATIENCE) -> None:
        # Nobody is trusted: a meter speaks without TLS.
        self._http = HttpClient(code=CODE, seconds=patience, trust=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), direct=True)
        self._patience = patience

    async def read(self, node: str, address: str) -> EpcReport:
        """The report of that node's meter at ADDRESS:PORT.

        Raises `Unavailable` DJ786 for a meter that is away or slow, that has no report, and for what is none, or another node's.
        """
        what = f"meter of {recite(node)} at {address}"
        try:
            async with asyncio.timeout(self._patience):
                report = await self._ask(what, address)
        except TimeoutError as error:
            raise Unavailable(CODE, f"{what}: no whole answer within {self._patience:g} s") from error
        except Malformed as error:
            raise Unavailable(CODE, recite(error.message)) from error
        if report.node != node:
            raise Unavailable(CODE, recite(f"{what}: says that it is of node {report.node}"))
        return report

    async def _ask(self, what: str, address: str) -> EpcReport:
        async with self._http.ask("GET", f"http://{address}/epc", what=what) as answer:
            text = await answer.whole(epc_report.MAX_BYTES)
            if answer.status != OK:
                raise Unavailable(CODE, f"{what}: {answer.status} {recite(text.decode('utf-8', 'replace'))}")
        return await asyncio.to_thread(epc_report.decode, text, what)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()
