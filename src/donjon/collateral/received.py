"""Collateral as it was received, nothing of it checked; and the JSON bundle in which it is handed around.

Source: Phala-Network/dcap-qvl, `QuoteCollateralV3`: its names, so that a bundle of either is read by both.
"""

import json
import re
from dataclasses import dataclass, field

from donjon.collateral import documents
from donjon.collateral.documents import Members
from donjon.errors import Malformed
from donjon.pki import p256

MAX_BUNDLE = 4 << 20  # bytes; real ones have less than 64 KiB

_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+", re.ASCII)


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
    bundle = documents.parse(text, "bundle")
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


def unwrapped(document: bytes, name: str) -> SignedText:
    """The signed text in `{"tcbInfo":{…},"signature":"…"}`, byte for byte as Intel sends it; raises `Malformed` DJ214."""
    found = re.fullmatch(
        rb'\s*\{\s*"' + name.encode() + rb'"\s*:\s*(\{.*\})\s*,\s*"signature"\s*:\s*"([0-9A-Fa-f]{128})"\s*\}\s*',
        document,
        re.DOTALL,
    )
    if found is None:
        raise Malformed("DJ214", f"{name}: expected an object of {name} and signature, in this order")
    return SignedText(text=found[1], signature=bytes.fromhex(found[2].decode()))


def _list(bundle: Members, name: str) -> bytes:
    text = bundle.text(name)
    if not _HEX.fullmatch(text):
        raise Malformed("DJ213", f"bundle: {name}: expected a CRL's DER in hexadecimal")
    return bytes.fromhex(text)


def _optional(bundle: Members, name: str) -> bytes | None:
    if bundle.content.get(name) is None:
        return None
    return bundle.text(name).encode()
