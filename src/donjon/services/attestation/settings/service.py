"""The settings of the service; those of its instances, and who may do what, are tables of its file."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from donjon.access import tables as access
from donjon.access.roles import Proof, Role
from donjon.access.tables import AccessSettings, FileReader
from donjon.adapters import files
from donjon.adapters.keys import places
from donjon.adapters.keys.places import Place
from donjon.errors import DonjonError
from donjon.formats.addresses import address_and_port
from donjon.pki import intel
from donjon.pki.intel import Anchor
from donjon.runtime import settings
from donjon.runtime.settings import LOG_LEVEL, Setting, Values, count, days, folder, one_of, seconds, switch
from donjon.services.attestation.settings import instances
from donjon.services.attestation.settings.instances import InstanceSettings

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
    drain: float  # seconds between the signal to stop and the end
    audit_keys: Place | None  # `None`: heads of the audit are unsigned
    audit_kept: timedelta | None  # `None`: records are kept for ever
    instances: tuple[InstanceSettings, ...] = ()  # none: the cache of collateral alone
    rate_limit: int  # requests a second of one address or caller; 0: any number
    connections_per_address: int = 64  # 0: as many as there is room for
    access: AccessSettings = field(default_factory=AccessSettings)
    log_level: str = "info"


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


def _place(text: str) -> Place | None:
    return places.parse(text) if text else None


SETTINGS = (
    LOG_LEVEL,
    LISTEN := Setting("listen", address_and_port, "127.0.0.1:8081", "ADDRESS:PORT to serve at."),
    PROBES := Setting(
        "probes", address_and_port, "127.0.0.1:9810", "ADDRESS:PORT of /metrics, /healthz and /readyz, without TLS."
    ),
    TLS_DIR := Setting("tls-dir", folder, "", "Folder with tls.crt and tls.key; taken up again when they change."),
    UNSAFE_HTTP := Setting("unsafe-http", switch, "false", "true: serve without TLS."),
    CLIENT_CA := Setting(
        "client-ca", folder, "", "File with the authorities of client certificates, in PEM; without it none are asked for."
    ),
    CLIENT_CERTIFICATES := Setting(
        "client-certificates", one_of(ClientCertificates), "optional", "required: refuse clients without one."
    ),
    DATABASE := Setting(
        "database",
        str,
        "sqlite:////var/lib/donjon/attestation.db",
        "sqlite:///PATH, or postgresql://USER@HOST/NAME.",
        secret=True,
    ),
    MODE := Setting(
        "mode",
        one_of(CacheMode),
        "lazy",
        "lazy: fetch what is missing when it is asked for; request: when platforms register; offline: never.",
    ),
    UPSTREAM := Setting("upstream", _upstream, "", "A PCCS to fetch from; without it, Intel's own service.", secret=True),
    UNSAFE_TRUST_ROOT := Setting("unsafe-trust-root", _anchor, "", "Trust this root certificate instead of Intel's."),
    ADMIN_TOKEN_HASH := Setting(
        "admin-token-hash",
        _hash,
        "",
        "SHA-512, in hexadecimal, of the administrator's token; without it there is none.",
        secret=True,
    ),
    USER_TOKEN_HASH := Setting(
        "user-token-hash", _hash, "", "SHA-512, in hexadecimal, of the token with which platforms register.", secret=True
    ),
    UNSAFE_CLOCK := Setting("unsafe-clock", _moment, "", "Judge collateral as of this moment, such as 2026-01-31T00:00:00Z."),
    RATE_LIMIT := Setting(
        "rate-limit",
        count(0, 999_999),
        "100",
        "Requests a second, of one address or caller, to instances, and to the cache for what it does not hold; 0: no limit.",
    ),
    CONNECTIONS_PER_ADDRESS := Setting(
        "connections-per-address",
        count(0, 999_999),
        "64",
        "Connections of one address at once; 0: no limit but that of all.",
    ),
    AUDIT_KEYS := Setting(
        "audit-keys",
        _place,
        "",
        "The keys that sign the heads of the audit, named as those of instances are; without it heads are unsigned.",
        secret=True,
    ),
    AUDIT_DAYS := Setting(
        "audit-days", days, "", "Drop audit records that are older than that many days; without it they are kept for ever."
    ),
    DRAIN := Setting(
        "drain", seconds(999), "10", "Seconds between the signal to stop and the end, in which callers still get answers."
    ),
)
"""Every setting by its name: `--listen`, `DONJON_LISTEN`, `listen = …`."""

_TABLES = frozenset({"instances", *access.TABLES})
_TRANSPORT = "expected a folder with a certificate, or, without TLS, --unsafe-http=true"


def read(flags: Mapping[str, str | None], environment: Mapping[str, str], text: str) -> AttestationSettings:
    """The settings, from flags, environment and a TOML text; raises `Misconfigured` DJ500 that tells every fault."""
    faults: list[str] = []
    values = settings.read(SETTINGS, flags, environment, text, faults, tables=_TABLES)
    if TLS_DIR in values and UNSAFE_HTTP in values and values[TLS_DIR] is None and not values[UNSAFE_HTTP]:
        faults.append(f"tls-dir, unsafe-http: {_TRANSPORT}")
    simulated = UNSAFE_TRUST_ROOT in values and values[UNSAFE_TRUST_ROOT] != intel.INTEL
    instance_settings, access_settings = _read_tables(values, _read_file, faults, simulated=simulated)
    settings.refuse(faults)
    return AttestationSettings(
        listen=values[LISTEN],
        probes=values[PROBES],
        tls=values[TLS_DIR],
        client_ca=values[CLIENT_CA],
        client_certificates=values[CLIENT_CERTIFICATES],
        database=values[DATABASE],
        mode=values[MODE],
        upstream=values[UPSTREAM],
        anchor=values[UNSAFE_TRUST_ROOT],
        admin_token_hash=values[ADMIN_TOKEN_HASH],
        user_token_hash=values[USER_TOKEN_HASH],
        moment=values[UNSAFE_CLOCK],
        drain=values[DRAIN],
        audit_keys=values[AUDIT_KEYS],
        audit_kept=values[AUDIT_DAYS],
        instances=instance_settings,
        rate_limit=values[RATE_LIMIT],
        connections_per_address=values[CONNECTIONS_PER_ADDRESS],
        access=access_settings,
        log_level=values[LOG_LEVEL],
    )


def read_text_alone(flags: Mapping[str, str | None], environment: Mapping[str, str], text: str) -> tuple[str, ...]:
    """What the settings name, none of which is looked at; raises `Misconfigured` DJ500 that tells every fault of their text.

    For a text that is for another machine. Who starts the service there may say by options what the text leaves out.
    """
    faults: list[str] = []
    names: list[str] = []

    def pass_by(path: str, _: int) -> None:
        names.append(path)

    root = Setting(UNSAFE_TRUST_ROOT.name, str, UNSAFE_TRUST_ROOT.default, UNSAFE_TRUST_ROOT.help)
    rows = tuple(root if each is UNSAFE_TRUST_ROOT else each for each in SETTINGS)
    values = settings.read(rows, flags, environment, text, faults, tables=_TABLES)
    instance_settings, _ = _read_tables(values, pass_by, faults, simulated=root in values and bool(values[root]))
    settings.refuse(faults)
    places = (values[TLS_DIR], values[CLIENT_CA], values[root], values[AUDIT_KEYS], *(each.keys for each in instance_settings))
    return (*(str(each) for each in places if each), *names, "the database")


def _read_tables(
    values: Values, read_file: FileReader, faults: list[str], *, simulated: bool
) -> tuple[tuple[InstanceSettings, ...], AccessSettings]:
    """What the tables say; adds what is wrong with them and between all settings to the faults."""
    faults += _of_tls(values)
    instance_settings = instances.read(values.tables.get("instances", {}), read_file, faults, simulated=simulated)
    table = values.tables.get("instances")
    names = table if isinstance(table, dict) else ()  # Also of those that have faults of their own.
    roles = dict.fromkeys(names, frozenset[Role]()) | {each.name: each.open_roles for each in instance_settings}
    access_settings = access.read(values.tables, roles, read_file, faults)
    faults += _between(values, instance_settings, access_settings)
    return instance_settings, access_settings


def _read_file(path: str, bound: int) -> bytes:
    return files.read(Path(path), bound)


def _of_tls(values: Values) -> list[str]:
    """What is wrong between the settings of who connects and how."""
    faults = []
    if TLS_DIR in values and UNSAFE_HTTP in values and values[TLS_DIR] is not None and values[UNSAFE_HTTP]:
        faults.append(f"tls-dir, unsafe-http: {_TRANSPORT}")
    if CLIENT_CA not in values:
        return faults
    required = CLIENT_CERTIFICATES in values and values[CLIENT_CERTIFICATES] is ClientCertificates.REQUIRED
    if required and values[CLIENT_CA] is None:
        faults.append("client-certificates: required, expected their authorities in --client-ca")
    if values[CLIENT_CA] is not None and UNSAFE_HTTP in values and values[UNSAFE_HTTP]:
        faults.append("client-ca: without TLS there are no client certificates")
    return faults


def _between(values: Values, instance_settings: tuple[InstanceSettings, ...], access_settings: AccessSettings) -> list[str]:
    """What is wrong between the settings and the tables."""
    faults = []
    if AUDIT_KEYS in values and values[AUDIT_KEYS] in {each.keys for each in instance_settings}:
        faults.append("audit-keys: the keys of an instance; expected keys of its own, which sign nothing else")
    by_certificate = any(each.how is Proof.CERTIFICATE for each in access_settings.access.grants)
    if by_certificate and CLIENT_CA in values and values[CLIENT_CA] is None:
        faults.append("callers: some are known by certificates, which are not asked for; expected --client-ca")
    return faults
