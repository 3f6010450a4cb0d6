"""What a preparation goes by: the document that `donjon doctor --output json` prints, of this machine or of another."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from donjon.errors import Malformed
from donjon.findings import Finding
from donjon.formats import strict_json
from donjon.formats.json import Json
from donjon.node.facts import IN_TREE_KERNEL, kernel_numbers
from donjon.node.report import KERNEL_LINE, OWNERSHIP_LINE, SECTIONS_LINE, VIRTUAL_LINE, FactLine

MAX_FACTS = 1 << 20  # bytes

_SUBJECT = "facts"


class NodeRuntime(StrEnum):
    """Who starts the containers of a node, and brings which configuration."""

    CONTAINERD = "containerd"
    CRIO = "cri-o"
    K3S = "k3s"
    RKE2 = "rke2"
    OTHER = "another"


_RUNTIMES: Mapping[str, NodeRuntime] = MappingProxyType(
    {
        "/etc/containerd/config.toml": NodeRuntime.CONTAINERD,
        "/etc/crio/": NodeRuntime.CRIO,
        "/var/lib/rancher/k3s/": NodeRuntime.K3S,
        "/var/lib/rancher/rke2/": NodeRuntime.RKE2,
        "/etc/k0s/": NodeRuntime.OTHER,
        "/etc/cri/": NodeRuntime.OTHER,
        "/var/snap/microk8s/": NodeRuntime.OTHER,
    }
)
"""By what stands in the path of a configuration that was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostOutline:
    """A host as far as preparing it goes; what is not known is `None`."""

    codes: frozenset[str]  # of doctor's findings
    virtual: bool | None
    old: bool | None  # whether its kernel is from before the one that brought a driver
    sections: int | None  # of EPC: one a socket on machines that are not virtual
    ownership: bool | None  # whether devices are handed over to the user of a container
    runtimes: tuple[NodeRuntime, ...]  # whose configuration was read


def outline(lines: Iterable[FactLine], findings: Iterable[Finding]) -> HostOutline:
    """Of facts and findings of this machine."""
    facts = {line.name: (line.value, line.source) for line in lines}
    return _outline(facts, frozenset(finding.code for finding in findings))


def parse(text: bytes) -> HostOutline:
    """Of doctor's document; raises `Malformed` DJ860 for what is none."""
    try:
        document = strict_json.parse(text, _SUBJECT, MAX_FACTS)
        lines = {each.text("name"): (each.content.get("value"), each.text("source")) for each in document.members("facts")}
        findings = document.content.get("findings")
        codes = frozenset(each.text("code") for each in document.members("findings")) if findings != [] else frozenset()
    except Malformed as error:
        raise Malformed("DJ860", f"{error.message}; expected what donjon doctor --output json prints") from error
    return _outline(lines, codes)


def _outline(lines: Mapping[str, tuple[Json, str]], codes: frozenset[str]) -> HostOutline:
    ownership, source = lines.get(OWNERSHIP_LINE, (None, ""))
    sections, _ = lines.get(SECTIONS_LINE, (None, ""))
    virtual, _ = lines.get(VIRTUAL_LINE, (None, ""))
    kernel, _ = lines.get(KERNEL_LINE, (None, ""))
    release = kernel_numbers(kernel) if isinstance(kernel, str) else None
    return HostOutline(
        codes=codes,
        virtual=virtual if isinstance(virtual, bool) else None,
        old=None if release is None else release < IN_TREE_KERNEL,
        sections=len(sections) if isinstance(sections, list) else None,
        ownership=ownership if isinstance(ownership, bool) else None,
        runtimes=tuple(dict.fromkeys(runtime for part, runtime in _RUNTIMES.items() if part in source)),
    )
