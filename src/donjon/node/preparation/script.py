"""A preparation as a POSIX shell script: what each kind of step means stands in begin.sh, what is to be done are calls of it."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields

from donjon.node.preparation.steps import (
    ContainerdOwnership,
    DeviceGroup,
    DkmsDriver,
    ExecutableMount,
    Membership,
    NodeChange,
    NodeFile,
    NodePreparation,
    NodeStep,
    Packages,
    PackageSource,
    PersonalLook,
    SystemGroup,
    WithoutBootOption,
)

_HEAD = """\
#!/bin/sh
# Prepares a node for Intel SGX. Made by donjon pool prepare, donjon {version}; --help says how to call it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShellParts:
    """What is the same in every script, before the steps and after them."""

    begin: str
    end: str


def script(preparation: NodePreparation, parts: ShellParts, version: str) -> str:
    """The script, whole."""
    head = _HEAD.format(version=version)
    steps = "".join(f"{_step(each)}\n" for each in preparation.steps)
    looks = "".join(f"{_look(each)}\n" for each in preparation.looks)
    return f"{head}{parts.begin}{steps}\n# For a person:\n{looks}{parts.end}"


def _step(step: NodeStep) -> str:
    kind, arguments = _call(step.change)
    words = (step.name, kind, str(step.then), step.what, step.why, *arguments)
    ends = f"# Ends {', '.join(step.ends)} of donjon doctor.\n" if step.ends else ""
    return f"{ends}step {' '.join(map(shlex.quote, words))}"


def _look(look: PersonalLook) -> str:
    codes = f" [{', '.join(look.codes)}]" if look.codes else ""
    return f"look {shlex.quote(look.what + codes)} {shlex.quote(look.do)}"


def _call(change: NodeChange) -> tuple[str, list[str]]:
    """The kind's name in begin.sh, and its arguments: what the change says, in its order."""
    kind = "settings" if isinstance(change, NodeFile) and change.keep else _KINDS[type(change)]
    values = [getattr(change, each.name) for each in fields(change)]
    return kind, [word for value in values for word in _words(value)]


def _words(value: str | tuple[str, ...] | bool) -> tuple[str, ...]:  # noqa: FBT001 - a field's value, whatever it is.
    match value:
        case bool():
            return ()
        case str():
            return (value,)
        case _:
            return value


_KINDS: Mapping[type[NodeChange], str] = {
    SystemGroup: "group",
    Membership: "member",
    NodeFile: "file",
    DeviceGroup: "device",
    ExecutableMount: "executable",
    WithoutBootOption: "without_option",
    ContainerdOwnership: "containerd",
    PackageSource: "source",
    Packages: "packages",
    DkmsDriver: "driver",
}
"""What begin.sh calls them: is_KIND and do_KIND."""
