"""Who a client certificate is of, once a handshake has proved that its key is the client's and an authority of ours issued it."""

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import NameOID

from donjon.errors import Malformed, Untrusted
from donjon.pki import intel
from donjon.pki.intel import Window

DNS, URI, EMAIL, COMMON = "dns", "uri", "email", "cn"
KINDS = (URI, DNS, EMAIL, COMMON)
"""What stands before a name, so that none of one kind is taken for one of another; in the order in which they name a caller."""

_ALTERNATIVES: dict[str, type[x509.UniformResourceIdentifier | x509.DNSName | x509.RFC822Name]] = {
    URI: x509.UniformResourceIdentifier,
    DNS: x509.DNSName,
    EMAIL: x509.RFC822Name,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificate:
    """The names it states, each KIND:NAME, in the order of `KINDS`, and when it is good."""

    names: tuple[str, ...]
    window: Window

    @property
    def name(self) -> str:
        """The one that names the caller, the first; raises `Untrusted` DJ551 where there is none."""
        if not self.names:
            raise Untrusted("DJ551", "client certificate: it states no name")
        return self.names[0]

    def check_window(self, moment: datetime) -> None:
        """Raises `Untrusted` DJ551: a connection may live longer than the certificate it began with."""
        if moment not in self.window:
            raise Untrusted("DJ551", f"client certificate: ended {self.window.ends:%FT%TZ}, and it is {moment:%FT%TZ}")


def parse(der: bytes) -> ClientCertificate:
    """The certificate with those bytes; raises `Malformed` DJ205 where its names cannot be read."""
    handle = intel.read(der)
    try:
        common_names = [f"{COMMON}:{each.value!s}" for each in handle.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        names = [*_alternatives(handle), *(common_names if len(common_names) == 1 else [])]
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise Malformed("DJ205", f"client certificate: names that cannot be read: {error}") from error
    return ClientCertificate(names=tuple(names), window=intel.window_of(handle))


def _alternatives(handle: x509.Certificate) -> list[str]:
    try:
        alternatives = handle.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [f"{kind}:{name}" for kind, of in _ALTERNATIVES.items() for name in alternatives.get_values_for_type(of)]
