"""The cluster as a whole: up, down, and who owns the one testbed that a machine can hold."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from donjon.errors import Misconfigured
from donjon.simulation import host
from testbed import (
    binaries,
    certificates,
    cgroups,
    clock,
    control_plane,
    images,
    mounts,
    network,
    node,
    packages,
    processes,
    storage,
    sysctls,
)
from testbed.commands import attempt, run
from testbed.layout import RUN, Layout, Node
from testbed.leftovers import leftovers
from testbed.trouble import Lacking, Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

OWNER = RUN / "owner"
_BOOT = RUN / "boot"
COMPLETE = RUN / "complete"
READY_WITHIN = 60.0
MAX_NODES = 20
"""Of each kind: more is a mistake on one machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What was asked for; a field that is None keeps what is there, or is the default."""

    sgx: int | None = None
    plain: int | None = None
    machines: tuple[str, ...] | None = None
    drivers: tuple[str, ...] | None = None

    @classmethod
    def parse(cls, environment: Mapping[str, str]) -> Wish:
        """The wish in SGX_NODES, PLAIN_NODES, MACHINE and DRIVER; the last two may be lists, an entry a node."""
        return cls(
            sgx=_count(environment, "SGX_NODES"),
            plain=_count(environment, "PLAIN_NODES"),
            machines=_list(environment, "MACHINE"),
            drivers=_list(environment, "DRIVER"),
        )


def _count(environment: Mapping[str, str], name: str) -> int | None:
    text = environment.get(name, "").strip()
    if not text:
        return None
    if not text.isdecimal() or int(text) > MAX_NODES:
        raise Trouble(f"{name}={text}", why="it is the number of nodes of that kind", do=f"give a number from 0 to {MAX_NODES}")
    return int(text)


def _list(environment: Mapping[str, str], name: str) -> tuple[str, ...] | None:
    return tuple(part.strip() for part in environment.get(name, "").split(",") if part.strip()) or None


def plan(wish: Wish, present: tuple[Node, ...] = ()) -> tuple[Node, ...]:
    """The nodes to have: SGX nodes with the wished machines in turn (the last one for the rest), then ordinary ones."""
    sgx_present = [one for one in present if one.machine != "none"]
    sgx = len(sgx_present) if wish.sgx is None and present else 1 if wish.sgx is None else wish.sgx
    plain = len(present) - len(sgx_present) if wish.plain is None and present else 1 if wish.plain is None else wish.plain
    machines = wish.machines or tuple(one.machine for one in sgx_present) or ("dc2ds-v3",)
    drivers = wish.drivers or tuple(one.driver for one in sgx_present) or ("in-tree",)
    if "none" in machines:
        raise Trouble("MACHINE=none", why="it is the hardware of SGX nodes", do="ask for ordinary nodes with PLAIN_NODES")
    if sgx + plain == 0:
        raise Trouble("no nodes at all", why="SGX_NODES and PLAIN_NODES are both 0", do="ask for one node at least")
    names = [(f"sgx-{index + 1}", _turn(machines, index), _turn(drivers, index)) for index in range(sgx)]
    names += [(f"plain-{index + 1}", "none", "in-tree") for index in range(plain)]
    numbers = {
        name: index + 1 if name.startswith("sgx") else MAX_NODES + index - sgx + 1 for index, (name, _, _) in enumerate(names)
    }
    return tuple(Node(name=name, number=numbers[name], machine=machine, driver=driver) for name, machine, driver in names)


def _turn(entries: tuple[str, ...], index: int) -> str:
    return entries[min(index, len(entries) - 1)]


def up(layout: Layout, wish: Wish) -> None:
    """Bring the cluster up as wished; what runs already is left running."""
    _check_machine()
    with _alone(layout):
        packages.install()
        binaries.ensure(layout)
        began = clock.now()
        _refuse_others(layout)
        if present() and not (COMPLETE.exists() and _same_boot()):
            print("clearing what an unfinished run left …", flush=True)
            _clear(layout)
        _own(layout)
        before = nodes(layout)
        wanted = plan(wish, before)
        _check_hardware(wanted)
        for gone in (one for one in before if one.name not in {kept.name for kept in wanted}):
            print(f"removing node {gone.name}", flush=True)
            attempt(layout.program("kubectl"), "--kubeconfig", layout.kubeconfig, "delete", "node", gone.name, "--wait=false")
            storage.withdraw(layout, gone)
            node.remove(layout, gone)
        _write_nodes(layout, wanted)
        _bring_up(layout, wanted)
        COMPLETE.touch()
    machines = ", ".join(f"{one.name} ({one.machine}, {one.driver})" if one.machine != "none" else one.name for one in wanted)
    print(f"ready in {clock.now() - began:.1f} s: {machines}")
    print(f"kubeconfig: {layout.kubeconfig}")
    print(f"try: {layout.program('kubectl')} --kubeconfig {layout.kubeconfig} get nodes")


def _bring_up(layout: Layout, wanted: tuple[Node, ...]) -> None:
    sysctls.remember()
    mounts.keep_namespaces()
    images.write(layout.state / "images.tar")
    network.bridge()
    certificates.ensure(layout, wanted)
    print("starting the control plane", flush=True)
    control_plane.start(layout)
    for one in wanted:
        print(f"starting node {one.name}", flush=True)
        node.prepare(layout, one)
        node.start(layout, one)
    network.route(wanted)
    run(*_kubectl(layout), "apply", "-f", "-", stdin=_PROXY_RIGHTS)
    storage.offer(layout, wanted)
    _wait_ready(layout, wanted)
    for one in wanted:
        role = "sgx" if one.machine != "none" else "plain"
        run(*_kubectl(layout), "label", "--overwrite", "node", one.name, f"testbed.donjon.dev/kind={role}")


_PROXY_RIGHTS = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: testbed-kube-proxy}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:node-proxier"}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: "system:kube-proxy"}]
"""


