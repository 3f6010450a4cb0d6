"""An instance's gate as its operator writes it: the names are those of the options of `donjon quote verify`."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time
from typing import TypeAlias

from donjon.attestation.acceptance import Acceptance
from donjon.collateral.status import TcbStatus
from donjon.collateral.tcbinfo import MAX_EVALUATION
from donjon.errors import Misconfigured
from donjon.kube.durations import duration
from donjon.sgx import attributes, td

_ADVISORY = re.compile(r"(?P<name>INTEL-SA-\d{5})(?:@(?P<until>\d{4}-\d{2}-\d{2}))?", re.ASCII)

Reader: TypeAlias = Callable[[object], object]


def gate(table: Mapping[str, object], where: str, faults: list[str]) -> Acceptance:
    """The gate of that table; what is wrong is added to the faults."""
    made = Acceptance()
    for name, said in table.items():
        if name not in _SETTINGS:
            faults.append(f"{where}.{name}: no such setting; expected one of {', '.join(_SETTINGS)}")
            continue
        field, read = _SETTINGS[name]
        try:
            made = replace(made, **{field: read(said)})  # type: ignore[arg-type] # Each was read by its field's own reader.
        except ValueError as error:
            faults.append(f"{where}.{name}: {said!r}, expected {error}")
        except Misconfigured as error:
            faults.append(f"{where}.{name}: {error}")
    return made


def _statuses(said: object) -> frozenset[TcbStatus]:
    names = _texts(said)
    if unknown := sorted(set(names) - set(TcbStatus)):
        raise ValueError(f"statuses among {', '.join(TcbStatus)}; {unknown[0]!r} is none")
    return frozenset({TcbStatus.UP_TO_DATE, *map(TcbStatus, names)})


def _advisories(said: object) -> Mapping[str, datetime | None]:
    found: dict[str, datetime | None] = {}
    for text in _texts(said):
        advisory = _ADVISORY.fullmatch(text)
        if advisory is None:
            raise ValueError("advisories such as INTEL-SA-00615, or INTEL-SA-00615@2027-01-31")
        found[advisory["name"]] = datetime.fromisoformat(advisory["until"]).replace(tzinfo=UTC) if advisory["until"] else None
    return found


def _texts(said: object) -> list[str]:
    if not isinstance(said, list) or not all(isinstance(each, str) for each in said):
        raise ValueError("a list of texts")
    return said


def _service_tds(said: object) -> frozenset[bytes]:
    return frozenset(map(td.service_td, _texts(said)))


def _attributes(said: object) -> int:
    return attributes.mask(_texts(said), attributes.NEW_ATTRIBUTES)


def _features(said: object) -> int:
    return attributes.mask(_texts(said), attributes.NEW_FEATURES)


def _number(said: object) -> int:
    if not isinstance(said, int) or isinstance(said, bool) or not 0 < said <= MAX_EVALUATION:
        raise ValueError("a TCB evaluation data number")
    return said


def _date(said: object) -> datetime:
    if isinstance(said, datetime):
        return said.astimezone(UTC) if said.tzinfo else said.replace(tzinfo=UTC)
    if isinstance(said, date):
        return datetime.combine(said, time(), UTC)
    raise ValueError("a date such as 2024-03-13, without quotation marks")


def _duration(said: object) -> object:
    return duration(said if isinstance(said, str) else "")


def _switch(said: object) -> bool:
    if said is True or said is False:
        return bool(said)
    raise ValueError("true or false")


def _refusing(said: object) -> bool:
    return not _switch(said)


_SETTINGS: Mapping[str, tuple[str, Reader]] = {
    "accept": ("statuses", _statuses),
    "advisory": ("advisories", _advisories),
    "min-evaluation": ("min_evaluation", _number),
    "min-tcb-date": ("min_tcb_date", _date),
    "grace": ("grace", _duration),
    "staleness": ("staleness", _duration),
    "allow-debug": ("allow_debug", _switch),
    "allow-provision-key": ("allow_provision_key", _switch),
    "allow-einittoken-key": ("allow_einittoken_key", _switch),
    "allow-sept-ve": ("allow_sept_ve", _switch),
    "allow-migratable": ("allow_migratable", _switch),
    "service-td": ("service_tds", _service_tds),
    "allow-attributes": ("allow_attributes", _attributes),
    "allow-features": ("allow_features", _features),
    "allow-mixed-evaluations": ("allow_mixed_evaluations", _switch),
    "refuse-dynamic-platform": ("allow_dynamic_platform", _refusing),
    "refuse-cached-keys": ("allow_cached_keys", _refusing),
    "refuse-smt": ("allow_smt", _refusing),
}
