"""`python -m tests.house.metrics_page > docs/metrics.md`: the page of every metric, from the code that keeps them."""

import sys
from collections.abc import Iterable, Mapping

from donjon.adapters.metrics.admission import AdmissionMetrics
from donjon.adapters.metrics.attestation import AttestationMetrics, AuditWork
from donjon.adapters.metrics.meter import MAX_SERIES, MeterMetrics
from donjon.adapters.metrics.metricsapi import MetricsApiMetrics
from donjon.adapters.metrics.node import NodeMetrics
from donjon.adapters.metrics.program import MetricFamily, ProgramMetrics
from donjon.admission.review import ReviewOutcome
from donjon.audit.event import EventVerdict
from donjon.findings import Severity
from donjon.kube.names import ENCLAVE, PROVISION
from donjon.maa.versions import ATTESTED
from donjon.metricsapi.discovery import Group
from donjon.metricsapi.questions import Kind
from donjon.node.devices import DriverKind
from donjon.pki.rotation import Step
from donjon.sgx.epc import EpcSource

PROGRAMS: Mapping[str, ProgramMetrics] = {
    "The node agent: `donjon node run`, port 9808": NodeMetrics("0"),
    "The meter: `donjon node meter`, port 9810": MeterMetrics("0"),
    "The webhook: `donjon admission serve`, port 9809": AdmissionMetrics("0"),
    "The metrics APIs: `donjon metrics serve`, port 9811": MetricsApiMetrics("0"),
    "The attestation service and its cache: `donjon attestation serve`, port 9810": AttestationMetrics("0"),
}
"""Each program by its heading."""

_INTRODUCTION = """\
# Every metric

Printed from the code by `python -m tests.house.metrics_page`; a test holds that it is the same. How they are scraped, which
alerts ask for them and what to do when one fires: [monitoring.md](monitoring.md).

A name says its unit at its end: `_bytes`, `_seconds`, `_timestamp_seconds` (since 1970, UTC); others are numbers of things.
`_total` are counters, which begin at 0 when the program starts; a series whose labels have not occurred yet is not there. All
programs have the usual `process_*` of their own process (processor time, memory, open files, start), and answer at `/metrics`
over HTTP without TLS.
"""

_LABELS = """\
## Labels

No label has values that a caller can make up, but for the names of pods: how many series there are is bounded by what stands
here.

| label | values |
|---|---|
"""


_NEXT = """\
Next: [monitoring.md](monitoring.md), [status.md](status.md).
"""


def values(words: Iterable[object]) -> str:
    """The values of an enum, or others, as the page shows them."""
    return ", ".join(f"`{word}`" for word in sorted(map(str, words)))


LABELS: Mapping[str, str] = {
    "answer": "`yes`, `no`",
    "api": values(each.registration for each in Group),
    "call": "`GetMetricSpec`, `GetMetrics`, `IsActive`, `StreamIsActive`",
    "code": "a code that `donjon explain` has a page for; empty where all went well",
    "container": f"a container that holds EPC or asks for it; the {MAX_SERIES} of a node that hold most",
    "document": "a document by what it is asked for: those that are held, some for each platform type (FMSPC) that Intel knows",
    "driver": f"{values(DriverKind)}; empty without a driver",
    "health": "`Healthy`, `Unhealthy`",
    "instance_name": "an instance of the service's settings",
    "judgement": "`admitted`, `refused`",
    "kind": f"{values(each.name.lower() for each in Kind)}; `none` for what none of the APIs has",
    "namespace": "the namespace of such a container",
    "object": "an object that the chart makes in the API server: a policy, a binding, the webhook's registration",
    "outcome": values(ReviewOutcome),
    "pod": "the pod of such a container",
    "resource": values((ENCLAVE, PROVISION)),
    "route": "a path that the service has, without what callers fill in",
    "severity": values(Severity),
    "source": f"{values(EpcSource)}: exact, or an upper bound; empty where nobody says",
    "state": "`known`, `beyond`",
    "status": "an HTTP status",
    "step": values(each.value for each in Step if each is not Step.NOTHING),
    "type": values(ATTESTED),
    "verdict": values(EventVerdict),
    "version": "Donjon's version",
    "what": "`labels`, `status`",
    "work": values(AuditWork),
}


def families() -> list[MetricFamily]:
    """Every metric of every program."""
    return [family for program in PROGRAMS.values() for family in program.families]


def page() -> str:
    """The page as it is to be."""
    parts = [_INTRODUCTION]
    for heading, program in PROGRAMS.items():
        rows = "".join(
            f"| `{each.name}` | {each.kind} | {', '.join(each.labels)} | {each.text} |\n"
            for each in sorted(program.families, key=lambda family: family.name)
        )
        parts.append(f"## {heading}\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n{rows}")
    return "\n".join([*parts, _LABELS + "".join(f"| {label} | {text} |\n" for label, text in LABELS.items()), _NEXT])


if __name__ == "__main__":
    sys.stdout.write(page())
