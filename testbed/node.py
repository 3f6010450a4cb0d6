"""One node: its namespaces, its folders, containerd, kubelet and kube-proxy, and what tests do to them.

A node has a mount namespace of its own, because the kubelet's plugin folder and others are hard-wired: each node sees its own
folders at the usual paths, so that what is written for an ordinary node holds here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from donjon.simulation import host
from testbed import cgroups, clock, images, mounts, network, processes
from testbed.commands import attempt, run
from testbed.layout import HOST_ROOT, KUBELET, PODS, RUN, VOLUMES
from testbed.trouble import Trouble

if TYPE_CHECKING:
    import subprocess

    from testbed.layout import Layout, Node

DAEMONS = ("containerd", "kubelet", "kube-proxy")
_RESOURCE = 1 << 24
"""CAP_SYS_RESOURCE (linux/capability.h)."""
_MADE = RUN / "made"
"""The folders of the host that had to be made so that something could be mounted there: `down` takes them away again."""


def prepare(layout: Layout, node: Node) -> None:
    """Everything a node's daemons need before they start; whatever is there already is left alone."""
    folder = node.folder(layout)
    for name in ("kubelet", "log", "cni", "host", "volumes"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    node.runtime.mkdir(parents=True, exist_ok=True)
    network.attach(node)
    cgroups.make(node.cgroup)
    (folder / "cni.d").mkdir(exist_ok=True)
    files = {
        "cni.d/10-testbed.conflist": json.dumps(_cni(layout, node), indent=2),
        "containerd.toml": _containerd(layout, node),
        "kubelet.json": json.dumps(_kubelet(layout, node), indent=2),
        "proxy.json": json.dumps(_proxy(layout, node), indent=2),
        "resolv.conf": "# The testbed has no name server.\n",
    }
    for name, text in files.items():
        # kube-proxy ends when somebody writes to its configuration, be it the same words.
        if not (folder / name).exists() or (folder / name).read_text() != text:
            (folder / name).write_text(text)
    write_tree(layout, node)
    _mount(layout, node)


def write_tree(layout: Layout, node: Node, *, anew: bool = False) -> None:
    """The node's stand-in hardware; a tree of the same machine and driver only gets its devices back, unless wanted anew."""
    wanted = f"{node.machine} {node.driver}"
    note = node.folder(layout) / "hardware"
    described = describe(layout, node)
    if not anew and note.exists() and note.read_text() == wanted:
        if described.driver is not None:
            host.return_devices(node.tree(layout), described.driver)
        return
    host.write_host(node.tree(layout), described)
    note.write_text(wanted)


def describe(layout: Layout, node: Node) -> host.Host:
    """The host that the node pretends to be; its containerd configuration is the real one of this node."""
    return dataclasses.replace(host.host(node.machine, node.driver), containerd=_containerd(layout, node))


def _mount(layout: Layout, node: Node) -> None:
    """The node's mount namespace, kept by a file."""
    if attempt("nsenter", f"--mount={node.mounts}", "true").returncode == 0:
        return
    attempt("umount", "--lazy", node.mounts)
    binds = {
        KUBELET: node.folder(layout) / "kubelet",
        Path("/var/log"): node.folder(layout) / "log",
        Path("/var/lib/cni"): node.folder(layout) / "cni",
        Path("/run/containerd"): node.runtime,
        HOST_ROOT: node.tree(layout),
        VOLUMES: node.folder(layout) / "volumes",
    }
    for point in binds:
        _make_point(point)
    node.mounts.touch()
    script = " && ".join(f"mount --bind '{source}' '{point}'" for point, source in binds.items())
    # Shared again inside, so that a kubelet's mounts reach containers that ask for it.
    run("unshare", f"--mount={node.mounts}", "--propagation", "slave", "sh", "-c", f"{script} && mount --make-rshared /")


def _make_point(point: Path) -> None:
    missing = [folder for folder in (point, *point.parents) if not folder.exists()]
    with _MADE.open("a") as stream:
        stream.writelines(f"{folder}\n" for folder in missing if not folder.is_relative_to(RUN))
    point.mkdir(parents=True, exist_ok=True)


def remove_made() -> None:
    """Take away the folders that were made on the host to be mounted over; one that holds something now stays."""
    if _MADE.exists():
        for line in sorted(set(_MADE.read_text().splitlines()), key=len, reverse=True):
            with contextlib.suppress(OSError):
                Path(line).rmdir()


def start(layout: Layout, node: Node) -> None:
    """Start containerd and load the images, then kubelet and kube-proxy."""
    folder = node.folder(layout)
    if not processes.running(f"containerd-{node.name}"):
        node.containerd.unlink(missing_ok=True)
    command: list[str | Path] = [layout.program("containerd"), "--config", folder / "containerd.toml"]
    processes.start(layout, f"containerd-{node.name}", command, enter=_enter(node))
    ctr = (layout.program("ctr"), "--address", node.containerd, "--connect-timeout", "1s", "version")
    answered = clock.wait_until(lambda: node.containerd.exists() and attempt(*ctr).returncode == 0, seconds=20)
    if not answered:
        raise Trouble(
            f"containerd of {node.name} does not answer at {node.containerd}",
            why="it ended, or it is very slow",
            do="mend what the log says, then run `python -m testbed down` and `up` again",
            log=layout.logs / f"containerd-{node.name}.log",
        )
    images.load(layout, [node], layout.state / "images.tar")
    start_kubelet(layout, node)
    proxy: list[str | Path] = [layout.program("kube-proxy"), f"--config={folder / 'proxy.json'}"]
    processes.start(layout, f"kube-proxy-{node.name}", proxy, enter=_enter(node))


def start_kubelet(layout: Layout, node: Node) -> None:
    """Start the node's kubelet, unless it runs."""
    command: list[str | Path] = [
        layout.program("kubelet"),
        f"--config={node.folder(layout) / 'kubelet.json'}",
        f"--kubeconfig={layout.certificates / f'{node.name}.kubeconfig'}",
        f"--root-dir={KUBELET}",
        f"--hostname-override={node.name}",
        f"--node-ip={node.address}",
    ]
    processes.start(layout, f"kubelet-{node.name}", command, enter=_enter(node))


def stop_kubelet(node: Node, *, number: signal.Signals = signal.SIGTERM) -> None:
    """Stop the node's kubelet; its pods go on running."""
    processes.kill(f"kubelet-{node.name}", number=number)


def restart_kubelet(layout: Layout, node: Node, *, wipe: bool = False) -> None:
    """Stop the kubelet and start it again; `wipe` empties its device plugin folder in between, sockets and checkpoint alike."""
    stop_kubelet(node)
    if wipe:
        wipe_plugins(layout, node)
    start_kubelet(layout, node)


def wipe_plugins(layout: Layout, node: Node) -> None:
    """Empty the kubelet's device plugin folder; the folder itself stays."""
    for path in node.plugins(layout).glob("*"):
        path.unlink(missing_ok=True)


def run_in(node: Node, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command as the node sees the world: its mounts and its network."""
    return attempt(*_enter(node), *command)


def remove(layout: Layout, node: Node) -> None:
    """Take one node away: daemons, pods, network, data."""
    for daemon in ("kubelet", "kube-proxy", "containerd"):
        processes.kill(f"{daemon}-{node.name}", number=signal.SIGTERM, seconds=5)
    contained = [process for process in processes.ours() if _within(process.pid, node)]
    processes.end(contained, number=signal.SIGKILL)
    mounts.unmount(node.mounts, node.network)
    network.detach(node)
    node.mounts.unlink(missing_ok=True)
    cgroups.remove(node.cgroup)
    shutil.rmtree(node.runtime, ignore_errors=True)
    shutil.rmtree(node.folder(layout), ignore_errors=True)


def _within(pid: int, node: Node) -> bool:
    """Whether a process is in the node's pods, or is a shim of its containerd, which its mount namespace tells."""
    try:
        if f"{node.cgroup}/" in Path(f"/proc/{pid}/cgroup").read_text():
            return True
        mounted = (line.split() for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines())
        return any(fields[4] == "/run/containerd" and fields[3].endswith(f"/nodes/{node.name}") for fields in mounted)
    except OSError:
        return False


def _enter(node: Node) -> tuple[str, ...]:
    # Not `ip netns exec`: it mounts /sys anew, and the kubelet finds no cgroups there.
    return ("nsenter", f"--mount={node.mounts}", f"--net={node.network}", "--")


def _containerd(layout: Layout, node: Node) -> str:
    folder = node.folder(layout)
    runtime, cri_images = 'plugins."io.containerd.cri.v1.runtime"', 'plugins."io.containerd.cri.v1.images"'
    return f"""\
version = 3
root = "{folder / ".containerd"}"
state = "/run/containerd"
# The plugin `opt` would make a folder in the host's /opt.
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]

[grpc]
address = "/run/containerd/containerd.sock"

[ttrpc]
address = "/run/containerd/containerd.sock.ttrpc"

[{cri_images}.pinned_images]
sandbox = "{images.PAUSE}"

# A test's own registry has a folder of its name there, with a hosts.toml; it is read at each pull.
[{cri_images}.registry]
config_path = "{layout.state / "registries"}"

[{runtime}]
restrict_oom_score_adj = true
disable_apparmor = true
# A container that runs as another user gets its devices as that user's (enclaves that are not root's).
device_ownership_from_security_context = true
# Network namespaces of pods are kept with this node's state, so that they go with it.
netns_mounts_under_state_dir = true

[{runtime}.cni]
bin_dirs = ["/usr/lib/cni"]
conf_dir = "{folder / "cni.d"}"

[{runtime}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[{runtime}.containerd.runtimes.runc.options]
SystemdCgroup = false
"""


def _cni(layout: Layout, node: Node) -> dict[str, object]:
    leases = {
        "type": "host-local",
        "dataDir": str(node.folder(layout) / "cni"),
        "routes": [{"dst": "0.0.0.0/0"}],
        "ranges": [[{"subnet": node.pods}]],
    }
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "hairpinMode": True, "ipam": leases}
    return {"cniVersion": "1.0.0", "name": "testbed", "plugins": [bridge]}


def _kubelet(layout: Layout, node: Node) -> dict[str, object]:
    folder = layout.certificates
    settings: dict[str, object] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(folder / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(folder / f"{node.name}.crt"),
        "tlsPrivateKeyFile": str(folder / f"{node.name}.key"),
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": node.cgroup,
        "failCgroupV1": False,
        "failSwapOn": False,
        # The health of devices reaches the node's status with this loop only; the usual 10 s would hide what tests wait for.
        "nodeStatusUpdateFrequency": "2s",
        "enforceNodeAllocatable": [],
        "evictionHard": {},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "podLogsDir": "/var/log/pods",
        "volumePluginDir": str(KUBELET / "volume-plugins"),
        "makeIPTablesUtilChains": False,
        "registerNode": True,
        # There is no name server: a lookup is refused at once instead of waiting, and the kubelet does not warn at every pod.
        "clusterDNS": ["127.0.0.1"],
        "clusterDomain": "cluster.local",
        "resolvConf": str(node.folder(layout) / "resolv.conf"),
    }

    if not _may_raise_limits():
        # Without CAP_SYS_RESOURCE nobody may lower an oom_score_adj, and only this gate makes the kubelet bear it.
        settings["featureGates"] = {"KubeletInUserNamespace": True}
    return settings


def _may_raise_limits() -> bool:
    status = Path("/proc/self/status").read_text()
    effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective, 16) & _RESOURCE)


def _proxy(layout: Layout, node: Node) -> dict[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "hostnameOverride": node.name,
        "clusterCIDR": PODS,
        "clientConnection": {"kubeconfig": str(layout.certificates / "proxy.kubeconfig")},
        # The answer of a pod on the same bridge would otherwise reach the asker directly, from an address it never called.
        "nftables": {"masqueradeAll": True},
        # The machine's own limits of connection tracking are not the testbed's to change.
        "conntrack": {"maxPerCore": 0, "min": 0},
    }
