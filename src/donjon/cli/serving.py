"""Settings of the programs that run on and on, as options; the node agent loads it, and so none of the others' libraries."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import TypeVar

import click

from donjon.errors import Unavailable
from donjon.runtime.settings import Setting, SettingForm

S = TypeVar("S")

SettingsReader = Callable[[Mapping[str, str | None], Mapping[str, str], str], S]
"""Reads a program's settings from flags, the environment and a TOML text."""


Sources = tuple[Mapping[str, str | None], Mapping[str, str], str]
"""Flags, the environment and a TOML text: what a `SettingsReader` reads."""


def settings(table: Sequence[Setting[object]], read: SettingsReader[S]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The command with `--config` and an option for each setting of the table; it gets what `read` makes of them: `settings`."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def with_settings(*, texts: Sources, **others: object) -> None:
            command(**others, settings=read(*texts))

        return sources(table)(with_settings)

    return decorate


def sources(table: Sequence[Setting[object]]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The command with `--config` and an option for each setting of the table; it gets what was said by them, as `texts`.

    All of them are text for click: the settings' own readers say every fault at once.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def with_sources(*, config: Path | None, **others: object) -> None:
            flags = {setting.name: _text(others.pop(_parameter(setting))) for setting in table}
            command(**others, texts=(flags, os.environ, _content(config)))

        decorated: Callable[..., None] = with_sources
        for setting in reversed(table):
            decorated = _option(setting)(decorated)
        return _CONFIG(decorated)

    return decorate


_CONFIG = click.option("--config", type=click.Path(path_type=Path), envvar="DONJON_CONFIG", help="A TOML file with settings.")


def _option(setting: Setting[object]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    match setting.form:
        case SettingForm.SWITCH:
            return click.option(setting.flag, _parameter(setting), is_flag=True, default=None, help=setting.help)
        case form:
            default = "required" if setting.default is None else f"default: {setting.default or 'none'}"
            return click.option(
                setting.flag,
                _parameter(setting),
                metavar=setting.metavar,
                multiple=form is SettingForm.SEVERAL,
                help=f"{setting.help}  [{default}]",
            )


def _parameter(setting: Setting[object]) -> str:
    return setting.name.replace("-", "_")


def _text(value: object) -> str | None:
    """What an option says as its setting's text; `None` where it was not given."""
    match value:
        case True:
            return "true"
        case tuple():
            return ",".join(value) if value else None
        case str():
            return value
        case _:
            return None


def _content(config: Path | None) -> str:
    try:
        return "" if config is None else config.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Unavailable("DJ503", f"{config}: {error}") from error
