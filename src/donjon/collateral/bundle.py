"""Collateral as it was received, nothing of it checked; and the bundle and the folder in which it is handed around.

Source: Phala-Network/dcap-qvl, `QuoteCollateralV3`: its names, so that a bundle of either is read by both.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from donjon.errors import Malformed
from donjon.formats import strict_json
from donjon.formats.strict_json import Members
from donjon.pki import p256

MAX_BUNDLE = 4 << 20  # bytes; real ones have less than 64 KiB

_SIGNED_OBJECT = rb'\s*\{\s*"%s"\s*:\s*(\{.*\})\s*,\s*"signature"\s*:\s*"([0-9A-Fa-f]{128})"\s*\}[\s\0]*'
_LONG_FORM = 4  # bytes of tag and length where the length takes two (X.690, 8.1.3.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collateral:
    """What the verification of a quote needs beside the quote."""

    tcb_info: bytes = field(repr=False)  # the signed text: the inner object, byte for byte
    tcb_info_signature: bytes = field(repr=False)  # r ‖ s
    tcb_info_issuer_chain: bytes = field(repr=False)  # PEM: TCB signer, root
    qe_identity: bytes = field(repr=False)  # the signed text
    qe_identity_signature: bytes = field(repr=False)  # r ‖ s
    qe_identity_issuer_chain: bytes = field(repr=False)  # PEM: TCB signer, root
    pck_crl: bytes = field(repr=False)  # DER
    pck_crl_issuer_chain: bytes = field(repr=False)  # PEM: PCK CA, root
    root_ca_crl: bytes = field(repr=False)  # DER
    pck_certificate_chain: bytes | None = field(default=None, repr=False)  # PEM: PCK, CA, root; for quotes that carry no chain


def parse(text: bytes) -> Collateral:
    """The collateral of a bundle: chains in PEM, lists and signatures in hexadecimal, the documents as the signed text.

    Raises `Malformed` DJ210, DJ211 or DJ213.
    """
    bundle = strict_json.parse(text, "bundle", MAX_BUNDLE)
    if bundle.has("form"):
        raise Malformed(
            "DJ211",
            "bundle: this is a cache's archive, as donjon collateral export writes it; expected a bundle of one platform's: "
            "donjon collateral fetch QUOTE --to BUNDLE.json; an archive is for donjon collateral import",
        )
    return Collateral(
        tcb_info=bundle.text("tcb_info").encode(),
        tcb_info_signature=bundle.octets("tcb_info_signature", p256.SIGNATURE),
        tcb_info_issuer_chain=bundle.text("tcb_info_issuer_chain").encode(),
        qe_identity=bundle.text("qe_identity").encode(),
        qe_identity_signature=bundle.octets("qe_identity_signature", p256.SIGNATURE),
        qe_identity_issuer_chain=bundle.text("qe_identity_issuer_chain").encode(),
        pck_crl=_list(bundle, "pck_crl"),
        pck_crl_issuer_chain=bundle.text("pck_crl_issuer_chain").encode(),
        root_ca_crl=_list(bundle, "root_ca_crl"),
        pck_certificate_chain=_optional(bundle, "pck_certificate_chain"),
    )


def encode(collateral: Collateral) -> bytes:
    """The bundle that `parse` reads."""
    bundle = {
        "pck_crl_issuer_chain": collateral.pck_crl_issuer_chain.decode(),
        "root_ca_crl": collateral.root_ca_crl.hex(),
        "pck_crl": collateral.pck_crl.hex(),
        "tcb_info_issuer_chain": collateral.tcb_info_issuer_chain.decode(),
        "tcb_info": collateral.tcb_info.decode(),
        "tcb_info_signature": collateral.tcb_info_signature.hex(),
        "qe_identity_issuer_chain": collateral.qe_identity_issuer_chain.decode(),
        "qe_identity": collateral.qe_identity.decode(),
        "qe_identity_signature": collateral.qe_identity_signature.hex(),
    }
    if collateral.pck_certificate_chain is not None:
        bundle["pck_certificate_chain"] = collateral.pck_certificate_chain.decode()
    return json.dumps(bundle, indent=1).encode() + b"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedText:
    """A document apart from its signature."""

    text: bytes
    signature: bytes  # r ‖ s


def unwrap(document: bytes, name: str) -> SignedText:
    """The signed text in `{"tcbInfo":{…},"signature":"…"}`, byte for byte as Intel sends it; raises `Malformed` DJ214."""
    match = re.fullmatch(_SIGNED_OBJECT % name.encode(), document, re.DOTALL)
    if match is None:
        raise Malformed("DJ214", f"{name}: expected an object of {name} and signature, in this order")
    return SignedText(text=match[1], signature=bytes.fromhex(match[2].decode()))


FILES = {
    "tcb_info": ".json",
    "tcb_info_issuer_chain": ".pem",
    "qe_identity": ".json",
    "qe_identity_issuer_chain": ".pem",
    "pck_crl": ".der",
    "pck_crl_issuer_chain": ".pem",
    "root_ca_crl": ".der",
}
"""The files of a folder of collateral, as Intel's service answered, with the endings that `files` writes."""

