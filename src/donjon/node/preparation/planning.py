"""From what a host is and what is wanted of it to what is to be done, and what is left to a person."""

from collections.abc import Callable, Iterator

from donjon.findings import codes
from donjon.node.preparation import texts
from donjon.node.preparation.looks import looks
from donjon.node.preparation.outline import HostOutline, NodeRuntime
from donjon.node.preparation.steps import (
    ContainerdOwnership,
    DeviceGroup,
    ExecutableMount,
    Membership,
    NodeFile,
    NodePreparation,
    NodeStep,
    Packages,
    SystemGroup,
    Then,
    WithoutBootOption,
)
from donjon.node.preparation.wishes import NodeWishes

_OWNERSHIP_WHY = "so that containers that do not run as root can open the devices they are given"


def prepare(host: HostOutline, wishes: NodeWishes) -> NodePreparation:
    """All steps in their order, and all looks."""
    steps = tuple(step for plan in _PLANS for step in plan(host, wishes))
    return NodePreparation(steps=steps, looks=tuple(looks(host, wishes)))


def _boot(host: HostOutline, _: NodeWishes) -> Iterator[NodeStep]:
    if codes.NOSGX in host.codes:
        yield NodeStep(
            name="nosgx",
            what="take nosgx out of the boot loader's configuration",
            why="it keeps the kernel from using SGX; it counts from the next start of the machine",
            change=WithoutBootOption(option="nosgx"),
            then=Then.GRUB,
            ends=(codes.NOSGX,),
        )


def _driver(host: HostOutline, wishes: NodeWishes) -> Iterator[NodeStep]:
    if wishes.driver is None or codes.DRIVERLESS not in host.codes or host.old is False:
        return  # The out-of-tree driver is for old kernels alone.
    yield NodeStep(
        name="driver",
        what=f"build the driver in /usr/src/{wishes.driver.module}-{wishes.driver.version} for this kernel, and each later one",
        why="this kernel has no driver of its own",
        change=wishes.driver,
        then=Then.LOAD,
        ends=(codes.DRIVERLESS,),
    )
    yield NodeStep(
        name="module",
        what="load the driver at each start",
        why="nothing else does",
        change=NodeFile(path=texts.MODULES, text=texts.MODULES_TEXT),
    )


def _devices(_: HostOutline, __: NodeWishes) -> Iterator[NodeStep]:
    for group, whom in ((texts.ENCLAVES, "may make enclaves"), (texts.PROVISIONING, "may use the provisioning key")):
        why = f"whoever {whom} without being root is in it"
        yield NodeStep(name=group, what=f"make the group {group}", why=why, change=SystemGroup(group=group))
    yield NodeStep(
        name="rules",
        what=f"have udev give the devices their groups and both names ({texts.RULES})",
        why="a device of root's alone is of no use to AESM and to pods that are in its group; older programs look under /dev/sgx",
        change=NodeFile(path=texts.RULES, text=texts.RULES_TEXT),
        then=Then.UDEV,
    )
    for name, path, group in _DEVICES:
        yield NodeStep(
            name=name,
            what=f"let the group {group} open {path}, until udev does at the next start",
            why="the rules count for devices that appear",
            change=DeviceGroup(path=path, group=group),
        )


_DEVICES = (
    ("enclave", "/dev/sgx_enclave", texts.ENCLAVES),
    ("provision", "/dev/sgx_provision", texts.PROVISIONING),
    ("dcap-enclave", "/dev/sgx/enclave", texts.ENCLAVES),
    ("dcap-provision", "/dev/sgx/provision", texts.PROVISIONING),
)


def _dev(host: HostOutline, _: NodeWishes) -> Iterator[NodeStep]:
    if codes.DEV_NOEXEC not in host.codes:
        return
    why = "mounted noexec, it keeps AESM, and containers that mount it, from mapping an enclave"
    yield NodeStep(
        name="dev-exec",
        what="mount /dev without noexec",
        why=why,
        change=ExecutableMount(path="/dev"),
        ends=(codes.DEV_NOEXEC,),
    )
    yield NodeStep(
        name="dev-exec-unit",
        what=f"do so at each start ({texts.UNIT})",
        why=why,
        change=NodeFile(path=texts.UNIT, text=texts.UNIT_TEXT),
        then=Then.ENABLE,
    )


