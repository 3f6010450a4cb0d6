"""One call to the kubelet: a channel, a deadline, and every failure as our own error."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from grpclib.client import Channel
from grpclib.config import Configuration
from grpclib.exceptions import GRPCError

from donjon.errors import Unavailable

TIMEOUT = 2.0  # seconds; a kubelet that hangs and is then replaced must still be served within five


@asynccontextmanager
async def call_kubelet(
    socket: Path, *, code: str, what: str, configuration: Configuration | None = None
) -> AsyncIterator[Channel]:
    """A channel for one call within 2 s; raises `Unavailable` with the code for whatever goes wrong in it."""
    channel = Channel(path=str(socket), config=configuration)
    try:
        async with asyncio.timeout(TIMEOUT):
            yield channel
    except Unavailable:
        raise
    except GRPCError as error:
        raise Unavailable(code, f"{what}: {error.status.name}: {(error.message or '')[:300]}") from error
    except TimeoutError as error:
        raise Unavailable(code, f"{what}: no answer at {socket} within {TIMEOUT:.0f} s") from error
    except Exception as error:  # A kubelet that answers nonsense makes the libraries below raise errors of many kinds.
        raise Unavailable(code, f"{what}: {socket}: {str(error) or type(error).__name__}"[:400]) from error
    finally:
        channel.close()
