"""Policy management certificates: tokens that add or remove one, and what is answered.

Source: Azure Attestation REST API, "Policy Certificates"; names of claims as recorded.
"""

import base64
import json
from dataclasses import dataclass
from datetime import datetime

from donjon.errors import Malformed, Misconfigured
from donjon.formats import strict_json
from donjon.formats.json import Json, JsonObject
from donjon.maa import names
from donjon.maa.instances import Mode, Trust, authorise
from donjon.signing import jws
from donjon.signing.jws import Jws
from donjon.signing.signer import Signer, sign_with_certificate
from donjon.signing.signer_certificate import SignerCertificate

BODY = "policyCertificate"
"""As Microsoft's clients name it."""
DOCUMENTED = "maa-policyCertificate"
"""As Microsoft's pages of its command lines name it ("az attestation signer add")."""

_SUBJECT = "certificate token"


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateChange:
    """Whose certificate is to be added or removed, and who signed that."""

    certificate: SignerCertificate
    signer: SignerCertificate


def change(text: str, trust: Trust, moment: datetime) -> CertificateChange:
    """The change that a holder of a trusted certificate wants.

    Raises `Malformed`, `Untrusted` DJ441 to DJ445, and `Misconfigured` DJ447 for an instance of mode AAD, which has none.
    """
    if trust.mode is not Mode.ISOLATED:
        raise Misconfigured(
            "DJ447", f"{_SUBJECT}: this instance is of mode {trust.mode}, which has no policy management certificates"
        )
    token, signer = authorise(text, _SUBJECT, trust, moment)
    if signer is None:
        raise AssertionError("an instance of mode Isolated takes nothing unsigned")
    return CertificateChange(certificate=in_token(token), signer=signer)


def in_token(token: Jws) -> SignerCertificate:
    """The certificate that a token wants added or removed; raises `Malformed` DJ446, and as `jws.certificate_of` does."""
    whole = strict_json.parse(token.payload, _SUBJECT, jws.MAX_TOKEN, values=jws.MAX_VALUES)
    body = names.canonical(whole, {BODY: (), DOCUMENTED: ()}, "DJ446")
    if len(body.content) != 1:
        raise Malformed("DJ446", f"{_SUBJECT}: expected a body with {BODY} and nothing else")
    return jws.certificate_of(body.member(*body.content))


def signed_token(certificate: SignerCertificate, signer: Signer) -> str:
    """The token, signed by that key, that asks for this certificate to be added or removed."""
    body: JsonObject = {BODY: short_jwk(certificate)}
    return sign_with_certificate(json.dumps(body, separators=(",", ":")).encode("ascii"), signer)


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
