"""What the service says of an accepted quote: names, types and values as Microsoft Azure Attestation's tokens have them.

Left out is what only Azure can say of its own machines (x-ms-compliance-status). Sources: "Claim sets" and "Azure Attestation EAT
profile for TDX" of its documentation; the recorded exchanges of azure-security-attestation 1.0.0. What those do not name of a
trust domain (migratable, mrservicetd, …) has Open Enclave's names, whose verifier that service uses; of enclaves, our own.
"""

import hashlib
from dataclasses import dataclass

from donjon.attestation.binding import BoundQuote, HeldData
from donjon.attestation.verify import VerifiedQuote
from donjon.collateral.fingerprints import Fingerprints
from donjon.formats import base64url
from donjon.formats.json import Json, JsonObject
from donjon.pki.intel import INTEL
from donjon.policy.claims import Claim, Issuer, claims, compact
from donjon.policy.incoming import INCOMING
from donjon.sgx import attributes
from donjon.sgx.report import ReportBody
from donjon.sgx.td import TdReport, TdReport15

SIMULATED = "x-donjon-simulated"
"""Said, and true, of every platform whose root is not Intel's."""

_EAT_PROFILE = "https://aka.ms/maa-eat-profile-tdxvm"
_DEBUG = {False: "disabled", True: "enabled"}  # EAT, "dbgstat"

_ALIASES = {
    "x-ms-sgx-is-debuggable": "$is-debuggable",
    "x-ms-sgx-product-id": "$product-id",
    "x-ms-sgx-mrsigner": "$sgx-mrsigner",
    "x-ms-sgx-mrenclave": "$sgx-mrenclave",
    "x-ms-sgx-svn": "$svn",
    "x-ms-attestation-type": "$tee",
}
"""The older names that policies may still look for ("Claim sets", deprecated claims)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimSet:
    """The claims about a bound quote: `derive` alone makes one."""

    bound_quote: BoundQuote
    incoming: tuple[Claim, ...]  # what a policy is evaluated on
    token_claims: JsonObject  # what the token says, whatever the policy adds
    simulated: bool


def derive(bound_quote: BoundQuote, submitted: bytes) -> ClaimSet:
    """The claims about a quote; `submitted` are the bytes in which it came, a header of Open Enclave included."""
    verified = bound_quote.accepted_quote.verified_quote
    body = verified.quote.body
    simulated = verified.collateral.anchor != INTEL
    scalars = _sgx(body) if isinstance(body, ReportBody) else _tdx(verified, body)
    if simulated:
        scalars[SIMULATED] = True
    runtime = _parse_objects(bound_quote.held_data)
    collateral = _collateral(verified, submitted) if isinstance(body, ReportBody) else {}
    attribute_claims = _attributes(body)
    if _unusual(body):
        scalars |= attribute_claims
    token_claims = {**scalars, **collateral, **_opaque(bound_quote.held_data), **runtime}
    if bound_quote.held_data.nonce is not None:
        token_claims["nonce"] = bound_quote.held_data.nonce
    return ClaimSet(
        bound_quote=bound_quote,
        incoming=_incoming({**scalars, **attribute_claims}, runtime),
        token_claims=token_claims,
        simulated=simulated,
    )


def of_token(token_claims: JsonObject) -> tuple[Claim, ...]:
    """What a policy would see of the enclave that a token speaks of: not what another policy put into it.

    Raises `Malformed` DJ408. Of an enclave's attributes a token says only what is out of the ordinary.
    """
    content = {name: value for name, value in token_claims.items() if name in INCOMING}
    aliases = {alias: content[name] for name, alias in _ALIASES.items() if name in content and "x-ms-sgx-svn" in content}
    return claims({**content, **aliases})


def _sgx(body: ReportBody) -> JsonObject:
    content: JsonObject = {
        "x-ms-attestation-type": "sgx",
        "x-ms-sgx-is-debuggable": body.debug,
        "x-ms-sgx-mrenclave": body.mr_enclave.hex(),
        "x-ms-sgx-mrsigner": body.mr_signer.hex(),
        "x-ms-sgx-product-id": body.isv_prod_id,
        "x-ms-sgx-report-data": body.report_data.hex(),
        "x-ms-sgx-svn": body.isv_svn,
    }
    if body.kss:
        content |= {
            "x-ms-sgx-config-id": body.config_id.hex(),
            "x-ms-sgx-config-svn": body.config_svn,
            "x-ms-sgx-isv-extended-product-id": body.isv_ext_prod_id.hex(),
            "x-ms-sgx-isv-family-id": body.isv_family_id.hex(),
        }
    return content


def _attributes(body: ReportBody | TdReport) -> JsonObject:
    """What policies see of an enclave's attributes; FLAGS and XFRM together as the report has them."""
    if isinstance(body, TdReport):
        return {}
    return {
        "x-donjon-sgx-attributes": body.attributes.hex(),
        "x-donjon-sgx-einittoken-key": body.einittoken_key,
        "x-donjon-sgx-provision-key": body.provision_key,
    }


