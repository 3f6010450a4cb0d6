"""What is held as the data of a Kubernetes Secret, under the keys that cert-manager uses too, and back."""

import base64
import binascii
from collections.abc import Sequence

from donjon.errors import Malformed
from donjon.formats.json import Json, JsonObject
from donjon.pki.rotation import MAX_RETIRED, StoredCertificates
from donjon.pki.serving import MAX_PEM, ServingAuthority, ServingCertificate, parse, parse_authorities


def read(data: Json, names: Sequence[str]) -> StoredCertificates:
    """What the data of a Secret holds; nothing where there is none, and `Malformed` DJ146 where it does not fit together."""
    if not isinstance(data, dict):
        return StoredCertificates()
    return StoredCertificates(
        present=_serving(data, "", names), successor=_serving(data, "next-", names), retired=_authorities(data)
    )


def as_secret_data(certificates: StoredCertificates) -> JsonObject:
    """The data of a Secret that holds these certificates."""
    data: JsonObject = {}
    for prefix, serving in (("", certificates.present), ("next-", certificates.successor)):
        if serving is not None:
            data[f"{prefix}tls.crt"] = encode(serving.certificate)
            data[f"{prefix}tls.key"] = encode(serving.key)
            data[f"{prefix}ca.crt"] = encode(serving.authority.pem)
    if certificates.retired:
        data["old-ca.crt"] = encode(b"".join(authority.pem for authority in certificates.retired))
    return data


def encode(text: bytes) -> str:
    """Bytes as Kubernetes writes them."""
    return base64.b64encode(text).decode()


def decode(value: Json) -> bytes:
    """Bytes as Kubernetes writes them; none where there are none, and `Malformed` DJ146 for what is no base64."""
    if value is None:
        return b""
    if not isinstance(value, str):
        raise Malformed("DJ146", "Secret: a value is no text")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed("DJ146", "Secret: a value is no base64") from error


def _serving(data: JsonObject, prefix: str, names: Sequence[str]) -> ServingCertificate | None:
    certificate, key, authority = (decode(data.get(f"{prefix}{field}")) for field in ("tls.crt", "tls.key", "ca.crt"))
    return parse(certificate, key, authority, names) if certificate or key or authority else None


def _authorities(data: JsonObject) -> tuple[ServingAuthority, ...]:
    text = decode(data.get("old-ca.crt"))
    if len(text) > MAX_RETIRED * MAX_PEM:
        raise Malformed("DJ146", "Secret: more old authorities than are kept")
    return parse_authorities(text)[:MAX_RETIRED]
