"""Where an address is: on this machine, on its link, in its network, or outside."""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052
_ROUTED = IPv6Network("2000::/3")  # RFC 4291: of all others, some stand for addresses of version 4, those of this machine too
_ASSIGNMENTS = IPv4Network("192.0.0.0/24")  # RFC 6890; one answers with metadata in a cloud
_AZURE = ip_address("168.63.129.16")  # Answers in every virtual machine of Azure, to its own machine alone.
_V4 = 0xFFFFFFFF


class Zone(StrEnum):
    """How near an address is."""

    MACHINE = "of this machine"
    LINK = "of this machine's link"
    NETWORK = "of an inner network"
    OUTSIDE = "outside"


def zone(address: str) -> Zone:
    """Of an address; raises `ValueError` for what is none."""
    return _zone(ip_address(address.partition("%")[0]))


def _zone(address: IPv4Address | IPv6Address) -> Zone:
    if isinstance(address, IPv6Address) and (inner := _inner(address)) is not None:
        return _zone(inner)
    if address.is_loopback or address.is_unspecified:
        return Zone.MACHINE
    if address.is_link_local or address == _AZURE:
        return Zone.LINK
    if address in _ASSIGNMENTS or (isinstance(address, IPv6Address) and address not in _ROUTED):
        return Zone.NETWORK
    return Zone.OUTSIDE if address.is_global and not address.is_multicast else Zone.NETWORK


def _inner(address: IPv6Address) -> IPv4Address | None:
    """The address of version 4 that one of version 6 stands for."""
    teredo = address.teredo[1] if address.teredo else None
    nat64 = IPv4Address(int(address) & _V4) if address in _NAT64 else None
    return address.ipv4_mapped or address.sixtofour or teredo or nat64


def reachable(zones: Iterable[Zone]) -> frozenset[Zone]:
    """Where a registry may send a caller, by where it is itself: outside, and there; from this machine to its network."""
    return frozenset(_reachable(frozenset(zones)))


def _reachable(zones: frozenset[Zone]) -> Iterator[Zone]:
    yield Zone.OUTSIDE
    yield from zones
    if Zone.MACHINE in zones:
        yield Zone.NETWORK
