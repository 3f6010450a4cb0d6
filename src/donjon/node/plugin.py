"""The device plugin of one resource as a state machine: what was seen goes in, what to do comes out.

Source: kubernetes/kubelet pkg/apis/deviceplugin/v1beta1. A kubelet that starts deletes every socket in its folder; a plugin
notices, binds again and registers again. The machine has no clock: its edge calls `look` a few times a second, and a failure
skips some looks.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

SocketIdentity = tuple[int, int, int]
"""Device, inode and change time (ns) of a socket: another one at the same path has another identity."""

MAX_SKIPPED_LOOKS = 3
DEAF_LOOKS = 6  # looks without a kubelet that listens after which we register again; doubled each time, up to 32 fold


class Phase(StrEnum):
    """How far one resource is with the kubelet."""

    IDLE = "idle"
    BINDING = "binding"
    BOUND = "bound"
    REGISTERING = "registering"
    REGISTERED = "registered"


class PluginEvent(StrEnum):
    """What happened to one resource."""

    OFFERED = "offered"
    WITHDRAWN = "withdrawn"
    DONE = "done"
    FAILED = "failed"
    SOCKET_LOST = "socket lost"
    KUBELET_NEW = "kubelet new"  # another one, or one that does not listen to us any more


class PluginAction(StrEnum):
    """What the edge has to do, and to answer with `DONE` or `FAILED` (but `CLOSE`, which needs no answer)."""

    BIND = "bind"
    REGISTER = "register"
    CLOSE = "close"


_TABLE: dict[tuple[Phase, PluginEvent], tuple[Phase, PluginAction | None]] = {
    (Phase.IDLE, PluginEvent.OFFERED): (Phase.BINDING, PluginAction.BIND),
    (Phase.BINDING, PluginEvent.DONE): (Phase.BOUND, None),
    (Phase.BINDING, PluginEvent.FAILED): (Phase.IDLE, None),
    (Phase.BOUND, PluginEvent.KUBELET_NEW): (Phase.REGISTERING, PluginAction.REGISTER),
    (Phase.BOUND, PluginEvent.SOCKET_LOST): (Phase.BINDING, PluginAction.BIND),
    (Phase.BOUND, PluginEvent.WITHDRAWN): (Phase.IDLE, PluginAction.CLOSE),
    (Phase.REGISTERING, PluginEvent.DONE): (Phase.REGISTERED, None),
    (Phase.REGISTERING, PluginEvent.FAILED): (Phase.BOUND, None),
    (Phase.REGISTERED, PluginEvent.KUBELET_NEW): (Phase.REGISTERING, PluginAction.REGISTER),
    (Phase.REGISTERED, PluginEvent.SOCKET_LOST): (Phase.BINDING, PluginAction.BIND),
    (Phase.REGISTERED, PluginEvent.WITHDRAWN): (Phase.IDLE, PluginAction.CLOSE),
}
"""What is not here changes nothing: an event that comes while an action is under way is seen again at the next look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One resource: its phase, the socket we bound, and the kubelet socket we registered at."""

    phase: Phase = Phase.IDLE
    socket: SocketIdentity | None = None
    kubelet: SocketIdentity | None = None
    skip: int = 0  # looks to let pass after a failure
    failures: int = 0
    deaf: int = 0  # looks since the kubelet stopped listening to us
    unheard: int = 0  # how often we registered again because of that


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a look at the kubelet's plugin folder shows for one resource."""

    offered: bool
    socket: SocketIdentity | None  # what stands at our socket's path
    kubelet: SocketIdentity | None  # what stands at kubelet.sock
    listening: bool  # the kubelet reads our list of devices; it never comes back by itself once it stopped


def look(endpoint: Endpoint, surroundings: Surroundings) -> tuple[Endpoint, PluginAction | None]:
    """The endpoint after a look, and what to do now."""
    if endpoint.skip:
        return replace(endpoint, skip=endpoint.skip - 1), None
    quiet = endpoint.phase is Phase.REGISTERED and not surroundings.listening
    endpoint = replace(endpoint, deaf=endpoint.deaf + 1 if quiet else 0)
    event = _event(endpoint, surroundings)
    if event is None or (endpoint.phase, event) not in _TABLE:
        return endpoint, None
    phase, action = _TABLE[endpoint.phase, event]
    kubelet = surroundings.kubelet if action is PluginAction.REGISTER else endpoint.kubelet
    return replace(endpoint, phase=phase, kubelet=kubelet), action


def after_action(endpoint: Endpoint, event: PluginEvent, *, socket: SocketIdentity | None = None) -> Endpoint:
    """The endpoint after its action was done or failed; a bind that was done brings the identity of its socket."""
    phase, _ = _TABLE[endpoint.phase, event]
    if event is PluginEvent.FAILED:
        failures = endpoint.failures + 1
        return replace(endpoint, phase=phase, kubelet=None, failures=failures, skip=min(failures, MAX_SKIPPED_LOOKS))
    if endpoint.phase is Phase.BINDING:
        return replace(endpoint, phase=phase, socket=socket, kubelet=None, unheard=0)
    return replace(endpoint, phase=phase, failures=0, deaf=0, unheard=endpoint.unheard + (endpoint.deaf > 0))


def _event(endpoint: Endpoint, surroundings: Surroundings) -> PluginEvent | None:
    """The most pressing thing that a look shows."""
    if not surroundings.offered:
        return PluginEvent.WITHDRAWN
    if endpoint.phase is Phase.IDLE:
        return PluginEvent.OFFERED
    if surroundings.socket is None or surroundings.socket != endpoint.socket:
        return PluginEvent.SOCKET_LOST
    if surroundings.kubelet is not None and surroundings.kubelet != endpoint.kubelet:
        return PluginEvent.KUBELET_NEW
    if endpoint.deaf >= DEAF_LOOKS << min(endpoint.unheard, 5):
        return PluginEvent.KUBELET_NEW
    return None
