"""Policy management certificates: tokens that add or remove one, and what is answered.

Source: Azure Attestation REST API, "Policy Certificates"; names of claims as recorded.
"""

import base64
from datetime import datetime

from donjon.errors import Malformed, Misconfigured
from donjon.formats import strict_json
from donjon.formats.json import Json, JsonObject
from donjon.maa import names
from donjon.maa.instances import Mode, Trust, authorise
from donjon.signing import jws
from donjon.signing.signer_certificate import SignerCertificate

BODY = "policyCertificate"

_SUBJECT = "certificate token"


def change(text: str, trust: Trust, moment: datetime) -> SignerCertificate:
    """The certificate that a holder of a trusted one wants added or removed.

    Raises `Malformed`, `Untrusted` DJ441 to DJ445, and `Misconfigured` DJ447 for an instance of mode AAD, which has none.
    """
    if trust.mode is not Mode.ISOLATED:
        raise Misconfigured(
            "DJ447", f"{_SUBJECT}: this instance is of mode {trust.mode}, which has no policy management certificates"
        )
    token, _ = authorise(text, _SUBJECT, trust, moment)
    body = names.canonical(strict_json.parse(token.payload, _SUBJECT, jws.MAX_TOKEN, values=jws.MAX_VALUES), {BODY: ()}, "DJ446")
    if not body.content:
        raise Malformed("DJ446", f"{_SUBJECT}: expected a body with {BODY} and nothing else")
    return jws.certificate_of(body.member(BODY))


def claims_of(trust: Trust) -> JsonObject:
    """The claims of the answer to who asks for the certificates."""
    keys: list[Json] = [jwk(each) for each in trust.certificates]
    return {"x-ms-policy-certificates": {"keys": keys}}


def claims_when_changed(certificate: SignerCertificate, trust: Trust) -> JsonObject:
    """The claims of the answer to a change: the certificate, and whether it is there now."""
    result = "IsPresent" if trust.trusts(certificate) else "IsAbsent"
    return {"x-ms-certificate-thumbprint": certificate.thumbprint(), "x-ms-policycertificates-result": result}


def jwk(of: SignerCertificate) -> JsonObject:
    """A signer as answers name it."""
    return {"alg": of.algorithm, "use": "sig", **short_jwk(of)}


def short_jwk(of: SignerCertificate) -> JsonObject:
    """A signer as attestation tokens name it."""
    x5c: list[Json] = [base64.b64encode(of.der).decode("ascii")]
    return {"kty": of.key_type, "x5c": x5c}
