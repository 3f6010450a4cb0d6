"""HTTP servers: uvicorn, one process, one loop."""

import uvicorn
from uvicorn._types import ASGI3Application

MAX_CONNECTIONS = 64
KEEP_ALIVE = 10


def server(app: ASGI3Application, *, host: str, port: int) -> uvicorn.Server:
    """A server for the application that keeps no more than 64 connections, and logs through the process's own handlers."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=1,
            server_header=False,
        )
    )
