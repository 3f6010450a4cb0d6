"""Containers that end: with an error, or again and again.

A program that ends is told in whatever form the kubelet leaves it: waiting for its next start, just ended (as kubelets of 1.36
leave it between two starts), or running again since a moment ago.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from donjon.diagnosis.commands import describe, logs
from donjon.diagnosis.moments import ago, moment
from donjon.findings import Finding, Severity
from donjon.fleet.placement import amount_text
from donjon.formats.json import Json, JsonObject, at, objects
from donjon.formats.words import recite
from donjon.kube.names import EPC
from donjon.kube.objects import count, phase_of
from donjon.kube.reserved import epc_by_container

OUT_OF_BACK_OFF = timedelta(minutes=10)
"""A container that has run for so long is out of its back-off (k8s.io/kubernetes pkg/kubelet, MaxContainerBackOff)."""

_PATIENT = frozenset({"ContainerCreating", "PodInitializing"})
_BACK_OFF = "CrashLoopBackOff"
_OUT_OF_MEMORY = "OOMKilled"
_SIGNALS = 128  # what a shell, and the container runtime, add to a signal's number
_MEANINGS = {
    126: "its command cannot be executed",
    127: "its command is not in the image",
    _SIGNALS + 6: "it gave itself up (SIGABRT)",
    _SIGNALS + 9: "something killed it (SIGKILL)",
    _SIGNALS + 11: "it touched memory that is not its own (SIGSEGV)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """How a container ended last."""

    container: str
    code: int
    reason: str
    moment: datetime | None
    restarts: int
    goes_on: bool  # it runs again

    def words(self, now: datetime) -> str:
        restarts = f", restarted {self.restarts} time{'s' * (self.restarts != 1)}" if self.restarts else ""
        runs = ", and runs again" if self.goes_on else ""
        reason = f" ({recite(self.reason)})" if self.reason not in {"", "Error", "Completed"} else ""
        return f"{self.container} ended with exit code {self.code}{reason}{ago(self.moment, now)}{restarts}{runs}"


def stuck(pod: JsonObject) -> Iterator[Finding]:
    """Containers that cannot start, in the kubelet's words; those that ended before are `endings`'."""
    for status in _statuses(pod):
        reason, name = at(status, "state", "waiting", "reason"), str(at(status, "name"))
        if isinstance(reason, str) and reason not in _PATIENT and not (reason == _BACK_OFF and _last_end(status)):
            message = str(at(status, "state", "waiting", "message") or "")
            observation = f"{name} waits: {recite(reason)}{f': {recite(message)}' if message else ''}"
            do = logs(pod, name, previous=True) if reason == _BACK_OFF else describe(pod)
            yield of_container(name, observation, "the kubelet tries again by itself, as long as that stands in its way", do)


def endings(pod: JsonObject, now: datetime) -> Iterator[Finding]:
    """Containers whose program ended with an error, or ends again and again though it is to run on."""
    asks = epc_by_container(pod)
    for status in _statuses(pod):
        if (end := _end(pod, status, now)) is not None:
            why, do = _reason(end, Fraction(asks.get(end.container, 0)))
            look = logs(pod, end.container, previous=end.goes_on or at(status, "state", "terminated") is None)
            yield of_container(end.container, end.words(now), why, f"{look}{do}")


def of_container(name: str, observation: str, why: str, do: str) -> Finding:
    """The finding about a container that has a trouble of its own."""
    return Finding(
        code="DJ138",
        severity=Severity.ERROR,
        subject=f"container {name}".rstrip(),
        observation=observation,
        why=why,
        do=do,
    )


def _end(pod: JsonObject, status: JsonObject, now: datetime) -> _End | None:
    """The end to tell of; `None` where there is none, or it is as it should be."""
    state, name = at(status, "state"), str(at(status, "name"))
    over = at(state, "terminated")
    last = over if isinstance(over, dict) else _last_end(status)
    if last is None or (over is None and _is_past(at(state, "running"), now)):
        return None
    code = at(last, "exitCode")
    if code in {None, 0} and (at(state, "running") is not None or not _is_to_run_on(pod, name)):
        return None
    return _End(
        container=name,
        code=count(last, "exitCode"),
        reason=str(at(last, "reason") or ""),
        moment=moment(at(last, "finishedAt")),
        restarts=count(status, "restartCount"),
        goes_on=at(state, "running") is not None,
    )


def _last_end(status: JsonObject) -> JsonObject | None:
    last = at(status, "lastState", "terminated")
    return last if isinstance(last, dict) else None


def _is_past(running: Json, now: datetime) -> bool:
    """Whether it has run for so long that its last end is past."""
    began = moment(at(running, "startedAt"))
    return running is not None and began is not None and now - began >= OUT_OF_BACK_OFF


def _is_to_run_on(pod: JsonObject, name: str) -> bool:
    """Whether its program is not to end, not even well."""
    always = at(pod, "spec", "restartPolicy") in {None, "Always"} and phase_of(pod) == "Running"
    return always and any(at(each, "name") == name for each in objects(at(pod, "spec", "containers")))


def _reason(end: _End, epc: Fraction) -> tuple[str, str]:
    """Why it may have ended so, and what to do beside looking into its log."""
    if end.reason == _OUT_OF_MEMORY:
        return (
            "it took more memory than its limit, in which EPC does not count",
            "; then raise limits.memory, or have it take less",
        )
    if not end.code:
        return "a container of such a pod is to run on, and is started anew whenever it ends", "; its command should not return"
    meaning = _MEANINGS.get(end.code, "its program says why in its log")
    if epc:
        return (
            f"{meaning}; it was given its device, and whether it could open that, the log says",
            f"; compare its enclave's size with the {amount_text(EPC, epc)} of EPC that it asks for: donjon explain DJ138",
        )
    return meaning, ""


def _statuses(pod: JsonObject) -> Iterator[JsonObject]:
    for field in ("initContainerStatuses", "containerStatuses"):
        yield from objects(at(pod, "status", field))