def _kubectl(layout: Layout) -> tuple[str | Path, ...]:
    return (layout.program("kubectl"), "--kubeconfig", layout.kubeconfig)


def _wait_ready(layout: Layout, wanted: tuple[Node, ...]) -> None:
    """Wait until every node is Ready and every namespace has the account that pods run as."""

    def waiting() -> list[str]:
        shown = attempt(*_kubectl(layout), "get", "nodes", "-o", "json")
        items = json.loads(shown.stdout)["items"] if shown.returncode == 0 else []
        ready = {
            item["metadata"]["name"]
            for item in items
            if any(condition["type"] == "Ready" and condition["status"] == "True" for condition in item["status"]["conditions"])
            and not item["spec"].get("taints")
        }
        return [one.name for one in wanted if one.name not in ready]

    def settled() -> bool:
        return not waiting() and attempt(*_kubectl(layout), "get", "serviceaccount", "default").returncode == 0

    names = [f"{daemon}-{one.name}" for one in wanted for daemon in node.DAEMONS] + list(control_plane.DAEMONS)

    def over() -> bool:
        return settled() or not all(processes.running(name) for name in names)

    clock.wait_until(over, seconds=READY_WITHIN, every=0.2)
    for name in names:
        if not processes.running(name):
            raise Trouble(
                f"{name} ended while the nodes were becoming ready",
                why="its log says why",
                do="mend it, then run `python -m testbed down` and `up` again",
                log=layout.logs / f"{name}.log",
            )
    if not settled():
        late = waiting() or ["the control plane"]
        log = layout.logs / (f"kubelet-{late[0]}.log" if late[0] != "the control plane" else "kube-controller-manager.log")
        raise Trouble(
            f"{', '.join(late)}: not ready within {READY_WITHIN:.0f} s",
            why="the log says what is missing",
            do="mend it, then run `python -m testbed down` and `up` again",
            log=log,
        )


def down(layout: Layout) -> None:
    """Take everything away, also what a killed run left; raises when something stays."""
    _check_machine()
    with _alone(layout):
        if not present():
            print("no testbed is up")
            return
        _refuse_others(layout)
        _clear(layout)
        if rest := leftovers():
            raise Trouble(
                f"something is left: {'; '.join(rest)}",
                why="it could not be stopped or removed",
                do="run `python -m testbed down` again; if it stays, say so in an issue with these words",
            )
    print("the testbed is down; nothing is left of it")


