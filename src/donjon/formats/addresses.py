"""Where a server listens, as people write it: ADDRESS:PORT, of IPv6 [ADDRESS]:PORT."""

PORTS = range(1, 1 << 16)
EXPECTATION = "ADDRESS:PORT, such as 0.0.0.0:9808"


def address_and_port(text: str) -> tuple[str, int]:
    """Both; raises `ValueError`, which says what is expected."""
    address, _, port = text.rpartition(":")
    host = address.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdecimal()) or int(port) not in PORTS:
        raise ValueError(EXPECTATION)
    return host, int(port)
