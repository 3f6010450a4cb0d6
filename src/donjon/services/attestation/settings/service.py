"""What the service is told at start: by flag, else DONJON_… in the environment, else a TOML file; all faults are told at once."""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from donjon.access import tables as access
from donjon.access.roles import Proof
from donjon.access.tables import AccessSettings
from donjon.adapters import files
from donjon.adapters.keys import places
from donjon.adapters.keys.places import Place
from donjon.errors import DonjonError, Misconfigured
from donjon.formats.addresses import address_and_port
from donjon.pki import intel
from donjon.pki.intel import Anchor
from donjon.services.attestation.settings import instances
from donjon.services.attestation.settings.instances import InstanceSettings

T = TypeVar("T", bound=StrEnum)

MAX_FILE = 1 << 20  # bytes

_HASH = re.compile(r"[0-9A-Fa-f]{128}", re.ASCII)


class CacheMode(StrEnum):
    """Whether collateral that is not here is fetched: when somebody asks for it, when a platform registers, or never."""

    LAZY = "lazy"
    REQUEST = "request"
    OFFLINE = "offline"


class ClientCertificates(StrEnum):
    """Whether somebody without one is let in, where they are asked for."""

    OPTIONAL = "optional"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationSettings:
    """What `read` has made of all that was told."""

    listen: tuple[str, int]
    probes: tuple[str, int]
    tls: Path | None  # a folder with tls.crt and tls.key; `None`: plain HTTP
    client_ca: Path | None  # `None`: no client certificates are asked for
    client_certificates: ClientCertificates
    database: str
    mode: CacheMode
    upstream: str | None  # `None`: Intel's own service
    anchor: Anchor
    admin_token_hash: bytes | None  # SHA-512
    user_token_hash: bytes | None  # 〃
    moment: datetime | None  # at which collateral is judged, instead of now
    drain: float  # seconds between being told to stop and closing
    audit_keys: Place | None  # `None`: heads of the audit are unsigned
    audit_kept: timedelta | None  # `None`: records are kept for ever
    instances: tuple[InstanceSettings, ...] = ()  # none: the cache of collateral alone
    rate_limit: int  # requests a second of one address or caller; 0: any number
    connections_per_address: int = 64  # 0: as many as there is room for
    access: AccessSettings = field(default_factory=AccessSettings)


@dataclass(frozen=True, slots=True)
class Setting:
    """One of them: how its text is read (a `ValueError` says what was expected), its default, and what it is for."""

    read: Callable[[str], object]
    default: str
    help: str


def _one_of(choices: type[T]) -> Callable[[str], T]:
    def read(text: str) -> T:
        if text not in set(choices):
            raise ValueError(" or ".join(choices))
        return choices(text)

    return read


def _upstream(text: str) -> str | None:
    if not text:
        return None
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None or parts.query:
        raise ValueError("the address of a PCCS, such as https://pccs.example:8081")
    return text


def _anchor(text: str) -> Anchor:
    if not text:
        return intel.INTEL
    try:
        return intel.anchor(files.read(Path(text), MAX_FILE))
    except (OSError, DonjonError) as error:
        raise ValueError(f"a root certificate in PEM or DER: {error}") from error


def _hash(text: str) -> bytes | None:
    if text and not _HASH.fullmatch(text):
        raise ValueError("the SHA-512 of a token in 128 hexadecimal digits")
    return bytes.fromhex(text) or None


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise ValueError("a moment like 2026-01-31T00:00:00Z") from error


def _switch(text: str) -> bool:
    if text not in {"true", "false"}:
        raise ValueError("true or false")
    return text == "true"


def _seconds(text: str) -> float:
    if not re.fullmatch(r"\d{1,3}(\.\d)?", text, re.ASCII):
        raise ValueError("seconds, 0 to 999")
    return float(text)


def _count(text: str) -> int:
    if not re.fullmatch(r"\d{1,6}", text, re.ASCII):
        raise ValueError("a number, 0 to 999999")
    return int(text)


def _days(text: str) -> timedelta | None:
    if not text:
        return None
    if not re.fullmatch(r"[1-9]\d{0,4}", text, re.ASCII):
        raise ValueError("a number of days, 1 to 99999")
    return timedelta(days=int(text))


def _place(text: str) -> Place | None:
    return places.parse(text) if text else None


def _folder(text: str) -> Path | None:
    return Path(text) if text else None


