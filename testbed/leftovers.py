"""What of a testbed is on this machine: the proof that `down` leaves nothing, and the list of what a killed run left."""

from __future__ import annotations

from testbed import cgroups, mounts, network, processes
from testbed.layout import RUN


def leftovers() -> list[str]:
    """Every process, mount, namespace, cgroup, link, route and folder of a testbed, in words; empty when there is none.

    The packet filter is not on the list: kube-proxy writes its tables in the nodes' network namespaces, and they go with them.
    """
    found = [f"process {process.pid}: {words}" for process, words in processes.ours().items()]
    found += [f"mount {point}" for point in mounts.under(RUN)]
    found += [f"namespace {path}" for path in sorted((RUN / "namespaces").glob("*"))]
    found += [f"cgroup {folder}" for folder in cgroups.folders()]
    found += [f"link {name}" for name in network.links()]
    found += [f"route {route}" for route in network.routes()]
    if RUN.exists():
        found.append(f"folder {RUN}")
    return found