PCK_CHAIN = "pck_certificate_chain"


def of_files(contents: Mapping[str, bytes]) -> Collateral:
    """The collateral of a folder's files, each by its name without ending; raises `Malformed` DJ213 or DJ214."""
    if missing := [name for name in FILES if name not in contents]:
        raise Malformed("DJ213", f"folder: no {', '.join(missing)}")
    info, identity = unwrap(contents["tcb_info"], "tcbInfo"), unwrap(contents["qe_identity"], "enclaveIdentity")
    return Collateral(
        tcb_info=info.text,
        tcb_info_signature=info.signature,
        tcb_info_issuer_chain=contents["tcb_info_issuer_chain"],
        qe_identity=identity.text,
        qe_identity_signature=identity.signature,
        qe_identity_issuer_chain=contents["qe_identity_issuer_chain"],
        pck_crl=der(contents["pck_crl"]),
        pck_crl_issuer_chain=contents["pck_crl_issuer_chain"],
        root_ca_crl=der(contents["root_ca_crl"]),
        pck_certificate_chain=contents.get(PCK_CHAIN),
    )


def files(collateral: Collateral) -> dict[str, bytes]:
    """The files that `of_files` reads, each with its name in full."""
    texts = {
        "tcb_info": _wrap(collateral.tcb_info, "tcbInfo", collateral.tcb_info_signature),
        "qe_identity": _wrap(collateral.qe_identity, "enclaveIdentity", collateral.qe_identity_signature),
    }
    contents = {name + ending: texts.get(name) or getattr(collateral, name) for name, ending in FILES.items()}
    chain = collateral.pck_certificate_chain
    return contents if chain is None else {**contents, f"{PCK_CHAIN}.pem": chain}


def der(content: bytes) -> bytes:
    """A CRL's DER, also where a service wrote it in hexadecimal, or Intel's quote provider library put a zero byte behind it."""
    if decoded := strict_json.hexadecimal(content.strip().decode("latin-1")):
        return decoded
    whole = _LONG_FORM + int.from_bytes(content[2:_LONG_FORM], "big")
    return content[:whole] if content[:2] == b"\x30\x82" and content[whole:] == b"\0" else content


def _wrap(text: bytes, name: str, signature: bytes) -> bytes:
    return b'{"%s":%s,"signature":"%s"}' % (name.encode(), text, signature.hex().encode())


def _list(bundle: Members, name: str) -> bytes:
    crl = strict_json.hexadecimal(bundle.text(name))
    if not crl:
        raise Malformed("DJ213", f"bundle: {name}: expected a CRL's DER in hexadecimal")
    return crl


def _optional(bundle: Members, name: str) -> bytes | None:
    if bundle.content.get(name) is None:
        return None
    return bundle.text(name).encode()
