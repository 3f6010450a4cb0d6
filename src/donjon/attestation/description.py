"""Everything that a quote says, as JSON: bytes in hexadecimal, numbers as numbers, names as in this program.

What a quote says is not what is true: that takes `verify`.
"""

from dataclasses import fields

from donjon.attestation.quote import V3, Quote
from donjon.formats.json import Json, JsonObject
from donjon.pki.pck import Flags, PckPlatform
from donjon.sgx import attributes
from donjon.sgx.layout import Flag, Layout, Octets
from donjon.sgx.report import ReportBody
from donjon.sgx.td import TdReport


def describe(quote: Quote) -> JsonObject:
    """The quote in full; certificates are left to whoever can show them."""
    description: JsonObject = {
        "version": quote.version,
        "tee": str(quote.tee),
        "bytes": len(quote.raw),
        "trailing_bytes": quote.trailing,
        "qe_vendor": quote.header.qe_vendor.hex(),
        "user_data": quote.header.user_data.hex(),
        "body": body(quote.body),
        "attestation_key": quote.attestation_key.hex(),
        "qe_report": body(quote.qe_report),
        "qe_authentication_data": quote.qe_authentication_data.hex(),
        "certification": {"type": quote.certification.kind.value, "name": quote.certification.kind.name},
    }
    if quote.version == V3:
        description |= {"qe_svn": quote.header.qe_svn, "pce_svn": quote.header.pce_svn}
    return description


def body(report: Layout) -> JsonObject:
    """Every field of the report, in its own order."""
    names = [
        name for owner in reversed(type(report).__mro__) for name, at in vars(owner).items() if isinstance(at, Octets | Flag)
    ]
    values: JsonObject = {name: _json(getattr(report, name)) for name in names}
    debug: Json = bool(getattr(report, "debug", False))
    return {**values, "debug": debug, **_odd(report)}


def _odd(report: Layout) -> JsonObject:
    """What stands in attributes and features that has no name here, or that no processor makes."""
    if not isinstance(report, ReportBody | TdReport):
        return {}
    return {
        "unknown_attributes": attributes.names(attributes.foreign(report, 0)),
        "impossible_features": "; ".join(attributes.impossible_features(report, 0)),
    }


def platform(of: PckPlatform) -> JsonObject:
    """Every field of the platform; its flags beside the others."""
    values: JsonObject = {each.name: _json(getattr(of, each.name)) for each in fields(of) if each.name != "flags"}
    flags: JsonObject = {each.name: None if of.flags is None else bool(getattr(of.flags, each.name)) for each in fields(Flags)}
    return {**values, **flags}


def _json(value: object) -> Json:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, bool | int):
        return int(value) if not isinstance(value, bool) else value
    return None if value is None else str(value)
