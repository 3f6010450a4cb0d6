"""What the scheduler's sentence says of a pod, for whoever may not read the nodes: how many nodes it left out, and for what.

Source: k8s.io/kubernetes pkg/scheduler/framework, `FitError`, and the reasons of its plugins. Of each node the sentence has what
one plugin said; NodeResourcesFit says all that is short. Which node is meant it never says.
Of nodes that are too small, not only full, it says besides that preemption would not help; older versions do not tell them apart.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from donjon.diagnosis.commands import change, describe
from donjon.diagnosis.pending import KEEPING, foreign_name, holders, of_placement
from donjon.findings import Finding
from donjon.findings.codes import UNREADY_NODE
from donjon.fleet.placement import amount_text
from donjon.formats.json import JsonObject, at
from donjon.formats.words import recite
from donjon.kube.names import AESM_READY, AESMD, ANNOTATION_QUOTE_PROVIDER, DEVICES, EPC, FOREIGN_EPC, LABEL_AESM
from donjon.kube.objects import node_name_of
from donjon.kube.reserved import pod_requests
from donjon.kube.selection import meant_for, misfits, selects

MAX_SENTENCE = 10_000  # characters that are read
_SENTENCE = re.compile(r"0/(?P<nodes>\d{1,6}) nodes are available: (?P<reasons>.*?)(?:\. |\.?$)")
_REASON = re.compile(r"(?P<count>\d{1,6}) (?P<words>.+)")
_SHORT = "Insufficient "
_UNREADY = re.compile(r"\{node\.kubernetes\.io/(?:not-ready|unreachable)\b")
_IN_VAIN = re.compile(r"preemption: 0/(\d{1,6}) nodes are available: \1 Preemption is not helpful for scheduling")
"""k8s.io/kubernetes pkg/scheduler/framework/preemption: of every node, that nobody's end makes room for the pod there."""
_PIN = "node(s) didn't satisfy plugin(s) [NodeAffinity]"
"""Of the nodes that a pod leaves out that names its own, as those of a DaemonSet do."""
_OF_CONTROL_PLANE = "{node-role.kubernetes.io/control-plane"


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerReading:
    """The sentence in our words."""

    summary: str  # "of 3 nodes 1 is cordoned, 2 offer no SGX now"
    findings: tuple[Finding, ...]  # what may be done first comes first


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """So many nodes, what of them, and what follows where it is more than how things are."""

    count: int
    one: str
    many: str
    finding: Finding | None = None

    def words(self) -> str:
        return f"{self.count} {self.one if self.count == 1 else self.many}"


