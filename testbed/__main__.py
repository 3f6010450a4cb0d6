"""`python -m testbed`: the testbed's commands. `make cluster` and `make cluster-down` call `up` and `down`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from testbed import binaries, cluster, images, node, packages, processes
from testbed.layout import here
from testbed.leftovers import leftovers
from testbed.trouble import Trouble


@click.group()
def main() -> None:
    """A real Kubernetes cluster on this machine, with stand-in SGX hardware."""


@main.command()
def up() -> None:
    """Bring the cluster up (SGX_NODES, PLAIN_NODES, MACHINE, DRIVER in the environment)."""
    cluster.up(here(), cluster.Wish.parse(os.environ))


@main.command()
def down() -> None:
    """Take the cluster away; nothing stays."""
    cluster.down(here())


@main.command()
def status() -> None:
    """Say what is there; exit code 0 when the cluster is up, 1 when it is not."""
    layout = here()
    holder = cluster.owner()
    known = cluster.nodes(layout) if holder == layout.checkout else ()
    print(f"held by: {holder or 'nobody'}")
    for one in known:
        daemons = (f"{daemon}-{one.name}" for daemon in ("containerd", "kubelet", "kube-proxy"))
        states = ", ".join(f"{name} {'runs' if processes.running(name) else 'STOPPED'}" for name in daemons)
        print(f"{one.name}: {one.machine}, {one.driver}: {states}")
    rest = leftovers()
    print(f"on this machine: {len(rest)} processes, mounts, namespaces, cgroups, links, routes and folders of a testbed")
    if not known:
        for line in rest:
            print(f"    {line}")
    sys.exit(0 if known else 1)


@main.command()
@click.argument("modules", nargs=-1, type=click.Choice(list(binaries.MODULES)))
def build(modules: tuple[str, ...]) -> None:
    """Build programs without starting anything (`peers`, `admission` and `helm3` only when named)."""
    binaries.ensure(here(), modules or binaries.CLUSTER)


@main.command("packages")
def install() -> None:
    """Install the Debian packages that are missing."""
    packages.install()


@main.group("images")
def images_group() -> None:
    """Images in the nodes."""


@images_group.command("load")
@click.argument("archive", type=click.Path(path_type=Path))
def load(archive: Path) -> None:
    """Import a tar of images (OCI layout or docker save) in every node."""
    layout = here()
    known = cluster.nodes(layout)
    if not known:
        raise Trouble("no testbed is up", why="images are loaded in its nodes", do="run `python -m testbed up` first")
    images.load(layout, known, archive)


@main.command()
@click.argument("action", type=click.Choice(["restart", "stop", "start"]))
@click.argument("name")
@click.option("--wipe", is_flag=True, help="With restart: empty the device plugin folder in between.")
def kubelet(action: str, name: str, *, wipe: bool) -> None:
    """Restart, stop or start the kubelet of a node."""
    layout = here()
    one = cluster.find(layout, name)
    match action:
        case "restart":
            node.restart_kubelet(layout, one, wipe=wipe)
        case "stop":
            node.stop_kubelet(one)
        case _:
            node.start_kubelet(layout, one)


@main.command("exec", context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("command", nargs=-1, required=True)
def execute(name: str, command: tuple[str, ...]) -> None:
    """Run a command in a node's mounts and network."""
    done = node.run_in(cluster.find(here(), name), *command)
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    sys.exit(done.returncode)


if __name__ == "__main__":
    try:
        main(standalone_mode=True)
    except Trouble as trouble:
        print(f"testbed: {trouble}", file=sys.stderr)
        sys.exit(1)
