"""Policies as they are sent, kept and named: JSON web tokens around a text.

Source: "Author and sign an attestation policy" of Azure Attestation; hashes as recorded.
"""

import hashlib
import json
import re
from dataclasses import dataclass, field
from datetime import datetime

from donjon.attestation.appraise import PolicyInForce, baseline
from donjon.errors import DonjonError, Malformed, Untrusted
from donjon.formats import base64url, strict_json
from donjon.formats.json import JsonObject
from donjon.maa import names
from donjon.maa.certificates import jwk, short_jwk
from donjon.maa.instances import Trust, authorise
from donjon.maa.versions import AttestationType
from donjon.policy import parsing
from donjon.policy.syntax import Policy
from donjon.signing import jws
from donjon.signing.jws import Jws
from donjon.signing.signer import Signer, sign_with_certificate
from donjon.signing.signer_certificate import SignerCertificate

BODY = "AttestationPolicy"
NO_POLICY = f"{jws.UNSECURED}.."
"""The token without a body, which resets a policy."""

_SUBJECT = "policy token"
_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*", re.ASCII)

SGX_DEFAULT = (
    "version= 1.0;authorizationrules{=> permit();};issuancerules{"
    + "".join(
        f'c:[type=="{incoming}"] => issue(type="{issued}", value=c.value);'
        for incoming, issued in (
            ("x-ms-sgx-is-debuggable", "is-debuggable"),
            ("x-ms-sgx-mrsigner", "sgx-mrsigner"),
            ("x-ms-sgx-mrenclave", "sgx-mrenclave"),
            ("x-ms-sgx-product-id", "product-id"),
            ("x-ms-sgx-svn", "svn"),
            ("x-ms-attestation-type", "tee"),
        )
    )
    + "};"
)
"""What the recorded service applied where no policy was set; the operator's gate stands under it."""

TDX_DEFAULT = "version=1.0;authorizationrules{=> permit();};issuancerules{};"

NOTHING_PERMITTED = "version=1.0;authorizationrules{=> deny();};issuancerules{};"
"""What is shown of a type that is not attested here and has no policy.

Microsoft's service shows a token without a body, which its JavaScript client cannot read."""

DEFAULTS = {
    AttestationType.SGX_ENCLAVE: SGX_DEFAULT,
    AttestationType.OPEN_ENCLAVE: SGX_DEFAULT,
    AttestationType.TDX_VM: TDX_DEFAULT,
}
"""Of the types that are attested here; the others have none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyToken:
    """A policy that was proved as far as it is signed: `parse_submitted`, `parse_stored`, `default` and `draft` make one."""

    text: str = field(repr=False)  # the token, as it came
    encoded: str = field(repr=False)  # the policy's text, in base64url
    policy: Policy
    baseline: int | None  # the TCB evaluation data number that it asks for at least
    signer: SignerCertificate | None

    @property
    def hash(self) -> str:
        """By which attestation tokens name the policy."""
        return sha256_base64url(self.encoded)

    @property
    def token_hash(self) -> str:
        """By which the answer to a change names the token."""
        return sha256_base64url(self.text)

    def in_force(self, *, draft: bool = False) -> PolicyInForce:
        """The policy in the form in which quotes are judged by it."""
        signer = None if self.signer is None else short_jwk(self.signer)
        return PolicyInForce(
            policy=self.policy, baseline=self.baseline, hash=self.hash, text=self.encoded, signer=signer, draft=draft
        )


def parse_submitted(text: str, trust: Trust, moment: datetime) -> PolicyToken:
    """The policy that somebody sets; raises `Malformed`, DJ400 to DJ407 for the policy itself, and `Untrusted` DJ441 to DJ445."""
    token, signer = authorise(text, _SUBJECT, trust, moment)
    return _policy(token, signer)


def reset(text: str, trust: Trust, moment: datetime) -> SignerCertificate | None:
    """Who resets a policy, where that is signed; raises `Malformed` DJ446 for a token with a body, else as `parse_submitted`."""
    token, signer = authorise(text, "reset token", trust, moment)
    if token.payload:
        raise Malformed("DJ446", f"reset token: a body of {len(token.payload)} bytes, expected none")
    return signer


def parse_stored(text: str) -> PolicyToken:
    """A policy that was taken before: its signature is proved again, not when its certificate was good or who trusts it."""
    token = jws.parse(text, _SUBJECT)
    return _policy(token, jws.prove(token))


def signer(text: str) -> SignerCertificate | None:
    """Who signed a policy that was taken before; `None` where nobody did, or where it does not hold."""
    try:
        return jws.prove(jws.parse(text, _SUBJECT))
    except DonjonError:
        return None


def stored_text(text: str) -> str | None:
    """The text of a policy that was taken before, in base64url; `None` where its token cannot be read."""
    try:
        return _encoded(jws.parse(text, _SUBJECT))
    except DonjonError:
        return None


def default(kind: AttestationType) -> PolicyToken | None:
    """What applies where nothing was set; `None` for types that are not attested here."""
    text = DEFAULTS.get(kind)
    return None if text is None else parse_stored(unsecured_token(text))


def draft(text: str) -> PolicyInForce:
    """A policy to try: its text, or an unsecured token; raises as `parse_submitted`, and `Untrusted` DJ441 for a signed one."""
    token = jws.parse(text if _TOKEN.fullmatch(text) else unsecured_token(text), "draft policy")
    if jws.prove(token) is not None:
        raise Untrusted("DJ441", "draft policy: signed, expected its text or an unsecured token")
    return _policy(token, None).in_force(draft=True)


def unsecured_token(policy: str) -> str:
    """The token of a policy's text that nobody signs; raises `Malformed` DJ400 for what is no Unicode."""
    return f"{jws.UNSECURED}.{base64url.encode(_body(policy))}."


