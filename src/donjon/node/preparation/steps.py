"""What is to be done on a node: steps of a few kinds that a program does, and things that a person looks at."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


class Then(StrEnum):
    """What follows a change, by the name that the script's functions and the role's handlers have for it."""

    NOTHING = "nothing"
    UDEV = "udev"
    CONTAINERD = "containerd"
    CRIO = "crio"
    K3S = "k3s"
    AESM = "aesm"
    AUTHORITIES = "authorities"
    GRUB = "grub"
    ENABLE = "enable"
    LOAD = "load"


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemGroup:
    """A group of the system is there."""

    group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """A user, where there is one of that name, is in a group."""

    user: str
    group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFile:
    """A file holds that text and no other; where another's may be in its place, that is kept beside it."""

    path: str
    text: str
    keep: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceGroup:
    """A device, where it is there, may be opened by a group."""

    path: str
    group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutableMount:
    """A mount lets programs map what is on it to be executed."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WithoutBootOption:
    """The boot loader's configuration does not have a word on the kernel's command line."""

    option: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerdOwnership:
    """containerd hands devices over to the user of a container."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageSource:
    """apt knows a source of packages; its key lies beside them, and is taken by its fingerprint."""

    uri: str
    suite: str  # empty for the machine's own release
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Packages:
    """Packages are installed."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DkmsDriver:
    """The out-of-tree driver is built for the kernel that runs, from its source in /usr/src."""

    module: str
    version: str


NodeChange: TypeAlias = (
    SystemGroup
    | Membership
    | NodeFile
    | DeviceGroup
    | ExecutableMount
    | WithoutBootOption
    | ContainerdOwnership
    | PackageSource
    | Packages
    | DkmsDriver
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStep:
    """One step; done twice it changes nothing the second time."""

    name: str  # a word, by which it is called alone
    what: str
    why: str
    change: NodeChange
    then: Then = Then.NOTHING
    ends: tuple[str, ...] = ()  # codes of doctor's findings that are gone afterwards


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalLook:
    """What no program does here."""

    what: str
    do: str
    codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePreparation:
    """All that is to be done on a node, in its order."""

    steps: tuple[NodeStep, ...]
    looks: tuple[PersonalLook, ...]
