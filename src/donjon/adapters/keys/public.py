"""The public halves of keys, from their certificates in PEM: a file, or files NAME.pem of a folder as `folder.Folder` reads."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path

from donjon.adapters import files
from donjon.adapters.keys.folder import SUFFIX
from donjon.adapters.keys.signing import MAX_PEM
from donjon.errors import Misconfigured, Unavailable
from donjon.pki import pem
from donjon.signing import signer_certificate
from donjon.signing.signer import Signer
from donjon.signing.signer_certificate import SignerCertificate

MAX_FILES = 256

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----\n?")


def certificates(path: Path) -> tuple[SignerCertificate, ...]:
    """Every certificate there.

    Raises `Unavailable` DJ542, `Misconfigured` DJ611 where there is none, and what `signer_certificate.parse` raises.
    """
    try:
        blocks = [block for text in _texts(path) for block in _CERTIFICATE.findall(text)]
    except OSError as error:
        raise Unavailable("DJ542", f"keys: {error.filename}: {error.strerror}") from error
    if not blocks:
        raise Misconfigured("DJ611", f"keys: {path}: no certificate in PEM; expected those of the keys that signed")
    return tuple(signer_certificate.parse(pem.parse(block, 1)[0]) for block in blocks)


def certificate(signer: Signer) -> SignerCertificate:
    """The certificate that a signer publishes."""
    x5c = signer.jwk()["x5c"]
    assert isinstance(x5c, list)  # as every signer of ours publishes it
    return signer_certificate.parse(base64.b64decode(str(x5c[0])))


def _texts(path: Path) -> Iterator[bytes]:
    paths = sorted(path.glob(f"*{SUFFIX}"))[:MAX_FILES] if path.is_dir() else [path]
    for each in paths:
        yield files.read(each, MAX_PEM)
