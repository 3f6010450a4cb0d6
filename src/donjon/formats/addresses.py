"""Where a server listens, as people write it: ADDRESS:PORT, of IPv6 [ADDRESS]:PORT."""

import re

PORTS = range(1, 1 << 16)
EXPECTATION = "ADDRESS:PORT, such as 127.0.0.1:8080 or [::1]:8080"

_FORM = re.compile(r"(?:\[([^\[\]]+)\]|([^\[\]]+)):([0-9]{1,5})", re.ASCII)


def address_and_port(text: str) -> tuple[str, int]:
    """Both; raises `ValueError`, which says what is expected."""
    match = _FORM.fullmatch(text)
    if match is None or int(match[3]) not in PORTS:
        raise ValueError(EXPECTATION)
    return match[1] or match[2], int(match[3])


def join(address: str, port: int) -> str:
    """Both, as people write them."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
