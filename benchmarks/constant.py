"""The attestation service's server with an application that answers one text to whatever is asked; it runs until it is ended."""

import asyncio
import sys
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from donjon.adapters.http.limits import Limits
from donjon.adapters.http.public import GuardedServer


def answering(body: bytes) -> ASGIApp:
    """An application that takes what is sent, as any that attests must, and answers with these bytes."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()
        await Response(body, media_type="application/json")(scope, receive, send)

    return application


async def main(port: int, body: bytes) -> None:
    """Serve these bytes at that port."""
    server = GuardedServer(answering(body), None, host="127.0.0.1", port=port, limits=Limits())
    await server.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2]).read_bytes()))