def _clear(layout: Layout) -> None:
    """Stop and remove everything that is marked as a testbed's: the pods' processes too, whose parents are gone by then."""
    COMPLETE.unlink(missing_ok=True)
    # Killed and not asked: the API server would drain for a quarter of a minute, and all that it serves goes with it.
    # Several rounds, since a daemon may have started something between being seen and being killed.
    for _ in range(5):
        if not (running := list(processes.ours())):
            break
        processes.end(running, number=signal.SIGKILL, seconds=10)
    sysctls.restore()
    network.remove()
    mounts.unmount(RUN)
    clock.wait_until(_no_cgroups, seconds=5)
    node.remove_made()
    for folder in ("nodes", "etcd", "certificates"):
        shutil.rmtree(layout.state / folder, ignore_errors=True)
    for file in ("kubeconfig", "nodes.json", "images.tar"):
        (layout.state / file).unlink(missing_ok=True)
    shutil.rmtree(RUN, ignore_errors=True)


def _no_cgroups() -> bool:
    cgroups.remove()
    return not cgroups.folders()


def present() -> bool:
    """Whether anything of a testbed is on this machine."""
    return RUN.exists() or bool(leftovers())


def owner() -> Path | None:
    """The checkout that holds this machine's testbed."""
    try:
        return Path(OWNER.read_text().strip())
    except OSError:
        return None


def nodes(layout: Layout) -> tuple[Node, ...]:
    """The nodes of the testbed that is up."""
    try:
        return tuple(Node(**entry) for entry in json.loads((layout.state / "nodes.json").read_text()))
    except (OSError, ValueError, TypeError):
        return ()


def find(layout: Layout, name: str) -> Node:
    """The node of that name."""
    known = {one.name: one for one in nodes(layout)}
    if name not in known:
        raise Trouble(
            f"no node {name}", why=f"there are {', '.join(known) or 'none: no testbed is up'}", do="name one that is there"
        )
    return known[name]


def _write_nodes(layout: Layout, wanted: tuple[Node, ...]) -> None:
    layout.state.mkdir(parents=True, exist_ok=True)
    (layout.state / "nodes.json").write_text(json.dumps([asdict(one) for one in wanted], indent=2))


def _check_machine() -> None:
    if os.geteuid() != 0:
        raise Lacking("not root", why="network namespaces, mounts and containers need it", do="run this as root (sudo)")


def _check_hardware(wanted: tuple[Node, ...]) -> None:
    for one in wanted:
        try:
            host.host(one.machine, one.driver)
        except Misconfigured as error:
            raise Trouble(f"node {one.name}", why=error.message, do="mend MACHINE or DRIVER") from error


def _own(layout: Layout) -> None:
    """Become the one testbed of this machine; a second one is refused with the folder that holds the first."""
    _refuse_others(layout)
    if OWNER.exists():
        return
    network.refuse_a_taken_network()
    shutil.rmtree(layout.state, ignore_errors=True)
    RUN.mkdir(parents=True, exist_ok=True)
    part = RUN / f"owner.{os.getpid()}"
    part.write_text(f"{layout.checkout}\n")
    try:
        # A link is made or refused in one step, so that of two runs at the same moment one wins.
        os.link(part, OWNER)
    except FileExistsError:
        _refuse_others(layout)
    finally:
        part.unlink()
    _BOOT.write_text(_boot())


def _refuse_others(layout: Layout) -> None:
    holder = owner()
    if holder is None or holder == layout.checkout:
        return
    if _abandoned(holder):
        print(f"nothing runs of the testbed of {holder}; taking over what is left", flush=True)
        _clear(layout)
        return
    raise Trouble(
        f"a testbed from {holder} is on this machine",
        why="a machine holds one: its bridge, addresses and plugin folders are there once",
        do=f"use that one, or run `make cluster-down` in {holder}",
    )


def _abandoned(holder: Path) -> bool:
    """Whether a checkout's testbed is only remains: its folder is gone, or nothing of it runs and no command of it is at work."""
    try:
        descriptor = os.open(holder / "testbed", os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return not processes.ours()
    finally:
        os.close(descriptor)


def lives(layout: Layout) -> bool:
    """Whether this checkout's testbed is up, and not merely left by a run that was killed."""
    return owner() == layout.checkout and bool(processes.ours())


def _same_boot() -> bool:
    return _BOOT.exists() and _BOOT.read_text() == _boot()


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text()


@contextlib.contextmanager
def _alone(layout: Layout) -> Iterator[None]:
    """Two runs in one checkout wait for one another."""
    descriptor = os.open(layout.folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
