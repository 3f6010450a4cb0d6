"""Containers that end: with an error, or again and again.

A program that ends is told in whatever form the kubelet leaves it: waiting for its next start, just ended (as kubelets of 1.36
leave it between two starts), or running again since a moment ago.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from donjon.diagnosis.commands import change, describe, logs, make_absent
from donjon.diagnosis.moments import ago, moment, moment_of
from donjon.findings import Finding, Severity
from donjon.fleet.placement import amount_text
from donjon.formats.json import Json, JsonObject, at, objects
from donjon.formats.words import recite
from donjon.kube.names import EPC
from donjon.kube.objects import count, owners_of, phase_of
from donjon.kube.reserved import epc_by_container

OUT_OF_BACK_OFF = timedelta(minutes=10)
"""A container that has run for so long is out of its back-off (k8s.io/kubernetes pkg/kubelet, MaxContainerBackOff)."""

_PATIENT = frozenset({"ContainerCreating", "PodInitializing"})
_BACK_OFF = "CrashLoopBackOff"
_OUT_OF_MEMORY = "OOMKilled"
_NEVER_RAN = frozenset({"StartError", "ContainerCannotRun"})
"""Reasons of an end without a beginning (containerd internal/cri/server; ContainerCannotRun is cri-dockerd's)."""
_NO_START = 128
"""The exit code that a runtime writes for a program that it could not start, with a message of its own."""
_FRAME = re.compile(
    r"(?:(?:failed to (?:create|start) [a-z ]{1,60}|OCI runtime \w+ failed|runc \w+ failed|unable to start container process"
    r"|error during container init|container_linux\.go:\d+): )+"
)
"""What containerd and runc write before the words of whatever failed."""
_OF_IMAGES = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_DENIAL = re.compile(r"unauthorized|denied|authorization failed|\b40[13]\b", re.IGNORECASE)
_OF_COMMAND = re.compile(r"\bexec: |no command specified")
_KEY = re.compile(r"couldn't find key (?P<key>[-._a-zA-Z0-9]{1,253}) in (?P<kind>ConfigMap|Secret) (?P<name>[-a-z0-9./]+)")
"""k8s.io/kubernetes pkg/kubelet, of what a container's environment is made from."""
_OF_PROBE = re.compile(r"(?P<probe>Liveness|Startup) probe (?:failed|errored)")
"""k8s.io/kubernetes pkg/kubelet/prober: the probes for which the kubelet ends a container."""
_KILLED = frozenset({137, 143})  # SIGKILL and SIGTERM
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
    message: str  # the runtime's, or the program's own

    @property
    def never_ran(self) -> bool:
        """Whether the runtime could not start its program at all."""
        return self.reason in _NEVER_RAN or (self.code == _NO_START and bool(self.message))

    def words(self, now: datetime) -> str:
        if self.never_ran:
            message = recite(_FRAME.sub("", self.message)) or f"{recite(self.reason)}, without a word why"
            return f"{self.container} could not be started{ago(self.moment, now)}: {message}"
        restarts = f", restarted {self.restarts} time{'s' * (self.restarts != 1)}" if self.restarts else ""
        runs = ", and runs again" if self.goes_on else ""
        reason = f" ({recite(self.reason)})" if self.reason not in {"", "Error", "Completed"} else ""
        return f"{self.container} ended with exit code {self.code}{reason}{ago(self.moment, now)}{restarts}{runs}"


def stuck(pod: JsonObject, now: datetime) -> Iterator[Finding]:
    """Containers that cannot start, in the kubelet's or the runtime's words; those that ran and ended are `endings`'."""
    for status in _statuses(pod):
        reason, name = at(status, "state", "waiting", "reason"), str(at(status, "name"))
        message = _FRAME.sub("", str(at(status, "state", "waiting", "message") or ""))
        end = _end(pod, status, now)
        if isinstance(reason, str) and reason not in _PATIENT and not (reason == _BACK_OFF and _last_end(status)):
            observation = f"{name} waits: {recite(reason)}{f': {recite(message)}' if message else ''}"
            do = logs(pod, name, previous=True) if reason == _BACK_OFF else _mend(pod, reason, message)
            yield of_container(name, observation, "the kubelet tries again by itself, as long as that stands in its way", do)
        elif end is not None and end.never_ran and not end.goes_on:
            yield of_container(
                name,
                end.words(now),
                "its program never ran, so it has no log, and neither its device nor its EPC has a part in it",
                _mend(pod, end.reason, end.message),
            )


def endings(pod: JsonObject, now: datetime, events: Sequence[JsonObject] = ()) -> Iterator[Finding]:
    """Containers whose program ended with an error, or ends again and again though it is to run on."""
    asks = epc_by_container(pod)
    for status in _statuses(pod):
        end = _end(pod, status, now)
        if end is None or end.never_ran:
            continue
        look = logs(pod, end.container, previous=end.goes_on or at(status, "state", "terminated") is None)
        if (refusal := _refusal(pod, end, events)) is not None:
            yield _by_probe(pod, end, refusal, look, now)
        else:
            why, do = _reason(end, asks)
            yield of_container(end.container, end.words(now), why, f"{look}{do}")


def refusals(pod: JsonObject, now: datetime, events: Sequence[JsonObject]) -> tuple[JsonObject, ...]:
    """The events of probes that `endings` tells as the causes of ends."""
    ends = (_end(pod, status, now) for status in _statuses(pod))
    return tuple(refusal for end in ends if end is not None and (refusal := _refusal(pod, end, events)) is not None)


def never_ran(pod: JsonObject, now: datetime) -> bool:
    """Whether no program of it has run yet: of all its containers the runtime started none."""
    ends = [_end(pod, status, now) for status in _statuses(pod)]
    return bool(ends) and all(end is not None and end.never_ran and not end.goes_on for end in ends)


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


def _mend(pod: JsonObject, reason: str, message: str) -> str:
    """What the reader does about a container that cannot start."""
    if reason in _OF_IMAGES:
        step = (
            "the registry asks who wants it: give the pod imagePullSecrets, or correct the image's name"
            if _DENIAL.search(message)
            else "correct the image's name; where its registry is private, give the pod imagePullSecrets"
        )
    elif absent := make_absent(pod, message, "kubelet"):
        return absent
    elif key := _KEY.search(message):
        return f"write the key {key['key']} into the {key['kind'].lower()} {key['name']}; the kubelet tries again by itself"
    elif "runAsNonRoot" in message:
        step = "give the container securityContext.runAsUser with a number other than 0, or take an image with such a USER"
    elif reason in _NEVER_RAN or _OF_COMMAND.search(message):
        step = "mend the container's command or its image, as the message says"
    else:
        return f"mend what the message names; {describe(pod)}"
    in_place = "an image alone is changed in place by kubectl apply; else " if reason in _OF_IMAGES and not owners_of(pod) else ""
    return f"{step}; {in_place}{change(pod)}"


def _refusal(pod: JsonObject, end: _End, events: Iterable[JsonObject]) -> JsonObject | None:
    """The word of the probe for which the kubelet killed it; `None` where no probe said so about that time."""
    if end.code not in _KILLED or end.reason == _OUT_OF_MEMORY:
        return None
    for event in events:
        about = at(event, "involvedObject", "uid") == at(pod, "metadata", "uid") is not None
        place = str(at(event, "involvedObject", "fieldPath") or "")
        is_meant = about and (not place or place.endswith(f"{{{end.container}}}"))
        if is_meant and at(event, "reason") == "Unhealthy" and _OF_PROBE.match(str(at(event, "message") or "")):
            when = moment_of(event)
            if when is None or end.moment is None or end.moment - when < OUT_OF_BACK_OFF:
                return event
    return None


def _by_probe(pod: JsonObject, end: _End, event: JsonObject, look: str, now: datetime) -> Finding:
    message = str(at(event, "message") or "")
    match = _OF_PROBE.match(message)
    probe = f"{match['probe'].lower()}Probe" if match else "probe"
    return of_container(
        end.container,
        f"{end.container} was killed for its {probe}: {recite(message)}; {end.words(now).removeprefix(f'{end.container} ')}",
        f"the kubelet ends and restarts a container whose {probe} says no failureThreshold times in a row",
        f"correct the {probe}, or give the program more time (initialDelaySeconds, failureThreshold); what it did "
        f"until then: {look}; {change(pod)}",
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
        message=str(at(last, "message") or ""),
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


def _reason(end: _End, asks: Mapping[str, int]) -> tuple[str, str]:
    """Why it may have ended so, and what to do beside looking into its log."""
    if end.reason == _OUT_OF_MEMORY:
        return (
            "it took more memory than its limit, in which EPC does not count",
            "; then raise limits.memory, or have it take less",
        )
    if not end.code:
        return "a container of such a pod is to run on, and is started anew whenever it ends", "; its command should not return"
    meaning = _MEANINGS.get(end.code, "its program says why in its log")
    if epc := Fraction(asks.get(end.container, 0)):
        return (
            f"{meaning}; it was given its device, and whether it could open that, the log says",
            f"; compare its enclave's size with the {amount_text(EPC, epc)} of EPC that it asks for: donjon explain DJ138",
        )
    if any(asks.values()):
        return (
            f"{meaning}; it asks for no EPC itself, so it has no device, whatever the pod's other containers have",
            f"; if it is to make an enclave, give it a limit of {EPC} of its own",
        )
    return meaning, ""


def _statuses(pod: JsonObject) -> Iterator[JsonObject]:
    for field in ("initContainerStatuses", "containerStatuses"):
        yield from objects(at(pod, "status", field))