SETTINGS: Mapping[str, Setting] = {
    "listen": Setting(address_and_port, "127.0.0.1:8081", "ADDRESS:PORT to serve at."),
    "probes": Setting(address_and_port, "127.0.0.1:9810", "ADDRESS:PORT of /metrics, /healthz and /readyz, without TLS."),
    "tls-dir": Setting(_folder, "", "Folder with tls.crt and tls.key; taken up again when they change."),
    "unsafe-http": Setting(_switch, "false", "true: serve without TLS."),
    "client-ca": Setting(_folder, "", "File with the authorities of client certificates, in PEM; without it none are asked for."),
    "client-certificates": Setting(_one_of(ClientCertificates), "optional", "required: let nobody in without one."),
    "database": Setting(str, "sqlite:////var/lib/donjon/attestation.db", "sqlite:///PATH, or postgresql://USER@HOST/NAME."),
    "mode": Setting(
        _one_of(CacheMode), "lazy", "lazy: fetch what is not here; request: as platforms register; offline: nothing."
    ),
    "upstream": Setting(_upstream, "", "A PCCS to fetch from; without it, Intel's own service."),
    "unsafe-trust-root": Setting(_anchor, "", "Trust this root certificate instead of Intel's."),
    "admin-token-hash": Setting(_hash, "", "SHA-512, in hexadecimal, of the administrator's token; without it there is none."),
    "user-token-hash": Setting(_hash, "", "The same of the token with which platforms register."),
    "unsafe-clock": Setting(_moment, "", "Judge collateral as of this moment, such as 2026-01-31T00:00:00Z."),
    "rate-limit": Setting(
        _count,
        "100",
        "Requests a second, of one address or caller, to instances, and to the cache for what is not here; 0: any number.",
    ),
    "connections-per-address": Setting(_count, "64", "Connections of one address at once; 0: all that there is room for."),
    "audit-keys": Setting(
        _place, "", "The keys that sign the heads of the audit, named as those of instances are; without it heads are unsigned."
    ),
    "audit-days": Setting(_days, "", "Drop audit records that are older than that many days; without it they are kept for ever."),
    "drain": Setting(_seconds, "10", "Seconds between being told to stop and closing, in which callers hear that it goes."),
}
"""Every setting by its name: `--listen`, `DONJON_LISTEN`, `listen = …`."""


def read(flags: Mapping[str, str | None], environment: Mapping[str, str], text: str) -> AttestationSettings:
    """The settings, from flags, environment and a TOML text; raises `Misconfigured` DJ500 that tells every fault."""
    faults: list[str] = []
    in_file, tables = _file(text, faults)
    values: dict[str, object] = {}
    for name, setting in SETTINGS.items():
        variable = f"DONJON_{name.replace('-', '_').upper()}"
        candidates = flags.get(name), environment.get(variable), in_file.pop(name, None)
        whence = ("--" + name, variable, f"{name} in the file")
        raw, where = next(
            ((each, source) for each, source in zip(candidates, whence, strict=True) if each is not None), (None, name)
        )
        try:
            values[name] = setting.read(setting.default if raw is None else raw)
        except ValueError as error:
            faults.append(f"{where}: {raw!r}, expected {error}")
    faults += [f"{name} in the file: no such setting" for name in in_file]
    if "tls-dir" in values and "unsafe-http" in values and (values["tls-dir"] is None) is not values["unsafe-http"]:
        faults.append("tls-dir, unsafe-http: expected a folder with a certificate, or, without TLS, --unsafe-http=true")
    faults += _of_clients(values)
    simulated = values.get("unsafe-trust-root", intel.INTEL) != intel.INTEL
    values["instances"] = instance_settings = instances.read(tables.pop("instances", {}), faults, simulated=simulated)
    if values.get("audit-keys") in {each.keys for each in instance_settings}:
        faults.append("audit-keys: the keys of an instance; expected keys of its own, which sign nothing else")
    values["access"] = access_settings = _access(tables, instance_settings, faults)
    if values.get("client-ca", ...) is None and any(each.how is Proof.CERTIFICATE for each in access_settings.access.grants):
        faults.append("callers: some are known by certificates, which are not asked for; expected --client-ca")
    faults += [f"{name} in the file: no such table" for name in tables]
    if faults:
        raise Misconfigured("DJ500", "settings: " + "; ".join(faults))
    return _build(values)


def _access(tables: dict[str, object], instances: tuple[InstanceSettings, ...], faults: list[str]) -> AccessSettings:
    own = {name: tables.pop(name) for name in access.TABLES & tables.keys()}
    return access.read(own, {each.name: each.open_roles for each in instances}, _read_file, faults)


def _read_file(path: str, bound: int) -> bytes:
    return files.read(Path(path), bound)


def _of_clients(values: Mapping[str, object]) -> list[str]:
    faults = []
    if values.get("client-certificates") is ClientCertificates.REQUIRED and values.get("client-ca", ...) is None:
        faults.append("client-certificates: required, expected their authorities in --client-ca")
    if values.get("client-ca") is not None and values.get("unsafe-http") is True:
        faults.append("client-ca: without TLS there are no client certificates")
    return faults


def _file(text: str, faults: list[str]) -> tuple[dict[str, str], dict[str, object]]:
    """The settings of a file, and its tables."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        faults.append(f"file: no TOML: {error}")
        return {}, {}
    tables: dict[str, object] = {name: value for name, value in content.items() if isinstance(value, dict | list)}
    plain = {name: value for name, value in content.items() if name not in tables}
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in plain.items()}, tables


def _build(values: Mapping[str, object]) -> AttestationSettings:
    field_names = {"tls-dir": "tls", "unsafe-trust-root": "anchor", "unsafe-clock": "moment", "audit-days": "audit_kept"}
    fields = {field_names.get(name, name.replace("-", "_")): value for name, value in values.items() if name != "unsafe-http"}
    return AttestationSettings(**fields)  # type: ignore[arg-type] # Each was read by its own reader.
