"""A kubelet that no plugin can reach."""

from donjon.findings import Finding


def no_kubelet_socket(folder: str) -> Finding:
    """The kubelet's socket is not in that folder, where plugins register; a kubelet makes it when it starts, and never again."""
    return Finding.error(
        "DJ053",
        "kubelet",
        f"no kubelet.sock in {folder}",
        "no device can be registered, so no new pod gets one; those that run keep theirs",
        "restart the kubelet of this node (systemctl restart kubelet), which makes it anew",
    )
