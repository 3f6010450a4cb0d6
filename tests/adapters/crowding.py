"""A program that connects again and again, 600 times at once, from some addresses, and says nothing or half a request."""

import asyncio
import sys
from contextlib import suppress

AT_ONCE = 600


async def crowd(port: int, addresses: int) -> None:
    """Goes on until it is killed; says so when all have come."""
    attacks = [asyncio.create_task(_again_and_again(port, number, addresses)) for number in range(AT_ONCE)]
    await asyncio.sleep(0.5)
    print("here", flush=True)  # noqa: T201 - to whoever has started it.
    await asyncio.gather(*attacks)


async def _again_and_again(port: int, number: int, addresses: int) -> None:
    source = "127.0.0.1" if addresses == 1 else f"127.0.1.{number % addresses + 1}"
    while True:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
            if number % 2:
                writer.write(b"GET /healthz HTTP/1.1\r\n")
            with suppress(OSError, TimeoutError):
                await asyncio.wait_for(reader.read(), 1)
            writer.transport.abort()


if __name__ == "__main__":
    asyncio.run(crowd(int(sys.argv[1]), int(sys.argv[2])))
