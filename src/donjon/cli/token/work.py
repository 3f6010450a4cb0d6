"""What `donjon token` does: a file to a token, keys from where it was said, a verdict with its reasons, printed."""

import json
import sys

from donjon.adapters import clock
from donjon.adapters.maa.client import AttestationServer
from donjon.attestation.token import JUDGED_AT
from donjon.cli import issuer
from donjon.cli.files import content, display_name
from donjon.cli.terminal import say, say_finding, say_json
from donjon.cli.token.command import TokenOptions
from donjon.errors import EXIT_NO, EXIT_YES, Untrusted
from donjon.findings import Finding, is_refusal
from donjon.formats.json import Json, JsonObject
from donjon.maa import answers, relying
from donjon.maa.relying import Requirements
from donjon.signing import service_keys
from donjon.signing.service_keys import MAX_SET, MAX_TOKEN, ServiceKey, ServiceToken

MAX_RUNTIME_DATA = 64 << 10  # bytes
MOMENTS = frozenset({"exp", "iat", "nbf", JUDGED_AT})
"""The claims that are moments, in seconds since 1970."""

_DAY, _HOUR, _MINUTE = 86_400, 3_600, 60


def show(file: str, form: str) -> None:
    """Print what the token says, what weakens it first."""
    token = _read(file)
    claims = token.unproved_claims()
    if form == "json":
        say_json({"header": token.header, "claims": claims, "proved": False})
        return
    for line in _warnings(claims):
        say(line)
    say("nothing of it is proved here: donjon token verify does that")
    for title, members in (("header", token.header), ("claims", claims)):
        say(f"{title}:")
        for name, value in sorted(members.items()):
            say(f"  {name}: {_value(name, value)}")


def verify(file: str, options: TokenOptions) -> None:
    """Print whether the token is accepted, and every reason why not; ends with the exit code."""
    name = issuer.address(options["issuer"])
    token, moment = _read(file), options["at"] or clock.moment()
    try:
        claims = service_keys.prove(token, _keys(name, options), name)
    except Untrusted as error:
        if options["form"] != "json":
            raise
        say_json({"accepted": False, "proved": False, "claims": None, "reasons": [{**_as_finding(error).as_dict()}]})
        sys.exit(EXIT_NO)
    findings = relying.judge(claims, _requirements(name, options), moment)
    _print(file, claims, findings, options["form"])
    sys.exit(EXIT_NO if is_refusal(findings) else EXIT_YES)


def _read(file: str) -> ServiceToken:
    return service_keys.parse(answers.bare_token(content(file, MAX_TOKEN + MAX_SET)), "token")


def _keys(name: str, options: TokenOptions) -> tuple[ServiceKey, ...]:
    """Those of a file, or those that the issuer publishes."""
    if options["keys"] is not None:
        return service_keys.parse_keys(content(str(options["keys"]), MAX_SET), "keys")

    async def ask(server: AttestationServer) -> tuple[ServiceKey, ...]:
        return await server.keys()

    return issuer.call(name, ask, authority=options["authority"])


def _requirements(name: str, options: TokenOptions) -> Requirements:
    data = options["runtime_data"]
    return Requirements(
        issuer=name,
        mr_enclaves=frozenset(map(bytes.hex, options["mrenclave"])),
        mr_signers=frozenset(map(bytes.hex, options["mrsigner"])),
        mr_tds=frozenset(map(bytes.hex, options["mrtd"])),
        product_id=options["product_id"],
        min_svn=options["min_svn"],
        nonce=options["nonce"],
        audience=options["audience"],
        runtime_data=None if data is None else content(data, MAX_RUNTIME_DATA),
        allow_debug=options["allow_debug"],
        allow_simulated=options["allow_simulated"],
    )


def _print(file: str, claims: JsonObject, findings: tuple[Finding, ...], form: str) -> None:
    accepts = not is_refusal(findings)
    if form == "json":
        reasons: list[Json] = [{**each.as_dict()} for each in findings]
        say_json({"accepted": accepts, "proved": True, "claims": claims, "reasons": reasons})
        return
    verdict = f"accepted; good until {_value('exp', claims.get('exp'))}" if accepts else "its signature holds, but it is refused"
    say(f"{display_name(file)}: {verdict}")
    for each in findings:
        say_finding(each, before="  ")
    if accepts and "x-ms-runtime" in claims:
        say(f"  what the enclave bound to its quote: {_value('x-ms-runtime', claims['x-ms-runtime'])}")


def _warnings(claims: JsonObject) -> list[str]:
    """What must be seen before all else."""
    lines = []
    if relying.simulated(claims):
        lines.append("simulated: nothing that it says is of real hardware (x-donjon-simulated)")
    if relying.debug(claims):
        lines.append("debug: the host can read and change the memory of what it speaks of")
    return lines


def _value(name: str, value: Json) -> str:
    if name in MOMENTS and type(value) is int:
        return f"{value} ({relying.iso(value)}, {_from_now(value)})"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _from_now(seconds: int) -> str:
    """How far a moment is from now, in words."""
    distance = seconds - int(clock.moment().timestamp())
    size = abs(distance)
    days, hours, minutes = size // _DAY, size % _DAY // _HOUR, size % _HOUR // _MINUTE
    words = f"{days} d {hours} h" if days else f"{hours} h {minutes} min" if hours else f"{minutes} min {size % _MINUTE} s"
    return f"in {words}" if distance >= 0 else f"{words} ago"


def _as_finding(error: Untrusted) -> Finding:
    subject, _, observation = error.message.partition(": ")
    return Finding.error(error.code, subject, observation, "nothing that it says is proved", f"donjon explain {error.code}")
