"""Who holds how much EPC on a node: what the meter of that node answers, and whoever asks it reads.

The answer crosses the network, so it is read as anybody's: bounded, and refused where it is no report.
"""

import json
import re
from dataclasses import dataclass, field

from donjon.errors import Malformed
from donjon.formats.json import JsonObject
from donjon.formats.strict_json import Members, parse
from donjon.sgx.epc import EpcSource, EpcUse

VERSION = "donjon.dev/epc/v1"
MAX_CONTAINERS = 4096  # in one report; a kubelet runs some hundreds of pods
MAX_BYTES = 4 << 20  # of the text of a report

MOST = (1 << 63) - 1  # bytes, as a quantity of Kubernetes holds
_VALUES = 64 * MAX_CONTAINERS
_MAX_NAME = 253  # characters of a name in Kubernetes
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", re.ASCII)
"""What things are called (RFC 1123, as Kubernetes takes it); whoever reads a report puts names into addresses."""
_UID = re.compile(r"[-0-9A-Za-z]+", re.ASCII)
UNNAMED = "(unnamed)"
"""A container of a pod that the API server does not name yet; no container can be called so."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class PodContainer:
    """A container of a pod; `pod_uid` tells it from an earlier pod of the same name."""

    namespace: str
    pod: str
    pod_uid: str
    container: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerEpc:
    """One container: what it asked for, in bytes, what its enclaves hold, and the most that they held since the meter began."""

    name: PodContainer
    request: int
    use: EpcUse
    guests: int = 0  # bytes that virtual machines of it hold
    peak: int = 0  # the most of `use.resident` with `guests`
    pod_peak: int = 0  # the same of all containers of its pod together, which is less than the sum of their peaks
    processes: int = 0  # that hold enclaves
    at_least: bool = False  # it has more enclaves, or cuts them into more areas, than are counted of one container


@dataclass(frozen=True, slots=True, kw_only=True)
class EpcReport:
    """One node at one moment. All amounts are bytes; `None` is unknown."""

    node: str
    moment: str  # RFC 3339, UTC: when the pass ended
    source: EpcSource
    total: int | None
    free: int | None
    use: EpcUse  # of all enclaves of the node, each once
    guests: int = 0
    peak: int = 0  # the most of both together, since the meter began
    unaccounted: int | None = None  # neither free nor held by anybody that was seen
    system: EpcUse = field(default_factory=EpcUse)  # of it, what no pod holds: quoting enclaves and other programs of the host
    system_guests: int = 0
    reclaimer_seconds: float | None = None  # processor time of ksgxd since boot, which evicts pages when EPC is short
    unreadable: int = 0  # processes that could not be read
    containers: tuple[ContainerEpc, ...] = ()
    left_out: int = 0  # containers beyond MAX_CONTAINERS
    strangers: tuple[str, ...] = ()
    """Pods with EPC that the API server did not name to the meter yet, by what their cgroups are called: mostly their uid."""


def encode(report: EpcReport) -> bytes:
    """The report as JSON; what is unknown is not there."""
    body: JsonObject = {
        "version": VERSION,
        "node": report.node,
        "moment": report.moment,
        "source": report.source.value,
        **_optional("total", report.total),
        **_optional("free", report.free),
        "use": _encode_use(report.use),
        "guests": report.guests,
        "peak": report.peak,
        **_optional("unaccounted", report.unaccounted),
        "system": _encode_use(report.system),
        "systemGuests": report.system_guests,
        "unreadable": report.unreadable,
        "leftOut": report.left_out,
        "containers": [_encode_container(each) for each in report.containers],
        **({"strangers": [*report.strangers]} if report.strangers else {}),
    }
    if report.reclaimer_seconds is not None:
        body["reclaimerMilliseconds"] = round(report.reclaimer_seconds * 1000)
    return json.dumps(body, separators=(",", ":")).encode()


def decode(text: bytes, subject: str) -> EpcReport:
    """The report in that text; raises `Malformed` DJ210 or DJ211, also for one that is longer than a meter's."""
    members = parse(text, subject, MAX_BYTES, values=_VALUES)
    if (version := members.text("version")) != VERSION:
        raise Malformed(
            "DJ211", f"{subject}: version is {version[:40]!r}, expected {VERSION}: the meter and its reader differ in age"
        )
    containers = members.members("containers") if members.content.get("containers") else []
    if len(containers) > MAX_CONTAINERS:
        raise Malformed("DJ211", f"{subject}: {len(containers)} containers, expected at most {MAX_CONTAINERS}")
    milliseconds = _number(members, "reclaimerMilliseconds")
    return EpcReport(
        node=_name(members, "node"),
        moment=_moment(members, "moment"),
        source=_source(members),
        total=_number(members, "total"),
        free=_number(members, "free"),
        use=_decode_use(members.member("use")),
        guests=members.number("guests", MOST),
        peak=_number(members, "peak") or 0,
        unaccounted=_number(members, "unaccounted"),
        system=_decode_use(members.member("system")),
        system_guests=members.number("systemGuests", MOST),
        reclaimer_seconds=None if milliseconds is None else milliseconds / 1000,
        unreadable=members.number("unreadable", MOST),
        left_out=members.number("leftOut", MOST),
        containers=tuple(map(_decode_container, containers)),
        strangers=_strangers(members),
    )


