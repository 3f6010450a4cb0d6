"""The volumes without which the scheduler looks at no node for a pod at all."""

from collections.abc import Iterator

from donjon.diagnosis.commands import make_absent
from donjon.diagnosis.pending import of_placement
from donjon.findings import Finding
from donjon.formats.json import JsonObject
from donjon.formats.words import recite
from donjon.kube.objects import namespace_of

_UNBOUND = "unbound immediate PersistentVolumeClaims"
"""k8s.io/kubernetes pkg/scheduler/framework/plugins/volumebinding."""


def missing_claims(pod: JsonObject, sentence: str) -> Iterator[Finding]:
    """Whether the scheduler's sentence names a claim that is not there, or one without its volume."""
    do = make_absent(pod, sentence, "scheduler")
    if not do and _UNBOUND in sentence:
        do = f"kubectl describe persistentvolumeclaim -n {namespace_of(pod)}: the one that is Pending says what it waits for"
    if do:
        yield of_placement(
            "DJ138",
            f"the scheduler says: {recite(sentence)}",
            "the scheduler looks for no node before what the pod is to mount is there",
            do,
        )
