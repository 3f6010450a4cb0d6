"""The control plane: etcd, API server, controller manager and scheduler, as plain processes of the host."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from testbed import clock, processes
from testbed.layout import ETCD, ETCD_PEER, HOST_ADDRESS, PODS, SERVER, SERVICES
from testbed.trouble import Trouble

if TYPE_CHECKING:
    from testbed.layout import Layout

DAEMONS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
READY_WITHIN = 60.0


def start(layout: Layout) -> None:
    """Start what does not run yet; returns once the API server says that it is ready."""
    processes.start(layout, "etcd", [layout.program("etcd"), *_etcd(layout)])
    processes.start(layout, "kube-apiserver", [layout.program("kube-apiserver"), *_api_server(layout)])
    if not clock.wait_until(lambda: ready(layout) or not processes.running("kube-apiserver"), seconds=READY_WITHIN) or not ready(
        layout
    ):
        guilty = next((name for name in ("etcd", "kube-apiserver") if not processes.running(name)), "kube-apiserver")
        raise Trouble(
            f"the API server at {SERVER} is not ready",
            why=f"{guilty} ended" if not processes.running(guilty) else f"it did not say so within {READY_WITHIN:.0f} s",
            do="mend what the log says, then run `python -m testbed down` and `up` again",
            log=layout.logs / f"{guilty}.log",
        )
    processes.start(layout, "kube-controller-manager", [layout.program("kube-controller-manager"), *_controller_manager(layout)])
    processes.start(layout, "kube-scheduler", [layout.program("kube-scheduler"), *_scheduler(layout)])


def ready(layout: Layout) -> bool:
    """Whether the API server says that it is ready."""
    folder = layout.certificates
    try:
        context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
        context.load_cert_chain(folder / "admin.crt", folder / "admin.key")
        with urllib.request.urlopen(f"{SERVER}/readyz", context=context, timeout=5) as answer:  # noqa: S310 - the address is a constant.
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _etcd(layout: Layout) -> list[str]:
    # Not syncing to disk saves seconds; the data of a testbed need not outlive a power cut.
    return [
        "--name=testbed",
        f"--data-dir={layout.state / 'etcd'}",
        f"--listen-client-urls={ETCD}",
        f"--advertise-client-urls={ETCD}",
        f"--listen-peer-urls={ETCD_PEER}",
        f"--initial-advertise-peer-urls={ETCD_PEER}",
        f"--initial-cluster=testbed={ETCD_PEER}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def _api_server(layout: Layout) -> list[str]:
    folder = layout.certificates
    return [
        f"--etcd-servers={ETCD}",
        f"--bind-address={HOST_ADDRESS}",
        # A loopback address would be refused as the address of the service `kubernetes`.
        f"--advertise-address={HOST_ADDRESS}",
        "--secure-port=6443",
        f"--service-cluster-ip-range={SERVICES}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged",
        # Without it `kubectl logs` looks the nodes' names up in DNS.
        "--kubelet-preferred-address-types=InternalIP",
        # Webhooks and aggregated APIs are called at pod addresses, since the host has no kube-proxy.
        "--enable-aggregator-routing=true",
        f"--client-ca-file={folder / 'ca.crt'}",
        f"--tls-cert-file={folder / 'apiserver.crt'}",
        f"--tls-private-key-file={folder / 'apiserver.key'}",
        f"--kubelet-certificate-authority={folder / 'ca.crt'}",
        f"--kubelet-client-certificate={folder / 'kubelet-client.crt'}",
        f"--kubelet-client-key={folder / 'kubelet-client.key'}",
        f"--requestheader-client-ca-file={folder / 'ca.crt'}",
        # One authority signs everything here, so the front proxy is told apart by its name.
        "--requestheader-allowed-names=front-proxy",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        f"--proxy-client-cert-file={folder / 'front-proxy.crt'}",
        f"--proxy-client-key-file={folder / 'front-proxy.key'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={folder / 'service-accounts.pub'}",
        f"--service-account-signing-key-file={folder / 'service-accounts.key'}",
    ]


def _controller_manager(layout: Layout) -> list[str]:
    folder = layout.certificates
    config = folder / "controller-manager.kubeconfig"
    return [
        f"--kubeconfig={config}",
        "--leader-elect=false",
        "--secure-port=0",
        f"--cluster-cidr={PODS}",
        "--use-service-account-credentials",
        f"--root-ca-file={folder / 'ca.crt'}",
        f"--service-account-private-key-file={folder / 'service-accounts.key'}",
        f"--cluster-signing-cert-file={folder / 'ca.crt'}",
        f"--cluster-signing-key-file={folder / 'ca.key'}",
    ]


def _scheduler(layout: Layout) -> list[str]:
    config = layout.certificates / "scheduler.kubeconfig"
    return [f"--kubeconfig={config}", "--leader-elect=false", "--secure-port=0"]