def _strangers(members: Members) -> tuple[str, ...]:
    texts = members.texts("strangers")
    if len(texts) > MAX_CONTAINERS or not all(len(each) <= _MAX_NAME and _UID.fullmatch(each) for each in texts):
        raise Malformed("DJ211", f"{members.subject}: strangers: expected at most {MAX_CONTAINERS} uids of pods")
    return texts


def _encode_use(use: EpcUse) -> JsonObject:
    return {
        "resident": use.resident,
        **_optional("control", use.control),
        **_optional("existing", use.existing),
        **_optional("evicted", use.evicted),
        "enclaves": use.enclaves,
        "debug": use.debug,
        "building": use.building,
    }


def _decode_use(members: Members) -> EpcUse:
    return EpcUse(
        resident=members.number("resident", MOST),
        control=_number(members, "control"),
        existing=_number(members, "existing"),
        evicted=_number(members, "evicted"),
        enclaves=members.number("enclaves", MOST),
        debug=members.number("debug", MOST),
        building=members.number("building", MOST),
    )


def _encode_container(epc: ContainerEpc) -> JsonObject:
    return {
        "namespace": epc.name.namespace,
        "pod": epc.name.pod,
        "podUid": epc.name.pod_uid,
        "container": epc.name.container,
        "request": epc.request,
        "use": _encode_use(epc.use),
        "guests": epc.guests,
        "peak": epc.peak,
        "podPeak": epc.pod_peak,
        "processes": epc.processes,
        **({"atLeast": 1} if epc.at_least else {}),
    }


def _decode_container(members: Members) -> ContainerEpc:
    return ContainerEpc(
        name=PodContainer(
            namespace=_name(members, "namespace"),
            pod=_name(members, "pod"),
            pod_uid=_name(members, "podUid", _UID),
            container=UNNAMED if members.text("container") == UNNAMED else _name(members, "container"),
        ),
        request=members.number("request", MOST),
        use=_decode_use(members.member("use")),
        guests=members.number("guests", MOST),
        peak=members.number("peak", MOST),
        pod_peak=_number(members, "podPeak") or 0,
        processes=members.number("processes", MOST),
        at_least=_number(members, "atLeast") is not None,
    )


def _optional(name: str, value: int | None) -> JsonObject:
    return {} if value is None else {name: value}


def _number(members: Members, name: str) -> int | None:
    return members.number(name, MOST) if members.has(name) else None


def _name(members: Members, name: str, pattern: re.Pattern[str] = _NAME) -> str:
    text = members.text(name)
    if len(text) > _MAX_NAME or not pattern.fullmatch(text):
        raise Malformed(
            "DJ211", f"{members.subject}: {name}: expected a name of 1 to {_MAX_NAME} characters, found {text[:40]!r}"
        )
    return text


def _moment(members: Members, name: str) -> str:
    members.date(name)
    return members.text(name)


def _source(members: Members) -> EpcSource:
    text = members.text("source")
    try:
        return EpcSource(text)
    except ValueError as error:
        raise Malformed("DJ211", f"{members.subject}: source is {text[:40]!r}, expected one of {', '.join(EpcSource)}") from error
