"""What a service answers, read by whoever asked: a signed token about itself, or a refusal in its own words.

Source: Azure Attestation REST API, "Policy"; claims and errors as recorded.
"""

from datetime import datetime, timedelta

from donjon.errors import DonjonError, Malformed, Unavailable, Untrusted
from donjon.findings import codes
from donjon.formats import strict_json
from donjon.formats.json import JsonObject
from donjon.formats.strict_json import Members
from donjon.formats.words import excerpt, printable
from donjon.maa import policies
from donjon.maa.instances import Mode
from donjon.maa.refusals import BAD_REQUEST, INTERNAL, TOO_MANY
from donjon.maa.requests import Change
from donjon.signing import jws
from donjon.signing.signer_certificate import SignerCertificate

MAX_ANSWER = 4 << 20  # bytes
MAX_WORDS = 4 << 10  # characters of a refusal
LEEWAY = timedelta(minutes=1)  # by which clocks may differ
MAX_SECONDS = 253_370_764_800  # the year 9999 begins; later moments are none

_SUBJECT = "answer"
_RESULTS = {Change.ADD: "IsPresent", Change.REMOVE: "IsAbsent"}


def token_text(body: bytes) -> str:
    """The token in an answer; raises `Malformed` DJ210 or DJ211."""
    return strict_json.parse(body, _SUBJECT, MAX_ANSWER).text("token")


def bare_token(content: bytes) -> str:
    """The token that a file holds, alone or in the JSON of a service's answer; raises `Malformed` DJ210 or DJ440."""
    if content.lstrip().startswith(b"{"):
        members = strict_json.parse(content, _SUBJECT, MAX_ANSWER).content
        token = members.get("token")
        if isinstance(token, str):
            return token
        what = "a request, which a service answers with a token" if "quote" in members else "JSON without the member token"
        raise Malformed("DJ440", f"token: this is {what}; expected a JSON web token, or the answer that it came in")
    try:
        return content.decode("ascii").strip()
    except UnicodeDecodeError as error:
        raise Malformed("DJ440", "token: expected a JSON web token, which is ASCII") from error


def check(claims: JsonObject, issuer: str, moment: datetime) -> Members:
    """What the service says of itself now; raises `Untrusted` DJ581 for what another says, or said."""
    if claims.get("iss") != issuer:
        raise Untrusted("DJ581", f"{_SUBJECT}: of {excerpt(str(claims.get('iss')))}, expected {issuer}")
    members = Members(_SUBJECT, claims)
    begins, ends = (datetime.fromtimestamp(members.number(name, MAX_SECONDS), moment.tzinfo) for name in ("nbf", "exp"))
    if not begins - LEEWAY <= moment < ends + LEEWAY:
        raise Untrusted("DJ581", f"{_SUBJECT}: good from {begins:%FT%TZ} to {ends:%FT%TZ}, not at {moment:%FT%TZ}")
    return members


def check_change(answer: Members, token: str) -> None:
    """Raises `Untrusted` DJ583 where the service does not say that it has taken this token."""
    expected = policies.sha256_base64url(token)
    result, actual = answer.content.get("x-ms-policy-result"), answer.content.get("x-ms-policy-token-hash")
    if result != "Updated" or actual != expected:
        statement = f"{excerpt(str(result))}, token {excerpt(str(actual))}"
        raise Untrusted("DJ583", f"{_SUBJECT}: {statement}, expected Updated, token {expected}")


def check_reset(answer: Members) -> None:
    """Raises `Untrusted` DJ583 where the service does not say that no policy is set any more."""
    if (result := answer.content.get("x-ms-policy-result")) != "Removed":
        raise Untrusted("DJ583", f"{_SUBJECT}: {excerpt(str(result))}, expected Removed")


def check_certificate_change(answer: Members, certificate: SignerCertificate, change: Change) -> None:
    """Raises `Untrusted` DJ590 where the service does not say that this certificate counts now, or does not."""
    expected = {"x-ms-certificate-thumbprint": certificate.thumbprint(), "x-ms-policycertificates-result": _RESULTS[change]}
    for name, value in expected.items():
        actual = answer.content.get(name)
        if not isinstance(actual, str) or actual.upper() != value.upper():
            raise Untrusted("DJ590", f"{_SUBJECT}: {name}: {excerpt(str(actual))}, expected {value}")


def mode(answer: Members) -> Mode:
    """The instance's mode."""
    return Mode.of(_keys(answer))


def certificates(answer: Members) -> tuple[SignerCertificate, ...]:
    """The policy management certificates, none of mode AAD; raises `Malformed` for a key that is stated otherwise."""
    return tuple(jws.certificate_of(Members(each.subject, {"x5c": [*each.texts("x5c")]})) for each in _keys(answer))


def _keys(answer: Members) -> list[Members]:
    holders = answer.member("x-ms-policy-certificates")
    return holders.members("keys") if holders.content.get("keys") else []


def refusal(status: int, body: bytes, server: str, hint: str = "") -> DonjonError:
    """What the service says against it, in its own words and perhaps ours; with our own code where its sentence ends in one.

    `Unavailable` where to ask again may help.
    """
    words = _words(body) or f"answered {status}"
    code, bare = _code(words)
    family = Unavailable if status == TOO_MANY or status >= INTERNAL or status < BAD_REQUEST else Untrusted
    return family(code, f"{server}: {bare}{hint}")


def _words(body: bytes) -> str:
    """Code and message, if the answer has the form of Microsoft's CloudError."""
    try:
        error = strict_json.parse(body, _SUBJECT, MAX_ANSWER, fractions=True).member("error")
        return printable(f"{error.text('code')}: {error.text('message')}")[:MAX_WORDS]
    except Malformed:
        return ""


def _code(words: str) -> tuple[str, str]:
    """The code in which a sentence of ours ends, and the sentence without it."""
    ours = sorted(codes.codes_in(words))
    if len(ours) == 1 and words.endswith(f" [{ours[0]}]"):
        return ours[0], words.removesuffix(f" [{ours[0]}]")
    return "DJ582", words
