"""What an instance is told, in a table of its own of the settings' file: `[instances.NAME]`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from pathlib import Path
from urllib.parse import urlsplit

from donjon.access import tables as access
from donjon.access.roles import OPEN, Role
from donjon.access.tables import FileReader
from donjon.adapters.keys import places
from donjon.adapters.keys.places import Place
from donjon.attestation.acceptance import Acceptance
from donjon.attestation.gate import RULES, GateRule, ValueForm
from donjon.attestation.token import check_issuer
from donjon.errors import DonjonError, Misconfigured
from donjon.maa.instances import Mode, Trust
from donjon.pki import pem
from donjon.signing import signer_certificate
from donjon.signing.signer_certificate import SignerCertificate

MAX_INSTANCES = 1_000
MAX_FILE = 64 << 10  # bytes of a certificate's file

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)  # As Kubernetes names namespaces (RFC 1123).
_GATE_RULES = {each.name: each for each in RULES}
_SETTINGS = ("issuer", "keys", "simulated-issuer", "simulated-keys", "mode", "certificates", "open", "gate")


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceSettings:
    """What the settings say of one instance, read and checked."""

    name: str
    issuer: str  # under which it speaks: of simulated platforms, where the trust root is not Intel's
    keys: Place
    simulated: bool
    mode: Mode
    certificates: tuple[SignerCertificate, ...]  # the first ones
    open_roles: frozenset[Role]  # what anybody may do
    gate: Acceptance


def read(tables: object, read_file: FileReader, faults: list[str], *, simulated: bool) -> tuple[InstanceSettings, ...]:
    """The instances of that table; what is wrong is added to the faults. `simulated`: the trust root is not Intel's."""
    if isinstance(tables, list):
        faults.append("instances: a list of tables, [[instances]]; expected a table for each, by its name: [instances.NAME]")
        return ()
    if not isinstance(tables, dict) or len(tables) > MAX_INSTANCES:
        faults.append(f"instances: expected at most {MAX_INSTANCES} tables [instances.NAME]")
        return ()
    read_each = [_instance(name, table, read_file, faults, simulated=simulated) for name, table in tables.items()]
    instances = [each for each in read_each if each is not None]
    by_path: dict[str, str] = {}
    by_keys: dict[Place, str] = {}
    for each in instances:
        path = urlsplit(each.issuer).path
        if (other := by_path.setdefault(path, each.name)) != each.name:
            faults.append(f"instances.{each.name}: its issuer has the same path as that of {other}; expected one of its own")
        if (other := by_keys.setdefault(each.keys, each.name)) != each.name:  # Clients that look at no issuer would mix them up.
            faults.append(f"instances.{each.name}: its keys are those of {other}; expected keys of its own")
    return tuple(instances)


def _instance(name: str, table: object, read_file: FileReader, faults: list[str], *, simulated: bool) -> InstanceSettings | None:
    where, before = f"instances.{name}", len(faults)
    if not _NAME.fullmatch(name) or not isinstance(table, dict):
        faults.append(f"{where}: expected a table, its name of at most 63 letters a to z, digits and -")
        return None
    faults += [
        f"{where}.{other}: no such setting; expected one of {', '.join(_SETTINGS)}" for other in table if other not in _SETTINGS
    ]
    rules = table.get("gate", {})
    if not isinstance(rules, dict):
        faults.append(f"{where}.gate: expected a table")
        rules = {}
    issuer, keys = _speaks(table, "simulated-" if simulated else "", where, faults)
    mode = _mode(table, where, faults)
    certificates = _certificates(table.get("certificates", []), where, read_file, faults)
    open_roles = access.read_open_roles(table.get("open", sorted(OPEN)), f"{where}.open", faults)
    gated = gate(rules, f"{where}.gate", faults)
    if len(faults) > before:
        return None
    try:
        if certificates is not None:
            Trust(mode=mode, certificates=certificates)
    except DonjonError as error:
        faults.append(f"{where}.certificates: {error}")
    return InstanceSettings(
        name=name,
        issuer=issuer,
        keys=keys,
        simulated=simulated,
        mode=mode,
        certificates=certificates or (),
        open_roles=open_roles,
        gate=gated,
    )


