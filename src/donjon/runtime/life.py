"""How a program is stopped: by SIGTERM, as Kubernetes does, or by SIGINT, as people do."""

import asyncio
import signal


def stop_signal() -> asyncio.Event:
    """What is set when the program is to stop; to be called in its event loop."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    return stopped
