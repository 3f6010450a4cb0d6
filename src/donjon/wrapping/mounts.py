"""What Kubernetes, or its user, puts into a container's file system when it starts: no hash of it can be known before.

Each is allowed on purpose, with its reason; what is encrypted or in the enclave's own memory needs no trust in the host.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from donjon.errors import Malformed
from donjon.wrapping.tree import FileTree, normal

MAX_MOUNTS = 256
DEFAULT_KEY = "default"
SEALING_KEYS = ("_sgx_mrenclave", "_sgx_mrsigner")


class MountKind(StrEnum):
    """How an enclave takes what is mounted there."""

    HOST = "allowed"  # as the host gives it
    ENCRYPTED = "encrypted"  # Gramine's encrypted files: kept from the host, and no change of theirs goes unseen
    TMPFS = "tmpfs"  # the enclave's own memory; nothing of the host's


@dataclass(frozen=True, slots=True, kw_only=True)
class EnclaveMount:
    """One place, and why it is taken so."""

    path: str
    kind: MountKind
    why: str
    key: str = ""  # of encrypted files
    is_file: bool = False


KUBERNETES: Sequence[EnclaveMount] = (
    EnclaveMount(
        path="/var/run/secrets/kubernetes.io/serviceaccount",
        kind=MountKind.HOST,
        why="the service account's token and the API server's certificate; the host gives them and could give others",
    ),
    EnclaveMount(
        path="/etc/hosts",
        kind=MountKind.HOST,
        is_file=True,
        why="the kubelet writes it for each pod; a name there is worth no more than any answer of a DNS server",
    ),
    EnclaveMount(
        path="/etc/hostname",
        kind=MountKind.HOST,
        is_file=True,
        why="the pod's name, by the kubelet",
    ),
    EnclaveMount(
        path="/etc/resolv.conf",
        kind=MountKind.HOST,
        is_file=True,
        why="the kubelet writes it; Gramine reads it, and gives the application what is well-formed of it",
    ),
    EnclaveMount(
        path="/tmp",  # noqa: S108 - the container's.
        kind=MountKind.TMPFS,
        why="scratch space, in the enclave's own memory: nothing of it reaches the host, and it counts as enclave memory",
    ),
)
"""What every pod has, and scratch space."""


def parse_mount(text: str) -> EnclaveMount:
    """`PATH[:allowed|encrypted[=KEY]|tmpfs]`; raises `Malformed` DJ392."""
    path, _, words = text.partition(":")
    word, _, key = words.partition("=")
    if not path.startswith("/") or normal(path) == "/":
        raise Malformed("DJ392", f"mount {text!r}: expected an absolute path below /, such as /etc/app:allowed")
    if (word or "allowed") not in set(MountKind) or (key and word != MountKind.ENCRYPTED) or ("=" in words and not key):
        raise Malformed("DJ392", f"mount {text!r}: expected PATH:allowed, PATH:encrypted, PATH:encrypted=KEY or PATH:tmpfs")
    kind = MountKind(word or "allowed")
    return EnclaveMount(path=normal(path), kind=kind, key=_key(kind, key), why=_WHY[kind])


def _key(kind: MountKind, name: str) -> str:
    return (name or DEFAULT_KEY) if kind is MountKind.ENCRYPTED else ""


_WHY = {
    MountKind.HOST: "you named it: the host can read and change it, so no program and no secret of the enclave belongs there",
    MountKind.ENCRYPTED: "you named it: its files are encrypted under a key that the enclave is given after attestation",
    MountKind.TMPFS: "you named it: it is empty at the start, in the enclave's own memory, and gone at the end",
}


def all_mounts(tree: FileTree, of_user: Iterable[EnclaveMount]) -> tuple[EnclaveMount, ...]:
    """Kubernetes' own and the user's, whose word wins; each at its own path and at the one that links lead to.

    Raises `Malformed` DJ392 for two kinds at one path, or too many.
    """
    by_path: dict[str, EnclaveMount] = {}
    for mount in of_user:
        if by_path.setdefault(mount.path, mount) != mount:
            raise Malformed("DJ392", f"mount {mount.path}: said twice, as {by_path[mount.path].kind} and as {mount.kind}")
    for mount in KUBERNETES:
        by_path.setdefault(mount.path, mount)
    if len(by_path) > MAX_MOUNTS:
        raise Malformed("DJ392", f"{len(by_path)} mounts, expected at most {MAX_MOUNTS}")
    return tuple(each for path in sorted(by_path) for each in _with_target(tree, by_path[path], by_path))


def _with_target(tree: FileTree, mount: EnclaveMount, others: dict[str, EnclaveMount]) -> tuple[EnclaveMount, ...]:
    """Also where links lead: /var/run is /run in most images, and it is there that a runtime mounts."""
    real = tree.resolve(mount.path)
    if real == mount.path or real in others or mount.kind is not MountKind.HOST:
        return (mount,)
    why = f"{mount.path} leads there"
    return (mount, EnclaveMount(path=real, kind=mount.kind, why=why, is_file=mount.is_file))
