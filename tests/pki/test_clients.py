"""Whose a client certificate is."""

from datetime import timedelta
from ipaddress import IPv4Address

import pytest
from cryptography import x509
from tests.pki.clientcerts import DECADES, SPIFFE, START, ClientAuthority

from donjon.errors import Malformed, Untrusted
from donjon.pki import clients

AUTHORITY = ClientAuthority()
EVERY = (
    x509.DNSName("a.example"),
    x509.DNSName("b.example"),
    x509.RFC822Name("c@example"),
    SPIFFE,
    x509.IPAddress(IPv4Address("127.0.0.1")),
)


@pytest.mark.parametrize(
    ("names", "common", "found"),
    [
        ((), ("cn",), ("cn:cn",)),
        ((), (), ()),
        ((), ("one", "two"), ()),
        ((x509.DNSName("cn:cn"),), ("uri:x",), ("dns:cn:cn", "cn:uri:x")),
        (
            EVERY,
            ("d",),
            ("uri:spiffe://cluster.local/ns/team-a/sa/deployer", "dns:a.example", "dns:b.example", "email:c@example", "cn:d"),
        ),
    ],
)
def test_each_name_is_told_with_its_kind(
    names: tuple[x509.GeneralName, ...], common: tuple[str, ...], found: tuple[str, ...]
) -> None:
    assert clients.parse(AUTHORITY.issue(*names, common=common).der).names == found


def test_a_certificate_ends_though_its_connection_does_not() -> None:
    made = clients.parse(AUTHORITY.issue().der)
    made.check_window(START + DECADES)
    with pytest.raises(Untrusted, match="DJ551"):
        made.check_window(START + DECADES + timedelta(seconds=1))


def test_names_that_cannot_be_read_are_none() -> None:
    good = AUTHORITY.issue(x509.DNSName("a.example")).der
    with pytest.raises(Malformed, match="DJ205"):
        clients.parse(good.replace(b"a.example", b"\xff.example"))
