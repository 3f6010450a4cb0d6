"""What a connection over TLS takes at least: a program that says how many bytes OpenSSL keeps for each of a thousand."""

import os
import ssl
from contextlib import suppress
from pathlib import Path

from tests.adapters.https import CONTEXT

COUNT = 1000
TRUSTING = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
TRUSTING.check_hostname, TRUSTING.verify_mode = False, ssl.CERT_NONE


def shaken() -> tuple[object, ...]:
    """The server's side of one, after its handshake."""
    incoming, outgoing, there, back = (ssl.MemoryBIO() for _ in range(4))
    server = CONTEXT.wrap_bio(incoming, outgoing, server_side=True)
    client = TRUSTING.wrap_bio(there, back)
    for side in (client, server, client, server):
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
        incoming.write(back.read())
        there.write(outgoing.read())
    assert server.version() == "TLSv1.3"
    return incoming, outgoing, server


def memory() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    kept = [shaken()]
    before = memory()
    kept += [shaken() for _ in range(COUNT)]
    print((memory() - before) // COUNT)  # noqa: T201 - to whoever has started it.
