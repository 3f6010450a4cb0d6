"""The network: one bridge on the host, a namespace and a cable for each node, and routes to every node's pods."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from testbed.commands import attempt, run
from testbed.layout import BRIDGE, HOST_ADDRESS, NODE_NETWORK, PODS
from testbed.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.layout import Node


def refuse_a_taken_network() -> None:
    """The testbed's addresses must be free: a route that somebody else has there would lead packets astray."""
    for route in json.loads(run("ip", "-json", "route", "show") or "[]"):
        taken = str(route.get("dst", ""))
        if taken.startswith(("10.87.", "10.88.")) and not str(route.get("dev", "")).startswith("donjon"):
            raise Trouble(
                f"this machine has a route to {taken} over {route.get('dev')}",
                why=f"the testbed uses {NODE_NETWORK} and {PODS}",
                do="leave that network (a VPN or another container tool) while the testbed is up",
            )


def bridge() -> None:
    """The bridge that all nodes and the API server share."""
    if attempt("ip", "link", "show", "dev", BRIDGE).returncode != 0:
        run("ip", "link", "add", BRIDGE, "type", "bridge")
    run("ip", "address", "replace", f"{HOST_ADDRESS}/24", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")


def attach(node: Node) -> None:
    """The node's network namespace, joined to the bridge; through it the host finds the pods, where webhooks are called."""
    if not connected(node):
        detach(node)
        node.network.touch()
        run("unshare", f"--net={node.network}", "true")
        run("ip", "link", "add", node.link, "type", "veth", "peer", "name", "eth0", "netns", node.network)
        run("ip", "link", "set", node.link, "master", BRIDGE, "up")
        inside = ("nsenter", f"--net={node.network}", "ip")
        run(*inside, "link", "set", "lo", "up")
        run(*inside, "address", "add", f"{node.address}/24", "dev", "eth0")
        run(*inside, "link", "set", "eth0", "up")
        run(*inside, "route", "add", "default", "via", HOST_ADDRESS)
        # /proc/sys/net shows the namespace of the process that opens it, so a shell inside writes the node's own value.
        run("nsenter", f"--net={node.network}", "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
    run("ip", "route", "replace", node.pods, "via", node.address, "dev", BRIDGE)


def route(nodes: Sequence[Node]) -> None:
    """Each node finds the pods of the others."""
    for node in nodes:
        for other in nodes:
            if other != node:
                inside = ("nsenter", f"--net={node.network}", "ip")
                run(*inside, "route", "replace", other.pods, "via", other.address, "dev", "eth0")


def connected(node: Node) -> bool:
    """Whether the node's cable is plugged in and its namespace is there."""
    if attempt("ip", "link", "show", "dev", node.link).returncode != 0:
        return False
    return attempt("nsenter", f"--net={node.network}", "ip", "link", "show", "dev", "eth0").returncode == 0


def detach(node: Node) -> None:
    """Take the node off the network; its namespace goes with its last process."""
    attempt("ip", "route", "del", node.pods)
    attempt("ip", "link", "del", node.link)
    attempt("umount", "--lazy", node.network)
    node.network.unlink(missing_ok=True)


def links() -> list[str]:
    """The names of our links on the host."""
    shown = json.loads(run("ip", "-json", "link", "show") or "[]")
    return [link["ifname"] for link in shown if str(link["ifname"]).startswith("donjon")]


def routes() -> list[str]:
    """Our routes on the host."""
    shown = json.loads(run("ip", "-json", "route", "show") or "[]")
    return [str(entry["dst"]) for entry in shown if str(entry.get("dev", "")).startswith("donjon")]


def remove() -> None:
    """Remove every link of ours; the routes over them go with them."""
    for name in links():
        attempt("ip", "link", "del", name)