def read_sentence(pod: JsonObject, sentence: str, pods: Sequence[JsonObject] = ()) -> SchedulerReading | None:
    """The scheduler's sentence about a pod, with the pods that can be seen; `None` for one of another form."""
    match = _SENTENCE.match(sentence[:MAX_SENTENCE])
    pairs = [_REASON.fullmatch(each) for each in match["reasons"].split(", ")] if match else []
    if match is None or not pairs or None in pairs:
        return None
    counts = {each["words"]: int(each["count"]) for each in pairs if each}
    scarcity = _Scarcity(pod=pod, counts=counts, pods=pods, is_in_vain=_in_vain(sentence, counts))
    parts = [*_of_sgx(scarcity), *_of_others(pod, counts)]
    findings = tuple(part.finding for part in parts if part.finding) or (_no_sgx(pod, counts),)
    nodes = f"{match['nodes']} node{'s' * (match['nodes'] != '1')}"
    return SchedulerReading(summary=recite(f"of {nodes} {', '.join(part.words() for part in parts)}"), findings=findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scarcity:
    """What the words about too little of SGX are made from."""

    pod: JsonObject
    counts: Mapping[str, int]  # of nodes, by what a plugin said
    pods: Sequence[JsonObject]  # that can be seen
    is_in_vain: bool  # no node is large enough, whoever ends

    def holders(self, resource: str) -> str:
        """Who holds most of a resource, of those that can be seen."""
        return holders(resource, (each for each in self.pods if node_name_of(each)))


def _in_vain(sentence: str, counts: Mapping[str, int]) -> bool:
    """Whether SGX is what no node has enough of: where something else is short, too, it may be that."""
    is_sgx_alone = not any(
        words == "Too many pods" or (words.startswith(_SHORT) and words.removeprefix(_SHORT) not in {EPC, *DEVICES})
        for words in counts
    )
    return is_sgx_alone and _IN_VAIN.search(sentence[:MAX_SENTENCE]) is not None


def _of_sgx(now: _Scarcity) -> Iterator[_Part]:
    """Nodes that are short of one thing of SGX have the other; those that are short of both are mostly ordinary ones."""
    no_epc = now.counts.get(f"{_SHORT}{EPC}", 0)
    short = {device: count for device in DEVICES if (count := now.counts.get(f"{_SHORT}{device}", 0))}
    device, no_device = max(short.items(), key=lambda each: each[1], default=("", 0))
    if no_device > no_epc:
        yield _without_device(now, device, no_device - no_epc)
    if no_epc > no_device:
        yield _without_epc(now, no_epc - no_device)
    if both := min(no_epc, no_device):
        yield _Part(count=both, one="offers no SGX now", many="offer no SGX now")


def _without_device(now: _Scarcity, device: str, count: int) -> _Part:
    away = "the node offers none: its agent is away or not ready"
    who = now.holders(device)
    ends = (
        f"; where it does, wait until a pod with that device ends{f', or end one ({who}, of those you may see)' if who else ''}"
    )
    finding = of_placement(
        "DJ135",
        f"its device {device} is not to be had on {_nodes(count)} with EPC",
        away if now.is_in_vain else f"all of it is held there, or {away}",
        f"have an administrator run donjon status, which tells whether each node's agent works{'' if now.is_in_vain else ends}",
    )
    return _Part(
        count=count, one=f"has no {device} left or none at all", many=f"have no {device} left or none at all", finding=finding
    )


def _without_epc(now: _Scarcity, count: int) -> _Part:
    requests = pod_requests(now.pod)
    requested, who = amount_text(EPC, requests.get(EPC, Fraction(0))), now.holders(EPC)
    or_none = "" if any(each in requests for each in DEVICES) else ", or none"
    sees = "who may read nodes sees by donjon why how much each has"
    if now.is_in_vain:
        finding = of_placement(
            "DJ132",
            f"asks for {requested} of EPC, and {_nodes(count)} {'has' if count == 1 else 'have'} less than that in all",
            "the scheduler says that nobody's end makes room for it there (Preemption is not helpful): it stays Pending for ever",
            f"ask for less ({change(now.pod)}), or have an administrator add a node with more EPC; {sees}",
        )
    else:
        finding = of_placement(
            "DJ130",
            f"asks for {requested} of EPC, and {_nodes(count)} had less left",
            "EPC cannot be overcommitted: others hold it, or the node is not so large",
            f"{f'end what holds it ({who}, of those you may see), or ' if who else ''}wait until others end, or ask for less "
            f"({change(now.pod)}); {sees}",
        )
    less = f"too little EPC {'in all' if now.is_in_vain else 'left'}{or_none}"
    return _Part(count=count, one=f"has {less}", many=f"have {less}", finding=finding)


def _of_others(pod: JsonObject, counts: Mapping[str, int]) -> Iterator[_Part]:
    """What the other plugins said, a cordon first: it goes by itself, and takes the whole node out whatever it has."""
    of_sgx = {f"{_SHORT}{each}" for each in (EPC, *DEVICES)}
    others = [(words, count) for words, count in counts.items() if words not in of_sgx]
    for applies, make in _READINGS:
        here = [(words, count) for words, count in others if applies(words)]
        others = [each for each in others if each not in here]
        yield from (make(pod, words, count) for words, count in here)


def _unready(_pod: JsonObject, _words: str, count: int) -> _Part:
    finding = of_placement(
        UNREADY_NODE,
        f"{_is(count)} not ready",
        "the kubelet there does not answer, and no pod is sent to it",
        "have an administrator look at the nodes (kubectl get nodes); no pod should tolerate that",
    )
    return _Part(count=count, one="is not ready", many="are not ready", finding=finding)


def _cordon(_pod: JsonObject, _words: str, count: int) -> _Part:
    finding = of_placement(
        "DJ133",
        f"{_is(count)} cordoned",
        "a cordoned node takes no new pods, whatever is free there",
        "wait until the maintenance is over; then an administrator runs kubectl uncordon NODE",
    )
    return _Part(count=count, one="is cordoned", many="are cordoned", finding=finding)


def _pin(pod: JsonObject, words: str, count: int) -> _Part:
    if meant_for(pod) is None:
        return _else(pod, words, count)
    return _Part(count=count, one="is another than its own", many="are others than its own")


def _control_plane(_pod: JsonObject, _words: str, count: int) -> _Part:
    return _Part(count=count, one="is the control plane's", many="are the control plane's")


def _taint(pod: JsonObject, words: str, count: int) -> _Part:
    name = recite(words.partition("{")[2].rstrip("}"))
    taint = f"the taint {name}" if name else "a taint"
    finding = of_placement(
        "DJ133",
        f"{taint} that the pod does not tolerate keeps it from {_nodes(count)}",
        "a node is tainted by its administrator for other pods, or by Kubernetes since something is wrong with it",
        "ask its administrator which taint it is; give the pod a toleration of one of theirs, if it is meant for such nodes "
        f"({change(pod)}), and none of node.kubernetes.io",
    )
    return _Part(count=count, one=f"has {taint}", many=f"have {taint}", finding=finding)


def _selection(pod: JsonObject, _words: str, count: int) -> _Part:
    if selects(pod, "", {LABEL_AESM: AESM_READY}) and not selects(pod, "", {}):
        by_annotation = at(pod, "metadata", "annotations", ANNOTATION_QUOTE_PROVIDER) == AESMD
        finding = of_placement(
            "DJ136",
            f"it needs AESM, and none answers on {_nodes(count)}",
            f"Donjon gave the pod the selector {LABEL_AESM}={AESM_READY} for its annotation {ANNOTATION_QUOTE_PROVIDER}: {AESMD}"
            if by_annotation
            else f"it selects nodes with {LABEL_AESM}={AESM_READY}",
            "have an administrator start AESM on a node with SGX, or let the pod quote in its own process and leave the "
            f"annotation out ({change(pod)})",
        )
        return _Part(count=count, one="has no AESM", many="have no AESM", finding=finding)
    wishes = "; ".join(each.partition(", and it has")[0] for each in misfits(pod, {})) or "its affinity"
    finding = of_placement(
        "DJ133",
        f"{wishes} of the pod leaves out {_nodes(count)}",
        "it goes only to nodes that it selects itself",
        f"change the pod's nodeSelector or affinity ({change(pod)}), or have an administrator label the node (kubectl label node "
        "NODE KEY=VALUE)",
    )
    return _Part(count=count, one="is left out by the pod's selector", many="are left out by the pod's selector", finding=finding)


def _foreign(pod: JsonObject, words: str, count: int) -> _Part:
    name = words.removeprefix(_SHORT)
    finding = foreign_name(pod, f"{_nodes(count)} offers no {name}")
    return _Part(count=count, one=f"offers no {name}", many=f"offer no {name}", finding=finding)


def _shortage(pod: JsonObject, words: str, count: int) -> _Part:
    name = recite(words.removeprefix(_SHORT)) if words.startswith(_SHORT) else "room for another pod"
    finding = of_placement(
        "DJ138",
        f"{_nodes(count)} had too little {name} left",
        "the scheduler counts every resource, not only SGX",
        f"ask for less {name} ({change(pod)}), or have an administrator make room"
        if words.startswith(_SHORT)
        else "wait until others end",
    )
    return _Part(count=count, one=f"has too little {name}", many=f"have too little {name}", finding=finding)


def _else(pod: JsonObject, words: str, count: int) -> _Part:
    plain = recite(words.removeprefix("node(s) "))
    finding = of_placement(
        "DJ138",
        f"the scheduler says of {_nodes(count)}: {plain}",
        "that is none of SGX's",
        f"{describe(pod)} has the scheduler's own words; change in the pod what they name ({change(pod)}), or ask an "
        "administrator",
    )
    return _Part(count=count, one=f"({plain})", many=f"({plain})", finding=finding)


_READINGS: Sequence[tuple[Callable[[str], bool], Callable[[JsonObject, str, int], _Part]]] = (
    (lambda words: _UNREADY.search(words) is not None, _unready),
    (lambda words: words == "node(s) were unschedulable", _cordon),
    (lambda words: _OF_CONTROL_PLANE in words, _control_plane),
    (lambda words: words == _PIN, _pin),
    (lambda words: words.startswith("node(s) had untolerated taint"), _taint),
    (lambda words: words == "node(s) didn't match Pod's node affinity/selector", _selection),
    (lambda words: words.removeprefix(_SHORT) in FOREIGN_EPC, _foreign),
    (lambda words: words.startswith(_SHORT) or words == "Too many pods", _shortage),
    (lambda _words: True, _else),
)
"""What a plugin's words are read as; the first that applies, and in this order they are told."""


def _no_sgx(pod: JsonObject, counts: Mapping[str, int]) -> Finding:
    if counts.keys() == {_PIN}:
        return of_placement(
            "DJ133",
            "it may go to one node alone, which the scheduler does not know",
            "its affinity names the node, as that of every pod of a DaemonSet does, and that node is gone",
            "wait until its DaemonSet takes it away, or change the affinity that names the node",
        )
    way = "" if meant_for(pod) is None else f"{KEEPING}; where its node has SGX, "
    return of_placement(
        UNREADY_NODE,
        "no node that it could go to offers SGX now",
        "nodes with SGX are away or not ready, or there are none",
        f"{way}have an administrator run donjon status: it tells which nodes have SGX, and whether their agents work",
    )


def _nodes(count: int) -> str:
    return f"{count} node{'s' * (count != 1)}"


def _is(count: int) -> str:
    return f"{_nodes(count)} {'is' if count == 1 else 'are'}"