def _speaks(table: Mapping[str, object], prefix: str, where: str, faults: list[str]) -> tuple[str, Place]:
    issuer, keys = _text(table, f"{prefix}issuer", where, faults), _keys(table, f"{prefix}keys", where, faults)
    other = table.get("issuer" if prefix else "simulated-issuer")
    if issuer and issuer == other:
        faults.append(f"{where}: simulated-issuer is the issuer; expected a name of its own")
    if "keys" in table and table["keys"] == table.get("simulated-keys"):
        faults.append(f"{where}: simulated-keys are the keys; expected keys of their own")
    try:
        if issuer:  # Otherwise that was told.
            check_issuer(issuer)
    except DonjonError as error:
        faults.append(f"{where}.{prefix}issuer: {error}")
    return issuer, keys


def _keys(table: Mapping[str, object], name: str, where: str, faults: list[str]) -> Place:
    text = _text(table, name, where, faults)
    try:
        return places.parse(text) if text else Path()
    except ValueError as error:
        faults.append(f"{where}.{name}: expected {error}")  # What stands there may hold a PIN.
        return Path()


def _text(table: Mapping[str, object], name: str, where: str, faults: list[str]) -> str:
    text = table.get(name)
    if isinstance(text, str) and text:
        return text
    why = "; under a trust root that is not Intel's, tokens have a name and keys of their own" if name.startswith("sim") else ""
    faults.append(f"{where}.{name}: expected a text{why}")
    return ""


def _mode(table: Mapping[str, object], where: str, faults: list[str]) -> Mode:
    mode = table.get("mode", Mode.AAD)
    if isinstance(mode, str) and mode in set(Mode):
        return Mode(mode)
    faults.append(f"{where}.mode: {mode!r}, expected {' or '.join(Mode)}")
    return Mode.AAD


def _certificates(paths: object, where: str, read_file: FileReader, faults: list[str]) -> tuple[SignerCertificate, ...] | None:
    """Those of these files; `None` where files are not looked at."""
    if not isinstance(paths, list):
        faults.append(f"{where}.certificates: expected a list of files in PEM")
        return ()
    certificates = []
    for path in paths:
        try:
            if (content := read_file(str(path), MAX_FILE)) is None:
                return None
            certificates.append(signer_certificate.parse(pem.parse(content, 1)[0]))
        except (OSError, ValueError, DonjonError) as error:
            faults.append(f"{where}.certificates: {path}: expected a file with one certificate in PEM: {error}")
    return tuple(certificates)


def gate(table: Mapping[str, object], where: str, faults: list[str]) -> Acceptance:
    """The gate of that table; what is wrong is added to the faults."""
    acceptance = Acceptance()
    for name, value in table.items():
        if name not in _GATE_RULES:
            faults.append(f"{where}.{name}: no such setting; expected one of {', '.join(_GATE_RULES)}")
            continue
        try:
            acceptance = replace(acceptance, **{_GATE_RULES[name].field: _value(_GATE_RULES[name], value)})  # type: ignore[arg-type] # Of that field.
        except ValueError as error:
            faults.append(f"{where}.{name}: {value!r}, expected {error}")
        except Misconfigured as error:
            faults.append(f"{where}.{name}: {error}")
    return acceptance


def _value(rule: GateRule, value: object) -> object:
    """What a value of TOML is to its rule."""
    match rule.form, value:
        case (ValueForm.MOMENT, datetime() as moment):
            return rule.value(moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC))
        case (ValueForm.MOMENT, date() as day):
            return rule.value(datetime.combine(day, time(), UTC))
        case (ValueForm.NUMBER, int()) if not isinstance(value, bool):
            return rule.value(value)
        case (ValueForm.SWITCH, bool()):
            return rule.value(value)
        case (ValueForm.TEXT, _):
            return rule.value(value if isinstance(value, str) else "")
        case (ValueForm.TEXTS, list() as texts) if all(isinstance(each, str) for each in texts):
            return rule.value(texts)
        case _:
            raise ValueError(rule.form)
