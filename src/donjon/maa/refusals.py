"""Refusals as Microsoft's clients read them: a status, one of the service's own codes, and our message with our code.

Source: Azure Attestation REST API, "CloudError"; codes and statuses as recorded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from donjon.errors import DonjonError, Misconfigured, Unavailable
from donjon.findings import Finding, codes
from donjon.formats.json import JsonObject
from donjon.policy.decision import Decision, PolicyVerdict
from donjon.policy.faults import Fault

MAX_MESSAGE = 4 << 10  # characters

BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, CONFLICT, TOO_MANY = 400, 401, 403, 404, 409, 429
INTERNAL, AWAY = 500, 503


class Code(StrEnum):
    """What `error.code` can be."""

    INVALID_PARAMETER = "InvalidParameter"
    INVALID_OPERATION = "InvalidOperation"
    POLICY_PARSING = "PolicyParsingError"
    POLICY_EVALUATION = "PolicyEvaluationError"
    UNAUTHORIZED = "Unauthorized"
    FORBIDDEN = "Forbidden"
    NOT_FOUND = "NotFound"
    NOT_ALLOWED = "MethodNotAllowed"
    MEDIA_TYPE = "UnsupportedMediaType"
    CONFLICT = "Conflict"
    BAD_REQUEST = "BadRequest"
    TOO_SLOW = "RequestTimeout"
    TOO_LARGE = "RequestEntityTooLarge"
    HEAD_TOO_LARGE = "RequestHeaderFieldsTooLarge"
    TOO_MANY = "TooManyRequests"
    INTERNAL = "InternalServerError"
    AWAY = "ServiceUnavailable"


_TURNED_AWAY = {
    400: (Code.BAD_REQUEST, "it is no HTTP/1.1 or HTTP/1.0 that is read here"),
    408: (Code.TOO_SLOW, "it was not whole within its time"),
    413: (Code.TOO_LARGE, "its body is larger than any that is taken"),
    431: (Code.HEAD_TOO_LARGE, "its path and headers are larger than any that are taken"),
    AWAY: (Code.AWAY, "there is no room for it now, so many others are under way; try again"),
}

_OPERATION = codes.REFUSED_TOKENS | {codes.NO_SIMULATED_ISSUER}
"""Ours that say that a token may not do what it asks for: those of `jws`, `policies`, `certificates` and `instances`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An answer that is none of what was asked for."""

    status: int
    code: Code
    message: str

    def body(self) -> JsonObject:
        """The JSON body of the answer, in the form of Microsoft's CloudError."""
        return {"error": {"code": str(self.code), "message": self.message}}


_WITHIN = {
    codes.UPSTREAM_AWAY: "collateral: its upstream cannot be asked now",
    codes.DATABASE_AWAY: "service: its database is away",
    codes.ISSUER_AWAY: "token: its issuer cannot be asked now",
    codes.REVIEWS_AWAY: "token: the API server cannot be asked now",
}
"""Ours whose own words are for the operator, since they name addresses and accounts: callers hear these, the log has those."""


def of_error(error: DonjonError) -> Refusal:
    """What is answered where one of our errors ends a request."""
    if error.code in _WITHIN:
        return _refusal(AWAY, Code.AWAY, f"{_WITHIN[error.code]} [{error.code}]")
    if isinstance(error, Fault):
        return _refusal(BAD_REQUEST, Code.POLICY_PARSING, str(error))
    if error.code in _OPERATION:
        return _refusal(BAD_REQUEST, Code.INVALID_OPERATION, str(error))
    if error.code == codes.TEXTS_FULL:
        return _refusal(TOO_MANY, Code.TOO_MANY, str(error))
    match error:
        case Unavailable():
            return _refusal(AWAY, Code.AWAY, str(error))
        case Misconfigured():
            return _refusal(INTERNAL, Code.INTERNAL, str(error))
        case _:
            return _refusal(BAD_REQUEST, Code.INVALID_PARAMETER, str(error))


def of_status(status: int) -> Refusal:
    """What is answered by the server itself, before any route is known: 400, 408, 413, 431 or 503."""
    code, reason = _TURNED_AWAY[status]
    return Refusal(status=status, code=code, message=f"request: {reason} [DJ535]")


def of_findings(findings: Sequence[Finding]) -> Refusal:
    """What is answered where the operator's gate refuses a quote, all reasons at once."""
    return _refusal(BAD_REQUEST, Code.INVALID_PARAMETER, _sentences(findings))


def of_decision(decision: Decision) -> Refusal:
    """What is answered where a policy refuses, all reasons at once."""
    head = "A Deny claim was issued, authorization failed. " if decision.verdict is PolicyVerdict.DENIED else ""
    return _refusal(BAD_REQUEST, Code.POLICY_EVALUATION, head + _sentences(decision.findings))


def _sentences(findings: Sequence[Finding]) -> str:
    return " | ".join(finding.sentence() for finding in findings)


def _refusal(status: int, code: Code, message: str) -> Refusal:
    short = message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 1] + "…"
    return Refusal(status=status, code=code, message=short)
