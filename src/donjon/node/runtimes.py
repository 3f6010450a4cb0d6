"""What the configuration of a container runtime says of devices: are they handed over to the user of a container.

containerd's and CRI-O's files are TOML, merged in an order of their own. What cannot be followed (a template, a file that is not
there or is no TOML, a section that versions of containerd merge differently) makes the answer unknown, never yes or no.
Sources: containerd docs/man/containerd-config.toml.5.md, docs/cri/config.md, cmd/containerd/server/config; CRI-O
docs/crio.conf.5.md, docs/crio.conf.d.5.md.
"""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

from donjon.node.readings import ContainerRuntime, Reading, RuntimeConfiguration

Toml: TypeAlias = object
Table: TypeAlias = Mapping[str, Toml]

OWNERSHIP = "device_ownership_from_security_context"
MAX_FILES = 64  # of one configuration, the imported ones with it

_MAX_WORDS = 120  # characters of what the parser says
_TEMPLATE = "{{"
_IMPORTS = "imports"


class _Unclear(Exception):
    """Why a configuration cannot be followed."""


def imports(text: str) -> tuple[str, ...]:
    """The paths and patterns of the files that a file of containerd imports; none where it cannot be read."""
    try:
        entries = _table(text).get(_IMPORTS)
    except _Unclear:
        return ()
    return tuple(entry for entry in entries if isinstance(entry, str)) if isinstance(entries, list) else ()


def device_ownership(configurations: Sequence[RuntimeConfiguration]) -> Reading[bool]:
    """Whether devices are handed over, where all runtimes that serve a kubelet here agree about it."""
    source = ", ".join(dict.fromkeys(file.source for each in configurations for file in each.files))
    answers: dict[str, bool] = {}
    try:
        for each in configurations:
            answer = _ANSWERS[each.runtime](each)
            if answer is not None:
                answers[each.files[0].source] = answer
    except _Unclear as error:
        return Reading[bool].unknown(str(error), source=source)
    if len(set(answers.values())) == 1:
        return Reading.of(next(iter(answers.values())), source=", ".join(answers))
    return Reading[bool].unknown(_disagreement(answers), source=source)


def _disagreement(answers: Mapping[str, bool]) -> str:
    if not answers:
        return "no configuration of a container runtime that serves a kubelet was found"
    statements = ", ".join(f"{path} says {str(answer).lower()}" for path, answer in answers.items())
    return f"{statements}: which of them the kubelet uses is not known"


def _containerd(of: RuntimeConfiguration) -> bool | None:
    """`None` where the plugin that serves kubelets is off."""
    tables = _tables(of)
    if any(_is_off(table, source) for source, table in tables):
        return None
    answer: bool | None = None
    for source, table in tables:
        section = _cri_section(table, source)
        if section is None:
            continue
        value = _option(section, source)
        if value is None and answer:
            raise _Unclear(
                f"{source}: it has the section in which an earlier file sets {OWNERSHIP}, and versions of containerd differ in "
                "whether it takes that section's place"
            )
        answer = answer if value is None else value
    for source, table in _parse(of.drop_ins):
        section = _cri_section(table, source)
        if section is not None and _option(section, source) not in {None, bool(answer)}:
            raise _Unclear(f"{source}: it sets {OWNERSHIP} and no file imports it, which versions of containerd do by themselves")
    return bool(answer)


def _crio(of: RuntimeConfiguration) -> bool | None:
    answer = False
    for source, table in _tables(of):
        section = _inner(_inner(table, "crio", source), "runtime", source)
        value = None if section is None else _option(section, source)
        answer = answer if value is None else value
    return answer


_ANSWERS: Mapping[ContainerRuntime, Callable[[RuntimeConfiguration], bool | None]] = MappingProxyType(
    {ContainerRuntime.CONTAINERD: _containerd, ContainerRuntime.CRIO: _crio}
)

_NEWEST = ("io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri")
_CRI_PLUGINS: Mapping[int, tuple[str, ...]] = MappingProxyType(
    {1: ("cri",), 2: ("io.containerd.grpc.v1.cri",), 3: _NEWEST, 4: _NEWEST}
)
"""The names of the plugin that serves kubelets, by the version of the file; the first is the one whose section has the option."""


def _tables(of: RuntimeConfiguration) -> list[tuple[str, Table]]:
    if of.problem:
        raise _Unclear(of.problem)
    return _parse(of.files)


def _parse(files: Sequence[Reading[str]]) -> list[tuple[str, Table]]:
    return [(file.source, _read(file)) for file in files]


def _read(file: Reading[str]) -> Table:
    if file.value is None:
        raise _Unclear(file.problem)
    try:
        return _table(file.value)
    except _Unclear as error:
        raise _Unclear(f"{file.source}: {error}") from error


def _table(text: str) -> Table:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        if _TEMPLATE in text:
            raise _Unclear("a template, which its program fills in when it starts") from error
        raise _Unclear(f"no TOML ({str(error)[:_MAX_WORDS] or type(error).__name__})") from error


def _version(table: Table, source: str) -> int:
    version = table.get("version", 1)
    if not isinstance(version, int) or version not in _CRI_PLUGINS:
        raise _Unclear(f"{source}: a version that is not known here, expected one of {', '.join(map(str, _CRI_PLUGINS))}")
    return version


def _is_off(table: Table, source: str) -> bool:
    names = table.get("disabled_plugins", [])
    return isinstance(names, list) and any(name in names for name in _CRI_PLUGINS[_version(table, source)])


def _cri_section(table: Table, source: str) -> Table | None:
    version, plugins = _version(table, source), _inner(table, "plugins", source)
    later = {names[0] for number, names in _CRI_PLUGINS.items() if number > version} - {_CRI_PLUGINS[version][0]}
    for name in sorted(later):  # containerd 2 takes the names of later versions as they are, when it reads an older file.
        section = _inner(plugins, name, source)
        if section is not None and _option(section, source) is not None:
            raise _Unclear(
                f"{source}: {name} sets {OWNERSHIP} in a file of version {version}, which versions of containerd differ in"
            )
    return _inner(plugins, _CRI_PLUGINS[version][0], source)


def _inner(table: Table | None, name: str, source: str) -> Table | None:
    section = None if table is None else table.get(name)
    if section is not None and not isinstance(section, dict):
        raise _Unclear(f"{source}: {name} is no table")
    return section


def _option(section: Table, source: str) -> bool | None:
    value = section.get(OWNERSHIP)
    if value is not None and not isinstance(value, bool):
        raise _Unclear(f"{source}: {OWNERSHIP} is neither true nor false")
    return value