def _runtime(host: HostOutline, wishes: NodeWishes) -> Iterator[NodeStep]:
    if wishes.runtime is None and host.ownership:
        return
    for runtime in (wishes.runtime,) if wishes.runtime else host.runtimes:
        if (step := _OWNERSHIP.get(runtime)) is not None:
            yield step


_OWNERSHIP = {
    NodeRuntime.CONTAINERD: NodeStep(
        name="containerd",
        what=f"have containerd hand devices over to containers' users ({texts.CONTAINERD}), and restart it; containers run on",
        why=_OWNERSHIP_WHY,
        change=ContainerdOwnership(path=texts.CONTAINERD),
        then=Then.CONTAINERD,
        ends=(codes.ROOT_ALONE,),
    ),
    NodeRuntime.CRIO: NodeStep(
        name="cri-o",
        what=f"have CRI-O hand devices over to containers' users ({texts.CRIO}), and restart it; containers run on",
        why=_OWNERSHIP_WHY,
        change=NodeFile(path=texts.CRIO, text=texts.CRIO_TEXT),
        then=Then.CRIO,
        ends=(codes.ROOT_ALONE,),
    ),
    NodeRuntime.K3S: NodeStep(
        name="k3s",
        what=f"have k3s hand devices over to containers' users ({texts.K3S}), and restart it; containers run on",
        why=_OWNERSHIP_WHY,
        change=NodeFile(path=texts.K3S, text=texts.K3S_TEXT),
        then=Then.K3S,
        ends=(codes.ROOT_ALONE,),
    ),
}


def _packages(_: HostOutline, wishes: NodeWishes) -> Iterator[NodeStep]:
    condition = "" if wishes.source else ", which apt must know already (else: --packages)"
    if wishes.source is not None:
        yield NodeStep(
            name="source",
            what=f"have apt know {wishes.source.uri}, by the key {wishes.source.fingerprint}",
            why="Debian and Ubuntu do not have Intel's packages",
            change=wishes.source,
        )
    if wishes.aesm:
        yield NodeStep(
            name="aesm",
            what=f"install {', '.join(texts.AESM)}{condition}",
            why="AESM makes quotes for pods that ask for them out of process",
            change=Packages(names=texts.AESM),
            ends=(codes.NO_AESM,),
        )
    if wishes.registration:
        yield NodeStep(
            name="registration",
            what=f"install {', '.join(texts.REGISTRATION)}{condition}",
            why="a machine of several sockets has no certificate for its quotes until Intel knows it",
            change=Packages(names=texts.REGISTRATION),
        )


def _aesm(_: HostOutline, __: NodeWishes) -> Iterator[NodeStep]:
    """Behind the packages, which bring that user."""
    for group in (texts.ENCLAVES, texts.PROVISIONING):
        yield NodeStep(
            name=f"aesmd-{group}".replace("_", "-"),
            what=f"put AESM's user, where there is one, into the group {group}",
            why="its enclaves need both devices",
            change=Membership(user="aesmd", group=group),
            then=Then.AESM,
        )


def _cache(_: HostOutline, wishes: NodeWishes) -> Iterator[NodeStep]:
    if wishes.authority:
        yield NodeStep(
            name="authority",
            what=f"trust who signed the cache's certificate ({texts.AUTHORITY})",
            why="the quote provider asks the cache over TLS, and takes no other certificate than one that this machine trusts",
            change=NodeFile(path=texts.AUTHORITY, text=wishes.authority),
            then=Then.AUTHORITIES,
        )
    if wishes.cache:
        yield NodeStep(
            name="cache",
            what=f"have the quote provider ask {wishes.cache} ({texts.SETTINGS})",
            why="as it is installed, it asks this machine's own port 8081",
            change=NodeFile(path=texts.SETTINGS, text=texts.settings(wishes.cache), keep=True),
            then=Then.AESM,
        )


_PLANS: tuple[Callable[[HostOutline, NodeWishes], Iterator[NodeStep]], ...] = (
    _boot,
    _driver,
    _devices,
    _dev,
    _runtime,
    _packages,
    _aesm,
    _cache,
)
