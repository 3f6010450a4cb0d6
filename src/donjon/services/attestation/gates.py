"""An instance's gate as its operator writes it: the rules are those of `donjon quote verify`."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time

from donjon.attestation.acceptance import Acceptance
from donjon.attestation.gate import RULES, Form, Rule
from donjon.errors import Misconfigured

_RULES = {each.name: each for each in RULES}


def gate(table: Mapping[str, object], where: str, faults: list[str]) -> Acceptance:
    """The gate of that table; what is wrong is added to the faults."""
    made = Acceptance()
    for name, said in table.items():
        if name not in _RULES:
            faults.append(f"{where}.{name}: no such setting; expected one of {', '.join(_RULES)}")
            continue
        try:
            made = replace(made, **{_RULES[name].field: _value(_RULES[name], said)})  # type: ignore[arg-type] # Of that field.
        except ValueError as error:
            faults.append(f"{where}.{name}: {said!r}, expected {error}")
        except Misconfigured as error:
            faults.append(f"{where}.{name}: {error}")
    return made


def _value(rule: Rule, said: object) -> object:
    """What a value of TOML is to its rule."""
    match rule.form, said:
        case (Form.MOMENT, datetime() as moment):
            return rule.value(moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC))
        case (Form.MOMENT, date() as day):
            return rule.value(datetime.combine(day, time(), UTC))
        case (Form.NUMBER, int()) if not isinstance(said, bool):
            return rule.value(said)
        case (Form.SWITCH, bool()):
            return rule.value(said)
        case (Form.TEXT, _):
            return rule.value(said if isinstance(said, str) else "")
        case (Form.TEXTS, list() as texts) if all(isinstance(each, str) for each in texts):
            return rule.value(texts)
        case _:
            raise ValueError(rule.form)
