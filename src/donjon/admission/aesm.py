"""Quoting through AESM, with the semantics of Intel's webhook: the socket's volume, its mounts, and SGX_AESM_ADDR.

A pod that needs the node's own AESM goes only where it answers; not so the AESM DaemonSet itself, and pods that bring one.
"""

from collections.abc import Collection, Iterator, Sequence

from donjon.admission.intent import Container, Intent, Volume
from donjon.formats.json import Json, JsonObject
from donjon.kube.names import AESM_FOLDER, AESM_PLACES, AESM_READY, AESM_VARIABLE, AESM_VOLUME, AESMD, LABEL_AESM, RUN_FOLDERS
from donjon.kube.patch import Operation, append, put

_OF_THE_NODE: JsonObject = {"name": AESM_VOLUME, "hostPath": {"path": AESM_FOLDER, "type": "DirectoryOrCreate"}}
_OF_THE_POD: JsonObject = {"name": AESM_VOLUME, "emptyDir": {"medium": "Memory"}}
_MOUNT: JsonObject = {"name": AESM_VOLUME, "mountPath": AESM_FOLDER}
_VARIABLE: JsonObject = {"name": AESM_VARIABLE, "value": "1"}


def aesm_operations(intent: Intent, wanting: Sequence[Container]) -> Iterator[Operation]:
    """What the containers that want EPC need to quote through AESM, where the pod says that they do."""
    run = frozenset(volume.name for volume in _from_the_host(intent, RUN_FOLDERS))
    volume = _volume(intent, wanting, run) if intent.quote_provider == AESMD else None
    if intent.quote_provider == AESMD:
        yield from append("/spec/volumes", intent.volume_list, [volume] if volume else [])
        for container in wanting:
            yield from _container_operations(container, run)
    by_hand = bool(_from_the_host(intent, AESM_PLACES)) or any(_has_run(container, run) for container in wanting)
    of_the_node = volume == _OF_THE_NODE or by_hand
    brings_one = any(container.name == AESMD for container in intent.containers)
    if of_the_node and not brings_one and intent.selector.get(LABEL_AESM) is None:
        yield from put((("/spec/nodeSelector", intent.selector_object),), LABEL_AESM, AESM_READY)


def _volume(intent: Intent, wanting: Sequence[Container], run: Collection[str]) -> JsonObject | None:
    """The volume that is missing: the pod's own where it brings an AESM beside others, the node's otherwise."""
    there = any(volume.name == AESM_VOLUME for volume in intent.volumes)
    if there or all(_has_socket(container, run) for container in wanting):
        return None
    beside = len(wanting) > 1 and any(container.name == AESMD for container in wanting)
    return _OF_THE_POD if beside else _OF_THE_NODE


def _from_the_host(intent: Intent, places: Sequence[str]) -> list[Volume]:
    """The volumes that are one of those places of the host."""
    return [volume for volume in intent.volumes if volume.path in places]


def _has_socket(container: Container, run: Collection[str]) -> bool:
    there = any(mount.path in AESM_PLACES for mount in container.mounts)
    return there or _has_run(container, run)


def _has_run(container: Container, run: Collection[str]) -> bool:
    """Whether it has one of those volumes, the host's `/run`, at its own place."""
    return any(mount.path in RUN_FOLDERS and mount.name in run for mount in container.mounts)


def _container_operations(container: Container, run: Collection[str]) -> Iterator[Operation]:
    mounts: list[Json] = [] if _has_socket(container, run) else [_MOUNT]
    yield from append(f"{container.here}/volumeMounts", container.mount_list, mounts)
    variables: list[Json] = [] if container.has_aesm_variable else [_VARIABLE]
    yield from append(f"{container.here}/env", container.variable_list, variables)
