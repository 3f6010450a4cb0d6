"""Who may do what, as the settings' file says: in `[oidc.NAME]`, `[kubernetes]`, `[[callers]]`, and `open` of an instance."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from donjon.access.roles import OPEN, Access, Grant, Proof, Role, TrustedIssuer
from donjon.pki.clients import KINDS

TABLES = frozenset({"oidc", "kubernetes", "callers"})
EVERY = "*"  # all instances
MAX_CALLERS, MAX_ISSUERS = 1_000, 32
MAX_FILE = 256 << 10  # bytes of authorities

FileReader = Callable[[str, int], bytes | None]
"""Reads a file: of a path, the first bytes up to a bound; raises `OSError`. `None` where files are not looked at."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,63}", re.ASCII)
_RESERVED = frozenset({*KINDS, Proof.OIDC, Proof.KUBERNETES, Proof.CERTIFICATE, "system", "open", "anybody", "anonymous"})
"""What names of other callers begin with, or how they are told: nobody known by a token is to be told by such a name."""

_EXPECTED = f"expected another name, of at most 63 letters, digits, _, . and -, and none of {', '.join(sorted(_RESERVED))}"

_ISSUER = frozenset({"issuer", "audience", "authorities"})
_CALLER = frozenset({"oidc", "subject", "claims", "service-account", "certificate", "instances", "roles"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessSettings:
    """Who is known by what, and what they may do."""

    access: Access = field(default_factory=Access)
    issuers: Mapping[str, TrustedIssuer] = field(default_factory=dict)
    audience: str | None = None  # of service account tokens; `None`: none are taken


def read(
    tables: Mapping[str, object], instances: Mapping[str, frozenset[Role]], read_file: FileReader, faults: list[str]
) -> AccessSettings:
    """The three kinds of tables, for instances with these names and what each is open for; adds what is wrong to the faults."""
    issuers = _issuers(tables.get("oidc", {}), read_file, faults)
    audience = _kubernetes(tables.get("kubernetes"), faults)
    callers = tables.get("callers", [])
    if isinstance(callers, dict):
        faults.append("callers: a table, [callers]; expected a list of them, without names: [[callers]]")
        callers = []
    if not isinstance(callers, list) or len(callers) > MAX_CALLERS or not all(isinstance(each, dict) for each in callers):
        faults.append(f"callers: expected at most {MAX_CALLERS} tables [[callers]]")
        callers = []
    references = _References(issuers=issuers, audience=audience, instances=frozenset(instances))
    grants = [_caller(each, f"callers[{number}]", references, faults) for number, each in enumerate(callers, start=1)]
    access = Access(open_roles=instances, grants=tuple(each for each in grants if each is not None))
    return AccessSettings(access=access, issuers=issuers, audience=audience)


def read_open_roles(names: object, where: str, faults: list[str]) -> frozenset[Role]:
    """What an instance's `open` says; more than attest and read is never open."""
    return _roles(names, where, faults, OPEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class _References:
    """What a caller's table can name."""

    issuers: Mapping[str, TrustedIssuer]
    audience: str | None
    instances: frozenset[str]


def _issuers(tables: object, read_file: FileReader, faults: list[str]) -> dict[str, TrustedIssuer]:
    if isinstance(tables, list):
        faults.append("oidc: a list of tables, [[oidc]]; expected a table for each, by its name: [oidc.NAME]")
        return {}
    if not isinstance(tables, dict) or len(tables) > MAX_ISSUERS or not all(isinstance(each, dict) for each in tables.values()):
        faults.append(f"oidc: expected at most {MAX_ISSUERS} tables [oidc.NAME]")
        return {}
    issuers = {name: _issuer(table, f"oidc.{name}", read_file, faults) for name, table in tables.items()}
    faults += [f"oidc.{name}: {_EXPECTED}" for name in tables if not _NAME.fullmatch(name) or name.lower() in _RESERVED]
    names = [each.issuer for each in issuers.values()]
    faults += [
        f"oidc.{name}: another table has the same issuer" for name, each in issuers.items() if names.count(each.issuer) > 1
    ]
    return issuers


def _issuer(table: Mapping[str, object], where: str, read_file: FileReader, faults: list[str]) -> TrustedIssuer:
    _check_keys(table, _ISSUER, where, faults)
    issuer, audience, file = table.get("issuer"), table.get("audience"), table.get("authorities")
    parts = urlsplit(issuer) if isinstance(issuer, str) else urlsplit("")
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
        faults.append(f"{where}.issuer: {issuer!r}, expected an address like https://login.example")
    audiences = audience if isinstance(audience, list) else [audience]
    if not audiences or not all(isinstance(each, str) and each for each in audiences):
        faults.append(f"{where}.audience: {audience!r}, expected the name, or names, that its tokens have for this service")
    authorities = None if file is None else _file(str(file), f"{where}.authorities", read_file, faults)
    return TrustedIssuer(issuer=str(issuer), audiences=tuple(str(each) for each in audiences), authorities=authorities)


def _kubernetes(table: object, faults: list[str]) -> str | None:
    if table is None:
        return None
    audience = table.get("audience") if isinstance(table, dict) else None
    if not isinstance(table, dict) or table.keys() != {"audience"} or not isinstance(audience, str) or not audience:
        faults.append("kubernetes: expected a table with the audience that service account tokens have for this service")
        return ""
    return audience


def _caller(table: Mapping[str, object], where: str, references: _References, faults: list[str]) -> Grant | None:
    before = len(faults)
    _check_keys(table, _CALLER, where, faults)
    ways = [name for name in ("oidc", "service-account", "certificate") if name in table]
    if len(ways) != 1:
        faults.append(f"{where}: expected one of oidc, service-account, certificate")
        return None
    if ways[0] != "oidc" and (extra := sorted(table.keys() & {"subject", "claims"})):
        faults.append(f"{where}.{extra[0]}: only of callers known by oidc")
    who = _WAYS[ways[0]](table, where, references, faults)
    instances = _instances(table.get("instances"), where, references, faults)
    roles = _roles(table.get("roles"), f"{where}.roles", faults, frozenset(Role))
    if not roles and len(faults) == before:
        faults.append(f"{where}.roles: expected at least one of {', '.join(Role)}")
    if len(faults) > before:
        return None
    how, source, name, claims = who
    return Grant(how=how, source=source, name=name, claims=claims, instances=instances, roles=roles)


_Who = tuple[Proof, str, str | None, dict[str, str]]


def _by_oidc(table: Mapping[str, object], where: str, references: _References, faults: list[str]) -> _Who:
    source, subject, claims = table["oidc"], table.get("subject"), table.get("claims", {})
    if source not in references.issuers:
        faults.append(f"{where}.oidc: {source!r}, expected the NAME of a table [oidc.NAME]")
    if subject is None and not claims:
        faults.append(f"{where}: expected a subject, or claims: else everybody whom the issuer knows would be this caller")
    if subject is not None and (not isinstance(subject, str) or not subject):
        faults.append(f"{where}.subject: {subject!r}, expected a text")
    if not isinstance(claims, dict) or not all(isinstance(each, str) for each in claims.values()):
        faults.append(f'{where}.claims: expected a table of texts, such as {{ groups = "operators" }}')
        claims = {}
    return Proof.OIDC, str(source), None if subject is None else str(subject), claims


def _by_account(table: Mapping[str, object], where: str, references: _References, faults: list[str]) -> _Who:
    account = str(table["service-account"])
    namespace, _, name = account.partition("/")
    if not namespace or not name or "/" in name:
        faults.append(f"{where}.service-account: {account!r}, expected NAMESPACE/NAME")
    if references.audience is None:
        faults.append(f"{where}.service-account: expected a table [kubernetes] with the audience of their tokens")
    return Proof.KUBERNETES, "", account, {}


def _by_certificate(table: Mapping[str, object], where: str, references: _References, faults: list[str]) -> _Who:
    del references
    identity = str(table["certificate"])
    kind, _, name = identity.partition(":")
    if kind not in KINDS or not name:
        faults.append(f"{where}.certificate: {identity!r}, expected a name with its kind, such as uri:spiffe://… or dns:…")
    return Proof.CERTIFICATE, "", identity, {}


_WAYS = {"oidc": _by_oidc, "service-account": _by_account, "certificate": _by_certificate}


def _instances(names: object, where: str, references: _References, faults: list[str]) -> frozenset[str] | None:
    if names == [EVERY]:
        return None
    if not isinstance(names, list) or not names or not all(each in references.instances for each in names):
        faults.append(f'{where}.instances: {names!r}, expected a list of names of instances, or ["{EVERY}"]')
        return frozenset()
    return frozenset(map(str, names))


def _roles(names: object, where: str, faults: list[str], among: frozenset[Role]) -> frozenset[Role]:
    if not isinstance(names, list) or not all(isinstance(each, str) and each in among for each in names):
        expected = ", ".join(each for each in Role if each in among)
        faults.append(f"{where}: {names!r}, expected a list of {expected}")
        return frozenset()
    return frozenset(map(Role, names))


def _check_keys(table: Mapping[str, object], keys: frozenset[str], where: str, faults: list[str]) -> None:
    expected = ", ".join(sorted(keys))
    faults += [f"{where}.{name}: no such setting; expected one of {expected}" for name in sorted(table.keys() - keys)]


def _file(path: str, where: str, read_file: FileReader, faults: list[str]) -> str:
    try:
        return (read_file(path, MAX_FILE) or b"").decode("ascii")
    except (OSError, ValueError) as error:
        faults.append(f"{where}: {path}: expected a file with certificates in PEM: {error}")
        return ""