def signed_token(policy: str, signer: Signer) -> str:
    """The token of a policy's text that this key signs, with its certificate in x5c; raises `Malformed` DJ400."""
    return sign_with_certificate(_body(policy), signer)


def signed_reset(signer: Signer) -> str:
    """The token without a body that this key signs, which resets a policy."""
    return sign_with_certificate(b"", signer)


def sha256_base64url(text: str) -> str:
    """SHA-256 of a text of ASCII, in base64url."""
    return base64url.encode(hashlib.sha256(text.encode("ascii")).digest())


def claims_when_set(token: PolicyToken) -> JsonObject:
    """The claims of the answer to a policy that was set."""
    signer: JsonObject = {} if token.signer is None else {"x-ms-policy-signer": jwk(token.signer)}
    return {"x-ms-policy-result": "Updated", "x-ms-policy-token-hash": token.token_hash, **signer}


def claims_when_reset() -> JsonObject:
    """The claims of the answer to a policy that was reset."""
    return {"x-ms-policy-result": "Removed"}


def claims_of(token: PolicyToken | None) -> JsonObject:
    """The claims of the answer to who asks for a policy."""
    return {"x-ms-policy": unsecured_token(NOTHING_PERMITTED) if token is None else token.text}


def _body(policy: str) -> bytes:
    try:
        body = {BODY: base64url.encode(policy.encode("utf-8"))}
    except UnicodeEncodeError as error:
        raise Malformed("DJ400", "policy: half a surrogate pair, expected Unicode text") from error
    return json.dumps(body, separators=(",", ":")).encode("ascii")


def _policy(token: Jws, signer: SignerCertificate | None) -> PolicyToken:
    encoded = _encoded(token)
    policy = parsing.parse(parsing.decode(jws.octets(encoded, token.subject)))
    return PolicyToken(text=token.text, encoded=encoded, policy=policy, baseline=baseline(policy), signer=signer)


def _encoded(token: Jws) -> str:
    """The policy's text in base64url; raises `Malformed` DJ446."""
    if not token.payload:
        raise Malformed("DJ446", f"{token.subject}: expected a body with {BODY} and nothing else")
    body = names.canonical(
        strict_json.parse(token.payload, token.subject, jws.MAX_TOKEN, values=jws.MAX_VALUES), {BODY: ()}, "DJ446"
    )
    if not body.content:
        raise Malformed("DJ446", f"{token.subject}: expected a body with {BODY} and nothing else")
    return body.text(BODY)
