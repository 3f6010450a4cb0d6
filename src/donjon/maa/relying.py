"""Whether a token that was proved speaks of the enclave that a relying party means, and if not, every reason why not.

What is asked stands in docs/relying-parties.md. Sources: RFC 7519, section 4.1; "Claim sets" of Azure Attestation.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from donjon.attestation.claims import SIMULATED
from donjon.attestation.token import JUDGED_AT
from donjon.findings import Finding
from donjon.formats.json import Json, JsonObject
from donjon.formats.words import excerpt, printable
from donjon.maa.answers import LEEWAY

SGX, TDX = "sgx", "tdxvm"
"""What `x-ms-attestation-type` can be of what is judged here."""

_OTHER = "another program could be answering"
_HASH_DIGITS = 64
MAX_WORD = 128  # characters of a claim's value: a measurement in hexadecimal is whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """What a relying party asks of a token; what is empty or `None` is not asked. Measurements are lower-case hexadecimal."""

    issuer: str
    mr_enclaves: frozenset[str] = frozenset()  # one of these
    mr_signers: frozenset[str] = frozenset()  # one of these
    mr_tds: frozenset[str] = frozenset()  # one of these, of a TD
    product_id: int | None = None
    min_svn: int | None = None
    nonce: str | None = None
    audience: str | None = None
    runtime_data: bytes | None = None  # what the enclave's report data begin with the SHA-256 of
    allow_debug: bool = False
    allow_simulated: bool = False


def judge(claims: JsonObject, requirements: Requirements, moment: datetime) -> tuple[Finding, ...]:
    """Every reason against what a token says, and warnings; `claims` are proved."""
    return tuple(finding for check in _CHECKS for finding in check(claims, requirements, moment))


def debug(claims: JsonObject) -> bool | None:
    """Whether the host can read the memory of what is spoken of; `None` where the token does not say."""
    name = {SGX: "x-ms-sgx-is-debuggable", TDX: "tdx_td_attributes_debug"}.get(str(claims.get("x-ms-attestation-type")))
    value = None if name is None else claims.get(name)
    return value if isinstance(value, bool) else None


def simulated(claims: JsonObject) -> bool:
    """Whether nothing of it is of a real platform: said, or said in a way that is not understood."""
    return claims.get(SIMULATED, False) is not False


def _issuer(claims: JsonObject, requirements: Requirements, _: datetime) -> Iterator[Finding]:
    if claims.get("iss") != requirements.issuer:
        observation = f"{_word(claims.get('iss'))}, expected {requirements.issuer}"
        yield Finding.error("DJ581", "issuer", observation, "it speaks for others", "name the issuer that you trust")


def _time(claims: JsonObject, _: Requirements, moment: datetime) -> Iterator[Finding]:
    begins, ends = claims.get("nbf", 0), claims.get("exp")
    now = moment.timestamp()
    if type(begins) is not int or type(ends) is not int:
        yield Finding.error(
            "DJ584", "token", "it does not say until when it is good", "it could be any age", "have the enclave attested"
        )
    elif not begins - LEEWAY.total_seconds() <= now < ends + LEEWAY.total_seconds():
        observation = f"good from {iso(begins)} to {iso(ends)}, not at {moment:%FT%TZ}"
        yield Finding.error(
            "DJ584", "token", observation, "much may have changed", "have the enclave attested anew, and check both clocks"
        )


def _judging(claims: JsonObject, _: Requirements, __: datetime) -> Iterator[Finding]:
    if JUDGED_AT in claims:
        moment = claims[JUDGED_AT]
        observation = f"judged as of {iso(moment) if type(moment) is int else _word(moment)}, not when it was made"
        why = "what Intel has stated or revoked since does not count"
        yield Finding.error("DJ591", "quote", observation, why, "ask a service that judges by the clock (without unsafe-clock)")


def _simulation(claims: JsonObject, requirements: Requirements, _: datetime) -> Iterator[Finding]:
    if not simulated(claims):
        return
    observation, why = "simulated", "nothing of it is of real hardware"
    if requirements.allow_simulated:
        yield Finding.warning("DJ586", "platform", observation, why, "take it for a rehearsal alone")
    else:
        yield Finding.error(
            "DJ586", "platform", observation, why, "ask a service with real platforms, or say --allow-simulated to rehearse"
        )


def _debug(claims: JsonObject, requirements: Requirements, _: datetime) -> Iterator[Finding]:
    if debug(claims) is False:
        return
    observation = "in debug mode" if debug(claims) else "whether in debug mode is not said"
    why = "the host can read and change its memory"
    if requirements.allow_debug:
        yield Finding.warning("DJ585", "enclave", observation, why, "give it no secret that matters")
    else:
        yield Finding.error("DJ585", "enclave", observation, why, "build it for release, or say --allow-debug to try")


def _identity(claims: JsonObject, requirements: Requirements, _: datetime) -> Iterator[Finding]:
    kind = claims.get("x-ms-attestation-type")
    if kind not in [SGX, TDX]:
        yield _other("attestation type", kind, f"{SGX} or {TDX}")
    for name, values in (
        ("x-ms-sgx-mrenclave", requirements.mr_enclaves),
        ("x-ms-sgx-mrsigner", requirements.mr_signers),
        ("tdx_mrtd", requirements.mr_tds),
    ):
        if values and claims.get(name) not in [*values]:
            yield _other(name, claims.get(name), " or ".join(sorted(values)))
    product, least = requirements.product_id, requirements.min_svn
    if product is not None and not _is_number(claims.get("x-ms-sgx-product-id"), product, product):
        yield _other("x-ms-sgx-product-id", claims.get("x-ms-sgx-product-id"), str(product))
    if least is not None and not _is_number(claims.get("x-ms-sgx-svn"), least, None):
        yield _other("x-ms-sgx-svn", claims.get("x-ms-sgx-svn"), f"{least} or more", "older versions have known faults")


def _binding(claims: JsonObject, requirements: Requirements, _: datetime) -> Iterator[Finding]:
    if requirements.nonce is not None and claims.get("nonce") != requirements.nonce:
        yield _unbound("nonce", claims.get("nonce"), excerpt(requirements.nonce), "somebody may show an old token again")
    audience = claims.get("aud")
    if requirements.audience is not None and requirements.audience not in (
        audience if isinstance(audience, list) else [audience]
    ):
        yield _unbound("aud", audience, excerpt(requirements.audience), "it was made for others")
    if requirements.runtime_data is not None:
        digest = hashlib.sha256(requirements.runtime_data).hexdigest()
        report_data = str(claims.get("x-ms-sgx-report-data") or claims.get("tdx_report_data") or "")
        if report_data[:_HASH_DIGITS] != digest:
            why = "the enclave did not hold these data when it was quoted"
            yield _unbound("report data", report_data[:_HASH_DIGITS], digest, why)


def _advice(_: JsonObject, requirements: Requirements, __: datetime) -> Iterator[Finding]:
    if not (requirements.mr_enclaves or requirements.mr_signers or requirements.mr_tds):
        do = "say --mrenclave, or --mrsigner with --product-id and --min-svn (--mrtd of a trust domain)"
        yield Finding.warning("DJ589", "enclave", "none was named", "any program of anybody's would do", do)
    elif requirements.mr_signers and not requirements.mr_enclaves and requirements.product_id is None:
        do = "say --product-id and --min-svn, too"
        yield Finding.warning("DJ589", "enclave", "named by its signer alone", "one signer may sign many programs", do)


_CHECKS: tuple[Callable[[JsonObject, Requirements, datetime], Iterator[Finding]], ...] = (
    _simulation,
    _judging,
    _debug,
    _issuer,
    _time,
    _identity,
    _binding,
    _advice,
)


def _other(subject: str, actual: Json, expected: str, why: str = _OTHER) -> Finding:
    return Finding.error(
        "DJ587", subject, f"{_word(actual)}, expected {expected}", why, "compare it with what you built and signed"
    )


def _unbound(subject: str, actual: Json, expected: str, why: str) -> Finding:
    return Finding.error(
        "DJ588", subject, f"{_word(actual)}, expected {expected}", why, "have the enclave attested with what you sent"
    )


def _is_number(value: Json, least: int, most: int | None) -> bool:
    return type(value) is int and least <= value and (most is None or value <= most)


def _word(value: Json) -> str:
    return "not said" if value is None or value == "" else printable(str(value)[:MAX_WORD])


def iso(seconds: int) -> str:
    """The moment of a claim, in seconds since 1970, where it is one that a calendar has."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%FT%TZ}"
    except (OverflowError, ValueError, OSError):
        return f"second {seconds}"