def _unusual(body: ReportBody | TdReport) -> bool:
    """Whether an enclave has what is accepted only where its operator says so by name: tokens of others are Microsoft's own."""
    if isinstance(body, TdReport):
        return False
    odd = bool(attributes.foreign(body, 0)) or any(attributes.impossible_features(body, 0))
    return odd or body.einittoken_key or body.provision_key


def _tdx(verified: VerifiedQuote, body: TdReport) -> JsonObject:
    content: JsonObject = {
        "attester_tcb_status": str(verified.tcb.status),
        "dbgstat": _DEBUG[body.debug],
        "eat_profile": _EAT_PROFILE,
        "intuse": "generic",
        "tdx_mrconfigid": body.mr_config_id.hex(),
        "tdx_mrowner": body.mr_owner.hex(),
        "tdx_mrownerconfig": body.mr_owner_config.hex(),
        "tdx_mrseam": body.mr_seam.hex(),
        "tdx_mrsignerseam": body.mr_signer_seam.hex(),
        "tdx_mrtd": body.mr_td.hex(),
        "tdx_report_data": body.report_data.hex(),
        "tdx_rtmr0": body.rtmr0.hex(),
        "tdx_rtmr1": body.rtmr1.hex(),
        "tdx_rtmr2": body.rtmr2.hex(),
        "tdx_rtmr3": body.rtmr3.hex(),
        "tdx_seam_attributes": body.seam_attributes.hex(),
        "tdx_seamsvn": int.from_bytes(body.tee_tcb_svn[:2], "little"),  # Minor and major number of the module.
        "tdx_td_attributes": body.td_attributes.hex(),
        "tdx_td_attributes_debug": body.debug,
        "tdx_td_attributes_hgs_plus_prof": body.hgs_plus_prof,
        "tdx_td_attributes_icssd": body.icssd,
        "tdx_td_attributes_key_locker": body.key_locker,
        "tdx_td_attributes_lass": body.lass,
        "tdx_td_attributes_migratable": body.migratable,
        "tdx_td_attributes_perf_prof": body.perf_prof,
        "tdx_td_attributes_perfmon": body.perfmon,
        "tdx_td_attributes_pmt_prof": body.pmt_prof,
        "tdx_td_attributes_protection_keys": body.protection_keys,
        "tdx_td_attributes_septve_disable": body.sept_ve_disable,
        "tdx_td_attributes_servtd_ext": body.servtd_ext,
        "tdx_td_attributes_tpa": body.tpa,
        "tdx_tee_tcb_svn": body.tee_tcb_svn.hex(),
        "tdx_xfam": body.xfam.hex(),
        "x-ms-attestation-type": "tdxvm",
    }
    if isinstance(body, TdReport15):
        content |= {"tdx_mrservicetd": body.mr_service_td.hex(), "tdx_tee_tcb_svn_2": body.tee_tcb_svn_2.hex()}
    return content


def _collateral(verified: VerifiedQuote, submitted: bytes) -> JsonObject:
    fingerprints: Fingerprints = verified.collateral.fingerprints
    hashes: JsonObject = {
        "qeidcertshash": fingerprints.qe_identity_chain,
        "qeidcrlhash": fingerprints.root_ca_crl,
        "qeidhash": fingerprints.qe_identity,
        "quotehash": hashlib.sha256(submitted).hexdigest(),
        "tcbinfocertshash": fingerprints.tcb_info_chain,
        "tcbinfocrlhash": fingerprints.root_ca_crl,
        "tcbinfohash": fingerprints.tcb_info,
    }
    return {"x-ms-sgx-collateral": hashes, "maa-attestationcollateral": hashes}


def _opaque(held_data: HeldData) -> JsonObject:
    if held_data.runtime is None or held_data.runtime.is_json:
        return {}
    data: Json = base64url.encode(held_data.runtime.raw)
    return dict.fromkeys(("x-ms-sgx-ehd", "maa-ehd", "aas-ehd"), data)


def _parse_objects(held_data: HeldData) -> JsonObject:
    data_by_claim = {"x-ms-runtime": held_data.runtime, "x-ms-inittime": held_data.initial}
    return {name: content for name, data in data_by_claim.items() if data is not None and (content := data.content) is not None}


def _incoming(scalars: JsonObject, objects: JsonObject) -> tuple[Claim, ...]:
    """What policies see: the scalars, also by their older names, and bound JSON as its text."""
    aliases = {_ALIASES[name]: value for name, value in scalars.items() if name in _ALIASES} if "x-ms-sgx-svn" in scalars else {}
    texts = {name: compact(content) for name, content in objects.items()}
    values = {**scalars, **aliases, **texts}
    return tuple(
        Claim(type=name, value=value, issuer=Issuer.SERVICE)
        for name, value in values.items()
        if isinstance(value, str | int | bool)
    )
