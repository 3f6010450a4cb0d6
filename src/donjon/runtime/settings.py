"""How settings are read, in every program: by flag, else DONJON_… in the environment, else a line of a TOML file.

A setting is a text until its reader has read it; a program's table has one row a setting. All that is wrong is refused at once.
Left out: what tables of a file mean, which is their program's.
"""

import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, StrEnum, auto
from pathlib import Path
from typing import Generic, TypeVar, cast

from donjon.adapters.logs import LEVELS
from donjon.errors import Misconfigured
from donjon.formats.words import nearest

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
E = TypeVar("E", bound=StrEnum)

_LONGEST = 64  # characters of a name that is looked at
_TRUE, _FALSE = frozenset({"true", "t", "yes", "y", "on", "1"}), frozenset({"false", "f", "no", "n", "off", "0"})


class SettingForm(Enum):
    """How a setting is said: one text; a flag that stands alone for true; or several texts, with commas between them."""

    ONE = auto()
    SWITCH = auto()
    SEVERAL = auto()


@dataclass(frozen=True, slots=True)
class Setting(Generic[T_co]):
    """One of them: how its text is read (a `ValueError` says what was expected), its default, and what it is for."""

    name: str
    read: Callable[[str], T_co]
    default: str | None  # `None`: it must be said
    help: str
    metavar: str = "TEXT"
    form: SettingForm = SettingForm.ONE
    secret: bool = False  # what stands there by mistake may be one: no fault shows it

    @property
    def flag(self) -> str:
        """Its option, such as --log-level."""
        return f"--{self.name}"

    @property
    def variable(self) -> str:
        """Its name in the environment, such as DONJON_LOG_LEVEL."""
        return f"DONJON_{self.name.replace('-', '_').upper()}"


@dataclass(frozen=True, slots=True)
class Values:
    """What each setting says, those excepted that could not be read; and the tables of the file."""

    _by_name: Mapping[str, object]
    tables: Mapping[str, object]

    def __contains__(self, setting: Setting[object]) -> bool:
        """Whether it could be read."""
        return setting.name in self._by_name

    def __getitem__(self, setting: Setting[T]) -> T:
        """What it says."""
        return cast("T", self._by_name[setting.name])


def read(
    table: Sequence[Setting[object]],
    flags: Mapping[str, str | None],
    environment: Mapping[str, str],
    text: str,
    faults: list[str],
    *,
    tables: Collection[str] = (),
) -> Values:
    """What the settings of that table say, by flags, environment and a TOML text that may have these tables; adds the faults."""
    content = _content(text, faults)
    if content is None:
        return Values({}, {})  # What is missing may stand in the file.
    values: dict[str, object] = {}
    for setting in table:
        where, raw = _source(setting, flags, environment, content)
        if raw is None:
            faults.append(f"{setting.name}: missing, expected {setting.flag}, {setting.variable} or a line of the file")
            continue
        try:
            values[setting.name] = setting.read(_text(setting, raw))
        except ValueError as error:
            faults.append(f"{where}: expected {error}" if setting.secret else f"{where}: {raw!r}, expected {error}")
    names = {*tables, *(setting.name for setting in table)}
    faults += [
        f"{name} in the file: no such {'table' if isinstance(value, dict | list) else 'setting'}{_near(name, names)}"
        for name, value in content.items()
        if name not in names
    ]
    return Values(values, {name: value for name, value in content.items() if name in tables})


def refuse(faults: Sequence[str]) -> None:
    """Raise `Misconfigured` DJ500 that says every fault, where there is one."""
    if faults:
        raise Misconfigured("DJ500", "settings: " + "; ".join(faults), tuple(faults))


def _near(name: str, names: Collection[str]) -> str:
    """What may have been meant, as the rest of a sentence."""
    near = nearest(name[:_LONGEST], names)
    return f"; did you mean {near}?" if near else ""


def _content(text: str, faults: list[str]) -> dict[str, object] | None:
    """What the file says: lists and tables as they are, all else as text; `None` where it is no TOML."""
    try:
        return {name: value if isinstance(value, list | dict) else _word(value) for name, value in tomllib.loads(text).items()}
    except (ValueError, RecursionError) as error:
        faults.append(f"file: no TOML: {error}")
        return None


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _source(
    setting: Setting[object], flags: Mapping[str, str | None], environment: Mapping[str, str], content: Mapping[str, object]
) -> tuple[str, object]:
    """Where it is said, and what; an empty variable says the default."""
    variable = environment.get(setting.variable)
    sources = (
        (setting.flag, flags.get(setting.name)),
        (setting.variable, setting.default if variable == "" else variable),
        (f"{setting.name} in the file", content.get(setting.name)),
    )
    return next(((where, raw) for where, raw in sources if raw is not None), (setting.name, setting.default))


def _text(setting: Setting[object], raw: object) -> str:
    """The text that it is, or that a list of the file is where the setting may be several."""
    several_allowed = setting.form is SettingForm.SEVERAL
    if isinstance(raw, str):
        return raw
    if several_allowed and isinstance(raw, list) and all(isinstance(each, str) for each in raw):
        return ",".join(raw)
    raise ValueError("a text, or a list of texts" if several_allowed else "a text")


def one_of(choices: type[E]) -> Callable[[str], E]:
    """A reader of one of these words."""

    def one(text: str) -> E:
        return choices(_among(text, choices))

    return one


def several(one: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    """A reader of texts with commas between them, each for that reader; an empty text is none of them."""
    return lambda text: tuple(one(each.strip()) for each in text.split(",")) if text else ()


def switch(text: str) -> bool:
    """Whether it is on."""
    word = text.lower()
    if word not in _TRUE | _FALSE:
        raise ValueError("true or false")
    return word in _TRUE


def seconds(most: int) -> Callable[[str], float]:
    """A reader of so many seconds at most, fractions allowed."""

    def read_seconds(text: str) -> float:
        if not re.fullmatch(r"\d{1,6}(\.\d{1,6})?", text, re.ASCII) or float(text) > most:
            raise ValueError(f"seconds, 0 to {most}")
        return float(text)

    return read_seconds


def count(least: int, most: int) -> Callable[[str], int]:
    """A reader of a number in these bounds."""

    def read_count(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or not least <= int(text) <= most:
            raise ValueError(f"a number, {least} to {most}")
        return int(text)

    return read_count


def days(text: str) -> timedelta | None:
    """So many days; an empty text: for ever."""
    if not text:
        return None
    if not re.fullmatch(r"[1-9]\d{0,4}", text, re.ASCII):
        raise ValueError("a number of days, 1 to 99999")
    return timedelta(days=int(text))


def folder(text: str) -> Path | None:
    """A path; an empty text is none."""
    return Path(text) if text else None


def _among(text: str, words: Iterable[str]) -> str:
    if text not in set(words):
        raise ValueError(" or ".join(words))
    return text


LOG_LEVEL = Setting(
    "log-level",
    lambda text: _among(text, LEVELS),
    "info",
    "The lowest level that is logged; debug includes the requests of HTTP clients.",
    metavar=f"[{'|'.join(LEVELS)}]",
)
"""Of every program."""
